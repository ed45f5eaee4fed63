#!/bin/sh
# Makes what others install, a .tar.gz and a .whl with the chat's page in it: build_dist.sh [FOLDER]
# They come into dist/, or into another folder.
#
# `python -m build` makes the same, but a wheel without the npm packages that the page is built on.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up dist
set_up_page || fail 'A wheel without the page is what `python -m build` makes.'

dist=${1:-$repository/dist}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$repository"
"$venv/bin/python" -m build --sdist --outdir "$work" . >&2
tar -xzf "$work"/*.tar.gz -C "$work"
source=$(echo "$work"/*/)
modules=$source/chatserver/web/modules
mkdir -- "$modules"
# A file that is served, and what its author wants said with it.
for package in capnweb htm preact; do
    (cd "$venv.web/node_modules" &&
        find "$package" \( -name 'LICENSE*' -o -path capnweb/dist/index.js -o -path htm/dist/htm.mjs \
            -o -path preact/dist/preact.mjs -o -path preact/hooks/dist/hooks.mjs \) |
        tar -cf - -T -) | tar -xf - -C "$modules"
done
mkdir -p -- "$dist"
"$venv/bin/python" -m build --wheel --outdir "$dist" "$source" >&2
mv -- "$work"/*.tar.gz "$dist"
"$venv/bin/python" -m twine check --strict "$dist"/*.whl "$dist"/*.tar.gz >&2
printf '%s\n' "$dist"/*.whl "$dist"/*.tar.gz
