#!/bin/sh
# Runs the linters, the type checker and the tests: run_tests.sh [--full] [--no-lint] [--coverage] [pytest options]
#
#   --full     the long tests at their full length
#   --no-lint  the tests alone
#   --coverage which branches they take, processes included; the table comes last
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
for argument in "$@"; do
    shift
    case $argument in
        --no-lint) lint= ;;
        --coverage) coverage=yes ;;
        --full)
            test_deadline=$full_test_deadline
            processes=0
            set -- "$@" --full
            ;;
        *) set -- "$@" "$argument" ;;
    esac
done

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

set_up test
cd "$repository"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    missing 'node and npm are not here: no tests against the reference implementation'
elif ! install_node_packages tests/interop || ! install_node_packages tests/deploy; then
    missing 'npm ci failed: no tests against the reference implementation'
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

[ -z "$failed" ] || fail "
FAILED: $failed"
