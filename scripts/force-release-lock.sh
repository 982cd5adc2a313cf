#!/bin/sh
# Releases the write lock held by another role; for the Orchestrator and the User.
# In the repository: force-release-lock.sh [--requester ROLE] [--reason TEXT]
set -eu
. "$(dirname -- "$0")/lib.sh"
requester=
reason="forced by hand"
while [ $# -gt 0 ]; do
    case $1 in
    --requester) requester=${2-} ;;
    --reason) reason=${2-} ;;
    *) usage "force-release-lock.sh [--requester ROLE] [--reason TEXT]" ;;
    esac
    [ $# -ge 2 ] || usage "force-release-lock.sh [--requester ROLE] [--reason TEXT]"
    shift 2
done
find_tools
# cmw-lock identifies the caller; a requester that does not match is refused there.
exec cmw-lock force-release --reason="$reason" ${requester:+--as="$requester"}
