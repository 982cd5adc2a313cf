#!/bin/sh
# Starts one role. Its pane is found by its name; a pane number is accepted and ignored.
# In the repository: start-instance.sh ROLE [PANE] [--agent CMD]
set -eu
. "$(dirname -- "$0")/lib.sh"
[ $# -ge 1 ] || usage "start-instance.sh ROLE [PANE] [--agent CMD]"
find_tools
role=$1
shift
case ${1-} in [0-9]*) shift ;; esac
exec cmw-session start "$role" "$@"
