#!/bin/sh
# Creates the tmux session with one pane for each role; no role is started, nothing is attached.
# In the repository: setup-tmux-session.sh [--size WxH] [--agent CMD]
set -eu
. "$(dirname -- "$0")/lib.sh"
find_tools
exec cmw-session up --no-start "$@"
