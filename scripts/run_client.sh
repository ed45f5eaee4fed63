#!/bin/sh
# Starts the terminal client; the options are those of `python -m chatclient` (see --help).
# On a fresh machine it first makes .venv and installs the project.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up
exec "$venv/bin/python" -m chatclient "$@"
