#!/bin/sh
# Makes docs/pictures/*.svg from a real run: twelve demo agents on a tmux server of their own, mail,
# one killed agent (not restarted, for the picture), and a suspended lock holder, so that there is a
# queue. Needs git, tmux and python3 (installed if missing, where there is apt-get).
set -eu
. "$(dirname -- "$0")/lib.sh"
need git=git tmux=tmux python3=python3 pgrep=procps
find_tools
pictures=$root/docs/pictures
mkdir -p "$pictures"

work=$(mktemp -d "${TMPDIR:-/tmp}/demo.XXXX")
socket=cmw-pictures-$$
export TMUX_TMPDIR="$work" HOME="$work" GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C.UTF-8 TZ=UTC
unset TMUX TMUX_PANE CLAUDE_ROLE CLAUDECODE NO_COLOR || true
end() {
    (cd "$work/project" && cmw-session down --grace 3s >/dev/null 2>&1) || true
    tmux -L "$socket" kill-server 2>/dev/null || true
    # A process that is still writing may create a file during the removal.
    rm -rf "$work" 2>/dev/null || { sleep 2; rm -rf "$work"; }
}
trap end EXIT
trap 'exit 130' INT TERM

say "a repository and twelve agents"
mkdir "$work/project"
cd "$work/project"
git init -q -b main
git config user.name demo
git config user.email demo@example.invalid
printf '# project\n' >README.md
git add README.md
git commit -q -m first
git config cmw.health.restart false
cmw-init --quiet >/dev/null
printf 'set -g default-terminal tmux-256color\nset -g status-interval 1\n' >"$work/tmux.conf"
tmux -L "$socket" -f "$work/tmux.conf" new-session -d -s keep 'sleep 3600'
cmw-session up --socket "$socket" --size 200x50 --agent 'cmw-demo-agent --every 3s' >/dev/null 2>&1

# A terminal outside the session, in which the script types as a person would.
tmux -L "$socket" new-session -d -s person -x 100 -y 26 "cd '$work/project' && PS1='\$ ' exec bash --norc --noprofile -i"
type_in() { tmux -L "$socket" send-keys -t =person: -l "$1"; }
press() { tmux -L "$socket" send-keys -t =person: "$@"; }
shot() { # FILE TITLE [TARGET]
    tmux -L "$socket" capture-pane -e -N -p -t "${3:-=person:}" | "$root/scripts/ansi-to-svg.py" "$2" >"$pictures/$1.svg"
}

say "work for a while"
sleep 20
cmw-send Dev-A --subject 'the parser' 'please look at the parser first' >/dev/null 2>&1
cmw-send @qa --subject 'release' 'what is missing for the release?' >/dev/null 2>&1

pid_of() { tmux -L "$socket" list-panes -a -F '#{pane_pid} #{@cmw_role}' | sed -n "s/ $1\$//p"; }

say "one agent is killed, and the lock's holder is suspended"
kill -9 "$(pid_of QA-B)"
holding() { cmw-lock status | sed -n 's/^\([A-Za-z-]*\) holds WL-.*/\1/p' || true; }
# Not the agent itself, which tmux would continue, but its commit. It may end between the check and the signal.
while :; do
    holder=$(holding)
    [ -n "$holder" ] || continue
    commit=$(pgrep -P "$(pid_of "$holder")" -x cmw-commit) || continue
    kill -STOP "$commit" 2>/dev/null || continue
    sleep 0.5
    [ "$(holding)" != "$holder" ] || break
    kill -CONT "$commit" 2>/dev/null || true
done
sleep 8

say "pictures"
type_in 'clear; cmw-health'
press Enter
sleep 2
shot table 'cmw-health'
type_in 'clear; cmw-health --watch'
press Enter
sleep 2
press j j j
sleep 1
shot watch 'cmw-health --watch'
press r
sleep 1
shot watch-question 'cmw-health --watch: a confirmation before an action'
press n q
sleep 1
kill -CONT "$commit"
# The session as a person sees it: a client in a pane of another server, whose screen is captured.
tmux -L "$socket-outer" -f "$work/tmux.conf" new-session -d -s outer -x 200 -y 50 \
    "TMUX= tmux -L '$socket' attach -t =claude-multi"
sleep 3
tmux -L "$socket-outer" set -g status off
sleep 1
tmux -L "$socket-outer" capture-pane -e -N -p -t =outer: | "$root/scripts/ansi-to-svg.py" 'the session' >"$pictures/session.svg"
tmux -L "$socket-outer" kill-server
ls -l "$pictures"
