#!/bin/sh
# Installs what the tests need and runs all of them. On a fresh machine only Rust is taken for granted.
# Arguments are handed to `cargo test`; each part says how long it took.
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

need_rust
need git=git tmux=tmux cc=gcc jq=jq shellcheck=shellcheck script=bsdutils setsid=util-linux ps=procps

lints() {
    cargo fmt --all --check
    cargo clippy --quiet --all-targets --features test-clock,seeded-faults,bench -- -D warnings
    shellcheck -x -P scripts scripts/*.sh
}

tests() { cargo test --quiet --no-fail-fast --features test-clock,seeded-faults "$@"; }

# What is installed knows nothing of how it is tested. Optimising changes no text in a program.
release_build() {
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_TARGET_DIR=target/unoptimised cargo build --quiet --release
    for tool in cmw cmw-lock cmw-hook; do
        tool=target/unoptimised/release/$tool
        if grep -q CMW_TEST_ "$tool"; then
            echo "$tool knows the test clock" >&2
            exit 1
        fi
    done
}

began=$(date +%s)
part "lints" lints
part "build of the tests" tests --no-run
failed='' disk=${TMPDIR:-/tmp}
tests_in_memory
# Most of them wait for programs that they start.
part "fast tests" tests --lib --bin cmw-hook --test fast "$@" -- --test-threads "$(($(nproc) * 2))" || failed="$failed fast"
part "live tests" live_tests "$@" || failed="$failed live"
TMPDIR=$disk # The crash models are about what a disk does.
part "soak tests" tests --test soak "$@" || failed="$failed soak"
if [ -n "$failed" ]; then
    say "failed:$failed"
    exit 1
fi
part "short night shift" ./scripts/night-shift.sh --short
part "real client, the short tests" ./scripts/test-claude.sh --short
part "release build without test clock and seeded faults" release_build
say "all $(since "$began")"
