#!/bin/sh
# Runs twelve demo agents through a night of injected faults, and checks afterwards that nothing was
# lost.
#   night-shift.sh [--short | --hours N | --quiet-hour] [--seed N]
#     --short        forty seconds, and a shorter run whose clock is years off
#     --hours N      for N hours (default 8)
#     --quiet-hour   an hour without faults: no alarm may be raised
#     --seed N       repeats a night; each run prints its seed
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

how="scripts/night-shift.sh [--short | --hours N | --quiet-hour] [--seed N]"
seconds=28800
filter=a_night
while [ $# -gt 0 ]; do
    case $1 in
    --short) seconds=40 ;;
    --hours)
        [ $# -ge 2 ] || usage "$how"
        seconds=$((${2} * 3600))
        shift
        ;;
    --quiet-hour)
        filter=a_quiet
        CMW_QUIET_SECONDS=${CMW_QUIET_SECONDS:-3600}
        export CMW_QUIET_SECONDS
        ;;
    --seed)
        [ $# -ge 2 ] || usage "$how"
        CMW_NIGHT_SEED=$2
        export CMW_NIGHT_SEED
        shift
        ;;
    *) usage "$how" ;;
    esac
    shift
done

need_rust
need git=git tmux=tmux cc=gcc setsid=util-linux ps=procps
CMW_NIGHT_SECONDS=$seconds
export CMW_NIGHT_SECONDS
say "the night shift: $filter, $seconds s"
exec cargo test --quiet --features test-clock,seeded-faults --test soak "session::night_shift::$filter" -- --ignored --nocapture --test-threads 1
