#!/bin/sh
# Stops one role: it is asked to end, then its lock, its place in the queue and its pane are
# released.
# In the repository: shutdown-instance.sh ROLE [PANE] [--grace 10s]
set -eu
. "$(dirname -- "$0")/lib.sh"
[ $# -ge 1 ] || usage "shutdown-instance.sh ROLE [PANE] [--grace 10s]"
find_tools
role=$1
shift
case ${1-} in [0-9]*) shift ;; esac
exec cmw-session stop "$role" "$@"
