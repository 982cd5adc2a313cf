#!/bin/sh
# Leaves twelve demo agents alone for a night in which everything goes wrong, and looks afterwards whether anything was lost.
#   night-shift.sh [--short | --hours N | --quiet-hour] [--seed N]
#     --short        two minutes, and a shorter one whose clock is years off
#     --hours N      so long (default 8)
#     --quiet-hour   an hour in which nothing goes wrong: nobody may raise an alarm
#     --seed N       the same night again; each run says its seed
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

how="scripts/night-shift.sh [--short | --hours N | --quiet-hour] [--seed N]"
seconds=28800
filter=a_night
while [ $# -gt 0 ]; do
    case $1 in
    --short) seconds=120 ;;
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
exec cargo test --quiet --features test-clock,seeded-faults --test night_shift "$filter" -- --ignored --nocapture --test-threads 1
