#!/bin/sh
# The one-screen status: instances, lock, queue, mail. In the repository: health-check.sh [--json]
set -eu
. "$(dirname -- "$0")/lib.sh"
find_tools
exec cmw "$@"
