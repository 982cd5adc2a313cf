# shellcheck shell=sh
# Shared by the scripts: finds the programs, built here or on PATH. Read by `.`, not run.
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
