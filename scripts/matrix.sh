#!/bin/sh
# Runs every operation of git with each installed git, each ref format and in every condition, and
# prints a line for each; without PART also each attack in each situation, and each damage to each file.
# Half an hour on two cores. To test another git put it first on PATH.
#   matrix.sh [PART]   only the rows of git's operations whose name contains PART
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
set -- "${1:-}" guard::matrix::t02_every_operation
[ -n "$1" ] || set -- "$@" guard::attacks store::damage
part=$1
shift
CMW_MATRIX=all CMW_MATRIX_ROW=$part RUST_BACKTRACE=0 \
  cargo test --quiet --features test-clock,seeded-faults --test fast -- "$@" --nocapture >"$log" 2>&1 || status=$?
sed -n '/^[0-9]* wrong:$/,/^note: /p' "$log"
say "rows, by git and ref format"
sed -n 's/^\.*matrix: //p' "$log" | sort
grep '^test result' "$log" || cat "$log"
exit "$status"
