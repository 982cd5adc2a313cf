#!/bin/sh
# Runs the tests with the real client: installs Claude Code into target/claude (400 MB, from the npm
# registry) if it is missing, and runs it against a local scripted model. No account is needed, and
# the user's own settings are neither read nor written.
#   test-claude.sh [--short | FILTER…]
#     --short   only the few that take some seconds
#   CMW_CLAUDE_VERSION   another version than the one the tests were written for
#   CMW_CLAUDE_DIR       another directory for the client
#   CMW_CLAUDE_SLOW=1    also the tests that take minutes
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

filter=client::real::
case ${1:-} in
--short)
    [ $# -eq 1 ] || usage "scripts/test-claude.sh [--short | FILTER…]"
    filter=short_
    shift
    ;;
-*) usage "scripts/test-claude.sh [--short | FILTER…]" ;;
esac

need_rust
need git=git tmux=tmux cc=gcc npm=npm node=nodejs
version=${CMW_CLAUDE_VERSION:-2.1.330}
CMW_CLAUDE_DIR=${CMW_CLAUDE_DIR:-$root/target/claude}
export CMW_CLAUDE_DIR

# The version that the client prints; nothing if it is missing or cannot run.
installed() {
    HOME=$CMW_CLAUDE_DIR/home DISABLE_AUTOUPDATER=1 \
        "$CMW_CLAUDE_DIR/node_modules/.bin/claude" --version 2>/dev/null || :
}

if [ "$(installed)" != "$version (Claude Code)" ]; then
    # Node uses only its own certificates; the machine's may include that of a proxy.
    certificates=/etc/ssl/certs/ca-certificates.crt
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r "$certificates" ]; then export NODE_EXTRA_CA_CERTS=$certificates; fi
    say "installing Claude Code $version into $CMW_CLAUDE_DIR"
    mkdir -p "$CMW_CLAUDE_DIR/home"
    npm install --no-fund --no-audit --loglevel error --prefix "$CMW_CLAUDE_DIR" "@anthropic-ai/claude-code@$version"
    # Installs the program for this platform, also where npm runs no package scripts.
    node "$CMW_CLAUDE_DIR/node_modules/@anthropic-ai/claude-code/install.cjs"
    if [ "$(installed)" != "$version (Claude Code)" ]; then
        echo "error: Claude Code $version does not run here; it printed: $(installed)" >&2
        exit 69
    fi
fi

say "tests with Claude Code $version"
# One after the other: they measure times. The short ones have a name prefix.
[ $# -gt 0 ] || set -- "$filter"
exec cargo test --quiet --features test-clock,seeded-faults --test live -- \
    --ignored --test-threads 1 --show-output "$@"
