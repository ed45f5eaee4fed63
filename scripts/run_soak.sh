#!/bin/sh
# Lets a crowd chat while connections break and servers die, for as long as one wants, and judges
# every minute whether anything was lost or doubled:
#
#   run_soak.sh [--minutes N] [--seed N] [--store URL] [--workers N] [--steady]   (see --help)
#
# The exit status is 0 if nothing was found. On a fresh machine it first makes .venv and installs
# the project.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up test
cd "$repository"
exec "$venv/bin/python" -m tests.faults.soak "$@"
