#!/bin/sh
# Attacks a server of its own in every known way, with bystanders, and prints what that cost them:
# run_attacks.sh [--seconds 20] [--scale 1] [names…] (all options: --help).
#
# On a fresh machine it first installs the project. Only this machine is attacked.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"

set_up
cd "$repository"
exec "$venv/bin/python" -m tests.attacks "$@"
