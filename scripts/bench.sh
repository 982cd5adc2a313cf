#!/bin/sh
# Measures the hot paths, with floors and peers, all in one interleaved run.
#   --quick   smaller repositories and stores, fewer rounds
#   --peers   also installs other hook managers (npm: lefthook, husky; pip: pre-commit, prek)
#   --only X  only the rows whose name contains X
# Only the ratios are meaningful: they come from the same run, against programs of the same build.
set -eu
. "$(dirname -- "$0")/lib.sh"
cd "$root"

rounds=41 size='' want_peers='' only=''
while [ $# -gt 0 ]; do
  case $1 in
    --quick) rounds=15 size=--quick ;;
    --peers) want_peers=1 ;;
    --only) only=${2:?}; shift ;;
    *) usage "scripts/bench.sh [--quick] [--peers] [--only PART]" ;;
  esac
  shift
done

need_rust
need git=git cc=gcc jq=jq chrt=util-linux
say "building (statically if possible)" >&2
target=$(static_target)
# shellcheck disable=SC2086 # the option and its word, or nothing
cargo build --quiet --profile dist --features bench ${target:+--target "$target"}
built=$root/target/${target:+$target/}dist

work=$(mktemp -d "$root/target/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

peers=
if [ -n "$want_peers" ]; then
  need npm=npm python3=python3
  peers=$root/target/bench-peers
  say "installing peers into $peers" >&2
  # Without install scripts: lefthook would install itself into the surrounding repository.
  npm install --ignore-scripts --silent --no-fund --no-audit --prefix "$peers/npm" lefthook husky >&2
  python3 -m venv "$peers/pip"
  "$peers/pip/bin/pip" install --quiet --disable-pip-version-check pre-commit prek >&2
fi

# On a shared machine only a real-time priority gives reproducible figures.
first=
if [ "$(id -u)" -eq 0 ] && chrt -f 5 true 2>/dev/null; then first='chrt -f 5'; fi

echo "cmw $("$built/cmw" --version | cut -d' ' -f2), ${target:-host target, not static}, $(git --version), $(uname -sr), $(nproc) processors, $rounds rounds${first:+, $first}"
# shellcheck disable=SC2086 # words
$first "$built/bench-driver" --tools "$built" --floors "$built" --work "$work" --rounds "$rounds" $size \
  ${only:+--only "$only"} ${peers:+--peers "$peers"}
