"""What is done with the data of a chat, beside a server or without one:

    python -m chatserver backup FILE     a copy of the database, also while a server uses it
    python -m chatserver check           whether all that must hold of what is stored holds

Each has `--store`, whose default is `CHAT_STORE`, as for the server.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from capnweb_sync.urls import without_password
from chatserver.errors import StartError
from chatserver.output import write_output
from chatserver.settings import OneSentence, from_environment, text
from chatserver.store import SHARED_SCHEMES, engine_of
from chatserver.store.check import Summary, findings
from chatserver.store.sqlite.backup import back_up
from chatserver.store.sqlite.contents import SqliteContents
from chatserver.store.sqlite.snapshot import snapshot

MAX_FINDINGS: Final = 100
"""What is told of a store that is broken: enough to see how."""


def run_data_command(arguments: Sequence[str]) -> int:
    """Do what a command line asks for, which begins with one of `COMMANDS`.

    Returns the exit status. Raises StartError with a sentence about what kept it from being done.
    """
    given = _parser().parse_args(arguments)
    run: Callable[[Namespace], int] = given.run
    return run(given)


def _parser() -> OneSentence:
    parser = OneSentence(prog="python -m chatserver", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=OneSentence)
    default = from_environment().store
    for name, run in COMMANDS.items():
        command = commands.add_parser(name, description=run.__doc__, allow_abbrev=False)
        command.add_argument(
            "--store",
            type=text,
            default=default,
            metavar="URL",
            help=f"where the log is (default: {without_password(default)})",
        )
        if run is _backup:
            command.add_argument("file", metavar="FILE", help="the copy; it must not be there yet")
        command.set_defaults(run=run)
    return parser


def _backup(given: Namespace) -> int:
    """Copy the database to FILE, as it is at this moment. A server that uses it goes on meanwhile.
    To restore: stop the server, put FILE in the place of its database, start it."""
    if engine_of(given.store) in SHARED_SCHEMES:
        raise StartError(
            "Redis makes its own copies: redis-cli BGSAVE writes dump.rdb, see docs/operations.md."
        )
    last_id = back_up(given.store, given.file)
    _say(f"{given.file} has everything up to event {last_id}.")
    return 0


def _check(given: Namespace) -> int:
    """Look at all that is stored, and say what does not hold of all that must. Changes nothing; a
    server that uses it goes on meanwhile. The exit status is 1 if something does not hold."""
    summary = Summary()
    told: list[str] = []
    try:
        with snapshot(given.store) as connection:
            found = findings(SqliteContents(connection), summary)
            told.extend(islice(found, MAX_FINDINGS))
    except StartError:
        raise
    except Exception as error:  # what somebody has written over may fail in any way
        told.append(f"It cannot be read to its end: {error!r}")
    for sentence in told:
        _say(sentence)
    more = " or more" if len(told) >= MAX_FINDINGS else ""
    result = f"{len(told)}{more} things do not hold" if told else "all that must hold holds"
    _say(f"{without_password(given.store)}: {summary}; {result}.")
    return 1 if told else 0


def _say(sentence: str) -> None:
    """Raises StartError."""
    failure = write_output(sentence + "\n")
    if failure is not None:
        raise StartError(f"Standard output cannot be written to: {failure.strerror}.")


COMMANDS: Final = {"backup": _backup, "check": _check}
"""By their names, what is done. What each says of itself is its help."""
