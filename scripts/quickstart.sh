#!/bin/sh
# From a fresh clone to twelve running agents in tmux, on a machine with Rust and git.
set -eu
. "$(dirname -- "$0")/lib.sh"

help() {
    cat <<'TEXT'
usage: quickstart.sh [REPO] [--agent CMD] [--roles N] [--seconds N]

Installs missing packages, builds, sets up REPO (default: a sample repository) and starts one agent
for each role in a tmux session. It can be run again safely.

  --agent CMD    the command that panes run; `claude` is the real client (it costs money);
                 default: demo agents
  --roles N      the number of roles (default 12)
  --seconds N    let them work N seconds, show the status, and stop them (default: keep them
                 running)
TEXT
}

repo='' agent='' roles='' seconds=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help; exit 0 ;;
    --agent | --roles | --seconds)
        [ $# -ge 2 ] || { help >&2; exit 2; }
        case $1 in
        --agent) agent=$2 ;;
        --roles) roles=$2 ;;
        --seconds) seconds=$2 ;;
        esac
        shift 2 ;;
    -*) help >&2; exit 2 ;;
    *) [ -z "$repo" ] || { help >&2; exit 2; }; repo=$1; shift ;;
    esac
done
case $roles$seconds in *[!0-9]*) help >&2; exit 2 ;; esac

# Installs what is missing, and builds; `part` calls it.
# shellcheck disable=SC2317
build() {
    need_rust || return 1
    need tmux=tmux git=git cc=gcc || return 1
    target=$(static_target)
    say "building (release${target:+, $target})"
    (cd "$root" && cargo build --release --bins ${target:+--target "$target"})
}

# A repository with some history, to try things out.
sample() {
    mkdir -p "$1"
    git -C "$1" init -q
    git -C "$1" config user.name "Sample"
    git -C "$1" config user.email "sample@cmw.invalid"
    for step in 1 2 3; do
        printf 'This is a sample repository. Step %s.\n' "$step" >"$1/README.md"
        printf 'note %s\n' "$step" >>"$1/notes.txt"
        git -C "$1" add README.md notes.txt
        git -C "$1" commit -q -m "sample: step $step"
    done
}

choose_repo() {
    if [ -z "$repo" ]; then
        repo=$PWD/demo-repo
        [ -w "$PWD" ] || repo=$(mktemp -d)/demo-repo
    fi
    if [ -e "$repo/.git" ]; then
        say "repository: $repo"
    elif [ ! -e "$repo" ] || [ -z "$(ls -A -- "$repo")" ]; then
        say "creating a sample repository: $repo"
        sample "$repo"
    else
        echo "error: $repo is not empty, and not the top of a git repository" >&2
        echo "next: git -C '$repo' init" >&2
        exit 78
    fi
    repo=$(CDPATH='' cd -- "$repo" && pwd)
}

started=$(date +%s)
part "building" build
find_tools
choose_repo
say "setting up"
cmw-init --repo "$repo" ${roles:+--roles "$roles"} --quiet
case $agent in claude*) say "each role runs the real client: it costs money" ;; esac
say "starting"
code=0
cmw-session --repo "$repo" up ${agent:+--agent "$agent"} || code=$?
case $code in
0 | 75) ;;
1)
    # It is already running; or another problem, which `up` has reported.
    case $(cmw-session --repo "$repo" status --json) in *'"up":true'*) code=0 ;; *) exit 1 ;; esac
    ;;
*) exit "$code" ;;
esac
say "from nothing to a running session $(since "$started")"
sleep "${seconds:-5}"
cmw --repo "$repo"
if [ -n "$seconds" ]; then
    cmw-session --repo "$repo" down
    exit "$code"
fi
cat <<TEXT

watch them work:  cmw-session attach          (leave with Ctrl-b d; they keep running)
see their work:   git log --oneline
show the status:  cmw
stop them:        cmw-session down

  in this shell, first:  export PATH="$tools:\$PATH"; cd '$repo'
TEXT
exit "$code"
