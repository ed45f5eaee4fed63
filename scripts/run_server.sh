#!/bin/sh
# Starts the chat server; the options are those of `python -m chatserver` (see --help).
# On a fresh machine it first makes .venv and installs the project.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up
exec "$venv/bin/python" -m chatserver "$@"
