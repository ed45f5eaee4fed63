#!/bin/sh
# Writes deploy/requirements.lock: what the container image is built from, version by version and
# digest by digest. To be run when setup.cfg has changed, or for newer versions.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"

set_up
cd "$repository"
tools=$(mktemp -d)
trap 'rm -rf -- "$tools"' EXIT
"$venv/bin/python" -m pip install -qq --target "$tools" uv
# What builds the project is locked, too.
echo setuptools | "$tools/bin/uv" pip compile --quiet --upgrade --universal --generate-hashes \
    --python-version 3.12 --no-annotate --custom-compile-command scripts/lock_image.sh \
    --output-file deploy/requirements.lock setup.cfg -
