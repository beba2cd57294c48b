#!/bin/sh
# Make .venv with the locked dependencies and Mintage itself; does nothing when that is done.
#
# Needs Python 3.11 or newer with its venv module. Indexes, proxies and certificates are those that
# pip or uv are set up with on this machine. PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools

fail() {
    echo "install: $*" >&2
    exit 1
}

fingerprint() {
    { pwd; cat requirements-dev.txt pyproject.toml ops/uv.txt ops/uv.sh ops/install.sh; } | sha256sum
}

. ops/uv.sh

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "needs Python 3.11 or newer (apt-get install python3 python3-venv), or PYTHON=/path/to/one"
}

install_with_uv() {
    "$uv" venv --quiet --clear --python "$python" .venv &&
        "$uv" pip sync --quiet --compile-bytecode --python .venv --require-hashes requirements-dev.txt &&
        "$uv" pip install --quiet --python .venv --no-deps --no-build-isolation -e .
}

install_with_pip() {
    pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
    "$python" -m venv --clear .venv &&
        $pip install --require-hashes -r requirements-dev.txt &&
        $pip install --no-deps --no-build-isolation -e .
}

stamp=.venv/installed
if [ -x .venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$(fingerprint)" ]; then
    exit 0
fi

mkdir -p "$tools"
if command -v flock >/dev/null; then # a second install at the same time waits for the first
    exec 9>"$tools/lock"
    flock -w 900 9 || fail "another install has been running for 15 minutes"
    [ "$(cat $stamp 2>/dev/null)" != "$(fingerprint)" ] || exit 0
fi

began=$(date +%s)
python=$(find_python)
echo "install: getting the locked dependencies with $python" >&2
prepare_uv
uv=$(find_uv)
if [ -z "$uv" ] || ! install_with_uv; then
    echo "install: uv could not; trying pip" >&2
    install_with_pip || fail "could not get the locked dependencies"
fi
fingerprint >$stamp
echo "install: done in $(($(date +%s) - began)) s" >&2
