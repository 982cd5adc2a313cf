#!/bin/sh
# Creates the session if there is none, and starts all roles that are not running: Orchestrator,
# Librarian, then the others. Waits until they have registered.
# In the repository: start-all-instances.sh [--agent CMD]
set -eu
. "$(dirname -- "$0")/lib.sh"
find_tools
if cmw-session layout >/dev/null 2>&1; then
    exec cmw-session start all "$@"
fi
exec cmw-session up "$@"
