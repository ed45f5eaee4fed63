#!/bin/sh
# Makes the documentation a site: build_docs.sh [FOLDER]. It comes into build/docs, or another folder.
# A warning, such as a link that leads nowhere, is an error.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up docs

site=${1:-$repository/build/docs}
"$venv/bin/python" -m sphinx --fail-on-warning --keep-going --quiet -b html "$repository/docs" "$site"
printf '%s\n' "$site/index.html"
