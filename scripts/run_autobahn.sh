#!/bin/sh
# Runs Autobahn's test suite for WebSockets against this server: run_autobahn.sh [cases…]
#
# Without arguments sections 1 to 7, 9 and 10 (5 minutes): compression, sections 12 and 13, is not
# offered. The suite (autobahntestsuite on PyPI) needs Python 2.7, as python2.7 on the PATH or as
# PYTHON2=/path/to/python2.7. It is installed into .venv/autobahn the first time. The exit status is
# 0 if every case is OK or, for binary messages, refused with 1003.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"
set_up test

python2=${PYTHON2:-python2.7}
"$python2" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null \
    || fail "The suite needs Python 2.7: install it, and name it as PYTHON2=/path/to/python2.7."
suite=$venv/autobahn
if [ ! -e "$suite/.installed" ]; then
    say "Installing the suite into $suite (once) …"
    "$python2" -m pip install --quiet --disable-pip-version-check --target "$suite" \
        autobahntestsuite==0.8.2 >&2 || fail 'The suite could not be installed, see above.'
    : >"$suite/.installed"
fi
cd "$repository"
exec "$venv/bin/python" -m tests.autobahn "$python2" "$suite" "$@"
