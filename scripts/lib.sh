# shellcheck shell=sh
# Shared by the scripts: finds the programs, built here or on PATH, and installs missing packages.
# Sourced with `.`, not run.
scripts=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$scripts")

# The directory of the most recently built programs; empty if there is none.
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

# since SECOND: the time that has passed since then, as `6m12s`.
since() {
    took=$(($(date +%s) - $1))
    printf '%sm%ss' "$((took / 60))" "$((took % 60))"
}

# part NAME COMMAND…: prints the name, runs the command, and prints how long it took: `==> tests 6m12s`.
# Not inside another part.
part() {
    part_name=$1 part_began=$(date +%s)
    shift
    say "$part_name"
    "$@"
    part_code=$?
    say "$part_name $(since "$part_began")"
    return "$part_code"
}

# Lets the tests make their directories in memory, where 4 GB are free and programs may run: that saves a
# quarter of their time.
tests_in_memory() {
    [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -ge 4194304 ] 2>/dev/null || return 0
    probe=$(mktemp /dev/shm/cmw-XXXXXX) || return 0
    cp /bin/true "$probe" && chmod 0700 "$probe" && "$probe" 2>/dev/null && export TMPDIR=/dev/shm
    rm -f "$probe"
}

# Runs tests/live, which mostly wait for other programs: with more threads than processors.
live_tests() {
    cargo test --quiet --no-fail-fast --features test-clock,seeded-faults --test live "$@" -- \
        --test-threads "$(($(nproc) * 4))"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs packages and names them; without apt-get, asks to install them by hand.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || { echo "error: please install: $*" >&2; exit 69; }
    say "installing: $*"
    as_root apt-get install -y "$@" >/dev/null || { as_root apt-get update && as_root apt-get install -y "$@"; }
}

# need PROGRAM=PACKAGE…: installs the packages whose programs are missing.
need() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
    done
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || install_packages $missing
}

# Finds cargo, also where rustup has installed it without changing PATH yet.
need_rust() {
    command -v cargo >/dev/null 2>&1 || [ ! -x "${HOME:-/nonexistent}/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null 2>&1 || { echo "error: Rust is required: https://rustup.rs" >&2; exit 69; }
}

# Prints the target for static programs and installs what it needs to build C; prints nothing if it
# is not available. A static program starts in a third of the time, and the hooks start with each
# commit.
static_target() {
    target=$(uname -m)-unknown-linux-musl
    command -v rustup >/dev/null 2>&1 && rustup target add "$target" >/dev/null 2>&1 || return 0
    if ! command -v musl-gcc >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        install_packages musl-tools >&2
    fi
    if command -v musl-gcc >/dev/null 2>&1; then printf '%s' "$target"; fi
}
