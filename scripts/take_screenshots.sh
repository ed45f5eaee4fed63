#!/bin/sh
# Takes the pictures of the page that stand in docs/.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up test
set_up_page
command -v chromium >/dev/null || apt_install chromium fonts-noto-color-emoji ||
    fail 'This needs Chromium and a font with emoji.'
cd "$repository"
exec "$venv/bin/python" -m tests.web.screenshots docs
