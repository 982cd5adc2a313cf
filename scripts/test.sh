#!/bin/sh
# Installs what the tests need and runs all of them; each step says how long it took. On a fresh machine only Rust is
# taken for granted.
#   test.sh [FILTER…]    words for the test runner, such as the name of one test
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

need_rust
need git=git tmux=tmux cc=gcc jq=jq shellcheck=shellcheck script=bsdutils setsid=util-linux ps=procps

features=test-clock,seeded-faults

# In a step that is timed, `set -e` does not count: each command says itself that it failed.
lints() {
    cargo fmt --all --check &&
        cargo clippy --quiet --all-targets --features "$features,bench" -- -D warnings &&
        shellcheck -x -P scripts scripts/*.sh
}

build() { cargo test --quiet --no-run --features "$features"; }

# Most of these start programs and wait for them: more threads than processors.
tests() {
    cargo test --quiet --no-fail-fast --features "$features" "$@"
}

no_test_clock() {
    cargo build --quiet --release || return 1
    for tool in target/release/cmw target/release/cmw-lock target/release/cmw-hook; do
        if grep -q CMW_TEST_ "$tool"; then
            echo "$tool knows the test clock" >&2
            return 1
        fi
    done
}

timed "formatting, lints, scripts" lints
timed "building the tests" build
timed "fast tests" tests --lib --test fast -- --test-threads 4 "$@"
timed "live tests" tests --test live -- --test-threads 4 "$@"
timed "soak tests, short" tests --test soak -- "$@"
timed "a short night shift" ./scripts/night-shift.sh --short
timed "the real client against a scripted model, a few of its tests" ./scripts/test-claude.sh --short
timed "a release build has no test clock and no seeded faults" no_test_clock
