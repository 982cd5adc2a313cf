#!/bin/sh
# Shows the instances: a table, problems first.
# In the repository: health-check.sh [--json | --watch]
set -eu
. "$(dirname -- "$0")/lib.sh"
find_tools
exec cmw-health "$@"
