#!/bin/sh
# Get what the benchmarks compare with and draw with: from PyPI into .venv, from npm into .venv/bench-peers.
#
# Nothing else needs any of it. A new .venv begins without; run again where nothing is missing, it takes a second.
# Every version and hash is locked; registries are those that pip, uv and npm are set up with on this machine.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools
# The one that .venv was made with: .venv itself may have no pip to ask for its settings.
python=$(.venv/bin/python -c 'import sys; print(sys._base_executable)')
peers=.venv/bench-peers

fail() {
    echo "bench: $*" >&2
    exit 1
}

. ops/uv.sh

echo "bench: getting the other ways" >&2
prepare_uv
uv=$(find_uv)
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --python .venv --require-hashes -r requirements-bench.txt
else
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-bench.txt
fi || fail "could not get them from PyPI"

if ! command -v npm >/dev/null; then
    echo "bench: no npm (apt-get install npm), so emmett and message-db are left out" >&2
    exit 0
fi
cmp -s ops/peers/package-lock.json "$peers/installed" && exit 0
mkdir -p "$peers"
cp ops/peers/package.json ops/peers/package-lock.json "$peers"
npm ci --prefix "$peers" --ignore-scripts --no-audit --no-fund --loglevel error ||
    fail "could not get them from npm"
cp ops/peers/package-lock.json "$peers/installed"
