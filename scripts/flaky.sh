#!/bin/sh
# Runs tests/live N times while two loops keep the processors busy, and prints which tests failed, how often.
#   flaky.sh N [FILTER…]
#   CMW_FLAKY_LOGS=DIR   keeps what each round said there
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

case ${1:-} in
'' | *[!0-9]*) usage "scripts/flaky.sh N [FILTER…]" ;;
esac
rounds=$1
shift

need_rust
need git=git tmux=tmux cc=gcc jq=jq script=bsdutils setsid=util-linux ps=procps
logs=${CMW_FLAKY_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
busy=''
stop() {
    # shellcheck disable=SC2086 # a list of process ids
    [ -z "$busy" ] || kill $busy 2>/dev/null || :
    [ -n "${CMW_FLAKY_LOGS:-}" ] || rm -rf "$logs"
}
trap stop EXIT
trap 'exit 130' INT TERM

part "build" cargo test --quiet --features test-clock,seeded-faults --test live --no-run
for _ in 1 2; do
    while :; do :; done &
    busy="$busy $!"
done

round=0 bad=0
: >"$logs/failed"
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    log=$logs/round-$round
    if live_tests "$@" >"$log" 2>&1; then
        say "round $round: clean"
        continue
    fi
    bad=$((bad + 1))
    failed=$(sed -n '/^failures:$/,$s/^    \([a-z_0-9:]*\)$/\1/p' "$log" | sort -u)
    if [ -z "$failed" ]; then
        tail -n 40 "$log"
        failed="(no test: see above)"
    fi
    printf '%s\n' "$failed" >>"$logs/failed"
    say "round $round: failed"
    sed -n '/^failures:$/,$p' "$log"
done

say "$bad of $rounds rounds failed"
sort "$logs/failed" | uniq -c | sort -rn
[ "$bad" -eq 0 ]
