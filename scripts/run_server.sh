#!/bin/sh
# Starts the chat server; the options are those of `python -m chatserver` (see --help).
# On a fresh machine it first makes .venv, installs the project, and gets the modules of the page.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up
set_up_page || true
exec "$venv/bin/python" -m chatserver "$@"
