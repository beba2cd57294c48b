# Sourced by what installs: where uv is, and how it is told what pip on this machine knows.
#
# Needs `fail`, and `python` and `tools` set to an interpreter and to a folder of ours.

pip_setting() { # name; pip's own answer, from its files and its environment
    "$python" -m pip config list 2>/dev/null |
        sed -n "s/^[a-z:.]*\.$1='\(.*\)'\$/\1/p" | tail -n 1
}

prepare_uv() { # uv knows nothing of pip's settings: hand them over where uv has none of its own
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        index=$(pip_setting index-url)
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        certificates=$(pip_setting cert)
        [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
    fi
    [ -w "${HOME:-/nonexistent}" ] || export UV_CACHE_DIR="$tools/cache"
}

find_uv() { # prints nothing where uv cannot be had
    if uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv module is missing: \
apt-get install python3-venv (or python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv)"
    if ! "$tools/uv/bin/uv" --version >/dev/null 2>&1; then
        "$python" -m venv --clear "$tools/uv"
        "$tools/uv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --require-hashes -r ops/uv.txt >&2 || return 0
    fi
    echo "$tools/uv/bin/uv"
}
