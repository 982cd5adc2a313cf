#!/bin/sh
# Runs the live tests again and again beside two busy loops, and prints which failed and how often.
#   flaky.sh [N] [FILTER…]    N rounds (default 20)
# Exit code 1 when any test failed.
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

rounds=20
case ${1:-} in
'' | *[!0-9]*) ;;
*) rounds=$1; shift ;;
esac

need_rust
need git=git tmux=tmux cc=gcc setsid=util-linux ps=procps
log=$(mktemp -d)
loops=
# What this started, by pid.
stop() {
    # shellcheck disable=SC2086 # a list of pids
    [ -z "$loops" ] || kill $loops 2>/dev/null || :
    rm -rf "$log"
}
trap stop EXIT
trap 'exit 130' INT TERM

cargo test --quiet --no-run --features test-clock,seeded-faults --test live
for _ in 1 2; do
    sh -c 'while :; do :; done' &
    loops="$loops $!"
done

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    cargo test --no-fail-fast --features test-clock,seeded-faults --test live -- --test-threads 4 "$@" \
        >"$log/$round" 2>&1 || :
    grep '^test result' "$log/$round" || tail -n 20 "$log/$round"
    sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log/$round" >>"$log/failed"
    say "round $round of $rounds: $(grep -c ' \.\.\. FAILED$' "$log/$round" || :) failed"
done

ended=$(grep -l '^test result' "$log"/[0-9]* | wc -l)
if [ "$ended" -ne "$rounds" ]; then
    echo "error: $((rounds - ended)) rounds ended without a result" >&2
    exit 1
fi
if [ -s "$log/failed" ]; then
    echo "failed, and in how many of $rounds rounds:"
    sort "$log/failed" | uniq -c | sort -rn
    exit 1
fi
say "$rounds rounds without a failure"
