#!/bin/sh
# Stops all roles, the Orchestrator last, and ends the session.
# In the repository: shutdown-all-instances.sh [--grace 10s]
set -eu
. "$(dirname -- "$0")/lib.sh"
find_tools
exec cmw-session down "$@"
