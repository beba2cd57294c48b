#!/bin/sh
# Resolve pyproject.toml into the locks: names, versions and hashes, and no address.
#
# Releases younger than five days are left out: most that are withdrawn are withdrawn by then.
# UPGRADE=1 takes newer versions; without it only what pyproject.toml asks for changes.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .tools/uv/bin/uv)
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} \
        --exclude-newer "5 days" "$@"
}

compile pyproject.toml -o requirements.txt
compile pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
compile --group pyproject.toml:bench --fork-strategy fewest -c requirements-dev.txt -o requirements-bench.txt
echo uv | compile - -o ops/uv.txt

# An address of a registry, or of where a package asks for money, is an address too.
cd ops/peers
npm install --package-lock-only --ignore-scripts --min-release-age 5 --omit-lockfile-registry-resolved --loglevel error
node -e '
const { readFileSync, writeFileSync } = require("node:fs");
const lock = JSON.parse(readFileSync("package-lock.json"));
for (const found of Object.values(lock.packages)) delete found.funding;
writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n");'
