#!/bin/sh
# Measures this server beside others: run_bench.sh [--quick] [names…] (all options: --help).
#
# On a fresh machine it first installs the project and the other servers into bench/ (.venv and
# node_modules). It prints tables in Markdown and keeps them in bench/results.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
bench=$repository/bench
venv=$bench/.venv

# install_unless_as_before FILE STAMP COMMAND…: run it if FILE is not what it was at the last success.
install_unless_as_before() {
    file=$1
    stamp=$2
    shift 2
    cmp -s -- "$file" "$stamp" && return
    say "Installing what $file names …"
    "$@" >&2 && cp -- "$file" "$stamp"
}

set_up
cd "$bench"
install_unless_as_before requirements.txt .venv/.installed-peers \
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt \
    || fail 'The other Python servers could not be installed, see above.'
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say '!! node and npm are not here: without the servers that run on Node.js'
elif ! install_unless_as_before package-lock.json node_modules/.installed-lock.json npm ci --silent; then
    say '!! npm ci failed: without the servers that run on Node.js'
    rm -rf node_modules
fi
cd "$repository"
exec "$venv/bin/python" -m bench "$@"
