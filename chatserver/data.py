"""What is done with the data of a chat, beside a server or without one:

    python -m chatserver backup FILE     a copy of the database, also while a server uses it
    python -m chatserver check           whether all that must hold of what is stored holds
    python -m chatserver export FILE     all that is stored, as lines of JSON
    python -m chatserver import FILE     a store of what was exported, of whichever engine

Each has `--store`, whose default is `CHAT_STORE`, as for the server.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from redis.exceptions import RedisError

from capnweb_sync.urls import without_password
from chatserver.errors import StartError
from chatserver.output import write_output
from chatserver.settings import OneSentence, from_environment, text
from chatserver.store import SHARED_SCHEMES, engine_of
from chatserver.store.check import Summary, findings
from chatserver.store.contents import Contents
from chatserver.store.copies import contents_of, make_of, new_file
from chatserver.store.lines import FileContents, write_lines
from chatserver.store.sqlite.backup import back_up

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
        if run is not _check:
            command.add_argument("file", metavar="FILE")
        command.set_defaults(run=run)
    return parser


def _backup(given: Namespace) -> int:
    """Copy the database to FILE, as it is at this moment. A server that uses it goes on meanwhile.
    To restore: stop the server, put FILE in the place of its database, start it."""
    if engine_of(given.store) in SHARED_SCHEMES:
        raise StartError(
            "Redis makes its own copies: redis-cli BGSAVE writes dump.rdb, see docs/operations.md."
        )
    with new_file(given.file) as unfinished:
        last_id = back_up(given.store, unfinished)
    _say(f"{given.file} has everything up to event {last_id}.")
    return 0


def _check(given: Namespace) -> int:
    """Look at all that is stored, and say what does not hold of all that must. Changes nothing; a
    server on SQLite goes on meanwhile, those on Redis are to be stopped. The exit status is 1 if
    something does not hold."""
    with _reading(given.store), contents_of(given.store) as contents:
        return _told(contents, without_password(given.store))


def _told(contents: Contents, shown: str) -> int:
    """Say what does not hold of what a store holds, or that all does; the exit status."""
    summary = Summary()
    told: list[str] = []
    try:
        told.extend(islice(findings(contents, summary), MAX_FINDINGS))
    except (StartError, RedisError):
        raise
    except FileNotFoundError:
        raise StartError(f"There is no file {shown}.") from None
    except Exception as error:  # what somebody has written over may fail in any way
        told.append(f"It cannot be read to its end: {error!r}")
    for sentence in told:
        _say(sentence)
    more = " or more" if len(told) >= MAX_FINDINGS else ""
    things = "1 thing does" if len(told) == 1 else f"{len(told)}{more} things do"
    result = f"{things} not hold" if told else "all that must hold holds"
    _say(f"{shown}: {summary}; {result}.")
    return 1 if told else 0


def _export(given: Namespace) -> int:
    """Write all that is stored to FILE, as lines of JSON. It has the secrets of all who are there:
    keep it as you keep the database. Stop the server first; what it stores later is not in FILE."""
    with (
        _reading(given.store),
        contents_of(given.store) as contents,
        new_file(given.file) as unfinished,
        open(unfinished, "wb") as file,
    ):
        lines = write_lines(contents.records(), file)
    _say(f"{given.file} has {lines} lines.")
    return 0


def _import(given: Namespace) -> int:
    """Make the store of what FILE holds, which is looked at first as `check` does. The store must
    have no log yet. Ids, epoch and secrets stay, so clients go on where they were."""
    contents = FileContents(given.file)
    try:
        status = _told(contents, given.file)
        if status == 0:
            make_of(contents, given.store)
            _say(f"{without_password(given.store)} has it all.")
    except OSError as error:
        raise StartError(f"Cannot read {given.file} ({error.strerror}).") from None
    return status


@contextmanager
def _reading(store: str) -> Iterator[None]:
    """In the block, what keeps Redis from being read is told as what keeps a server from
    starting."""
    try:
        yield
    except RedisError as error:
        raise StartError(f"Cannot read {without_password(store)} ({error}).") from None


def _say(sentence: str) -> None:
    """Raises StartError."""
    failure = write_output(sentence + "\n")
    if failure is not None:
        raise StartError(f"Standard output cannot be written to: {failure.strerror}.")


COMMANDS: Final = {"backup": _backup, "check": _check, "export": _export, "import": _import}
"""By their names, what is done. What each says of itself is its help."""
