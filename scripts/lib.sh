# shellcheck shell=sh
# Shared by the scripts: finds the programs, built here or on PATH, and installs what is missing.
# Read by `.`, not run.
scripts=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$scripts")

# The directory of the programs that were built last; empty when none were.
built() {
    newest=
    for dir in "$root"/target/*-linux-*/release "$root"/target/release; do
        [ -x "$dir/cmw-session" ] || continue
        [ -n "$newest" ] && [ -z "$(find "$dir/cmw-session" -newer "$newest/cmw-session")" ] || newest=$dir
    done
    printf '%s' "$newest"
}

# Puts the programs in front of PATH.
find_tools() {
    tools=$(built)
    if [ -n "$tools" ]; then
        PATH=$tools:$PATH
    elif ! command -v cmw-session >/dev/null 2>&1; then
        echo "error: the programs are not built" >&2
        echo "next: cargo build --release --manifest-path '$root/Cargo.toml'" >&2
        exit 69
    fi
}

usage() {
    echo "usage: $*" >&2
    exit 2
}

say() { printf '==> %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs packages; says which, and how it is done by hand where there is no apt-get.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || { echo "error: please install: $*" >&2; exit 69; }
    say "installing: $*"
    as_root apt-get install -y "$@" >/dev/null || { as_root apt-get update && as_root apt-get install -y "$@"; }
}

# need PROGRAM=PACKAGE…: installs the packages whose programs are not there.
need() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
    done
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || install_packages $missing
}

# Finds cargo, also where rustup has put it without changing PATH yet.
need_rust() {
    command -v cargo >/dev/null 2>&1 || [ ! -x "${HOME:-/nonexistent}/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null 2>&1 || { echo "error: Rust is needed: https://rustup.rs" >&2; exit 69; }
}

# The target for static programs, with what it needs to build C; nothing where it cannot be had. A
# static program starts in a third of the time, and the hooks start with each commit.
static_target() {
    target=$(uname -m)-unknown-linux-musl
    command -v rustup >/dev/null 2>&1 && rustup target add "$target" >/dev/null 2>&1 || return 0
    if ! command -v musl-gcc >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        install_packages musl-tools >&2
    fi
    if command -v musl-gcc >/dev/null 2>&1; then printf '%s' "$target"; fi
}
