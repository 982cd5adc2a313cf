#!/bin/sh
# Installs what the tests need and runs all of them. On a fresh machine only Rust is taken for granted.
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

need_rust
need git=git tmux=tmux cc=gcc jq=jq shellcheck=shellcheck script=bsdutils setsid=util-linux ps=procps

say "formatting, lints, scripts"
cargo fmt --all --check
cargo clippy --quiet --all-targets --features test-clock,seeded-faults,bench -- -D warnings
shellcheck -x -P scripts scripts/*.sh

say "tests"
cargo test --quiet --no-fail-fast --features test-clock,seeded-faults "$@"

say "a short night shift"
./scripts/night-shift.sh --short

say "the real client against a scripted model, a few of its tests"
./scripts/test-claude.sh --short

say "a release build has no test clock and no seeded faults"
cargo build --quiet --release
for tool in target/release/cmw target/release/cmw-lock target/release/cmw-hook; do
  if grep -q CMW_TEST_ "$tool"; then
    echo "$tool knows the test clock" >&2
    exit 1
  fi
done
