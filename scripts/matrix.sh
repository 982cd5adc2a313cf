#!/bin/sh
# Runs every operation of git with each installed git, each ref format and in every condition, and
# prints a line for each. Half an hour on two cores. To test another git put it first on PATH.
#   matrix.sh [PART]   only the rows whose name contains PART
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"
[ $# -le 1 ] || usage "scripts/matrix.sh [PART]"

need_rust
need git=git script=bsdutils setsid=util-linux ps=procps
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
status=0
CMW_MATRIX=all CMW_MATRIX_ROW=${1:-} RUST_BACKTRACE=0 \
  cargo test --quiet --features test-clock,seeded-faults --test fast guard::matrix::t02_every_operation -- --nocapture >"$log" 2>&1 || status=$?
sed -n '/^[0-9]* wrong:$/,/^note: /p' "$log"
say "rows, by git and ref format"
sed -n 's/^\.*matrix: //p' "$log" | sort
grep '^test result' "$log" || cat "$log"
exit "$status"
