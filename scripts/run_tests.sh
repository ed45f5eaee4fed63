#!/bin/sh
# Runs the linters, the type checker and the tests: run_tests.sh [OPTION …] [pytest options]
#
#   --full            the long tests at their full length; then, shortly, what has to pass as well:
#                     the lowest versions of what is needed, and the newest of the reference
#   --no-lint         the tests alone
#   --coverage        which branches they take, processes included; the table comes last
#   --python VERSION  with another Python, such as 3.13, in an environment of its own
#   --lowest          with the lowest versions that setup.cfg allows, on Python 3.10
#
# On a fresh machine it first installs what they need. Every step runs, whatever the ones before it
# said; the exit status is 0 only if all went well. Where a tool cannot be had, the tests that need
# it are skipped and a line says so; with CI=true that is a failure.
set -eu
scripts=$(dirname -- "$0")
. "$scripts/environment.sh"

# Seconds after which a hung test is ended with the stacks of all threads.
test_deadline=120
full_test_deadline=1800

# How many tests run at a time: one for each core. At full length each has the machine for itself.
processes=auto

lint=yes
coverage=
full=
option=
for argument in "$@"; do
    shift
    case $option$argument in
        --python) option=--python= ;;
        --python=*)
            option=
            python_version=${argument#--python=}
            venv=$repository/.venv-$python_version
            ;;
        --lowest)
            python_version=3.10
            lowest=yes
            venv=$repository/.venv-lowest
            ;;
        --no-lint) lint= ;;
        --coverage) coverage=yes ;;
        --full)
            full=yes
            test_deadline=$full_test_deadline
            processes=0
            set -- "$@" --full
            ;;
        *) set -- "$@" "$argument" ;;
    esac
done
[ -z "$option" ] || fail 'Which Python? --python 3.13, say.'

failed=

# step NAME COMMAND…: run it and remember whether it failed.
step() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" || failed="$failed${failed:+, }$name"
}

# missing WHAT: tests are skipped; loud, and a failure in CI.
missing() {
    say "!! $1"
    [ "${CI:-}" != true ] || failed="$failed${failed:+, }$1"
}

# install_node_packages FOLDER: its npm packages, as its lock file has them.
install_node_packages() {
    lock=$1/package-lock.json
    installed=$1/node_modules/.installed-lock.json
    cmp -s "$lock" "$installed" && return
    (cd "$1" && npm ci --no-fund --no-audit --silent) && cp "$lock" "$installed"
}

# Prometheus's judge of alerts alone: its package brings a server besides, which nobody asked for.
get_promtool() {
    ! command -v promtool >/dev/null && [ ! -x "$venv/bin/promtool" ] || return 0
    command -v dpkg-deb >/dev/null && command -v apt-get >/dev/null || return 1
    unpacked=$(mktemp -d)
    (cd "$unpacked" && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .) \
        >/dev/null 2>&1 && mv "$unpacked/usr/bin/promtool" "$venv/bin/"
    found=$?
    rm -rf -- "$unpacked"
    return $found
}

# newest_reference: the tests against the npm package, in a copy of all this that has its newest
# release.
newest_reference() {
    copy=$(mktemp -d)
    tar -C "$repository" --exclude='.venv*' --exclude=node_modules --exclude=.git -cf - . |
        tar -C "$copy" -xf -
    (
        cd "$copy/tests/interop" &&
            npm install --no-fund --no-audit --silent capnweb@latest && npm ls capnweb &&
            cd "$copy" && "$venv/bin/python" -m pytest -q -n "$processes" tests/interop
    )
    status=$?
    rm -rf -- "$copy"
    return $status
}

set_up test
cd "$repository"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    missing 'node and npm are not here: no tests against the reference implementation'
elif ! install_node_packages tests/interop || ! install_node_packages tests/deploy; then
    missing 'npm ci failed: no tests against the reference implementation'
fi
if ! install_node_packages tests/capnweb_sync/typed; then
    missing 'npm ci failed: typed APIs are not checked with pyright'
fi
if ! set_up_page || ! install_node_packages tests/web; then
    missing 'npm ci failed: no tests of the page'
elif ! command -v chromium >/dev/null && ! apt_install chromium fonts-noto-color-emoji; then
    missing 'chromium is not here: no tests of the page'
fi
if ! command -v redis-server >/dev/null && ! apt_install redis-server; then
    missing 'redis-server is not here: no tests of the Redis store'
fi
if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null && ! apt_install nginx-light; then
    missing 'nginx is not here: its configuration is not tested'
fi
if ! get_promtool; then
    missing 'promtool is not here: the alerts are not tested'
fi

if [ "$lint" ]; then
    step 'ruff check' "$venv/bin/ruff" check .
    step 'ruff format' "$venv/bin/ruff" format --check .
    step 'mypy --strict' "$venv/bin/mypy" --strict
fi

# run_pytest OPTION…: those tests; that there are none of them is no failure.
run_pytest() {
    status=0
    "$venv/bin/${coverage:+coverage}${coverage:-python}" ${coverage:+run} -m pytest \
        -o faulthandler_timeout=$test_deadline -o faulthandler_exit_on_timeout=true "$@" || status=$?
    [ $status = 0 ] || [ $status = 5 ]
}

[ -z "$coverage" ] || "$venv/bin/coverage" erase
step 'pytest' run_pytest -n "$processes" --dist worksteal -m 'not alone' "$@"
step 'pytest, one by one' run_pytest -m alone "$@"
if [ "$coverage" ]; then
    "$venv/bin/coverage" combine --quiet
    step 'coverage' "$venv/bin/coverage" report --show-missing --skip-covered
fi
if [ "$full" ]; then
    step 'lowest versions' "$0" --lowest --no-lint
    # It tells what is coming, and is no failure of ours.
    printf '\n== newest reference\n'
    newest_reference || say '!! The newest npm package behaves otherwise, or could not be had: see above.'
fi

[ -z "$failed" ] || fail "
FAILED: $failed"
