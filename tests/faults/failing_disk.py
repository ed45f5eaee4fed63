"""The chat server on a disk that fails on demand: `python -m tests.faults.failing_disk`.

What it is to do is in the file that CHAT_TEST_FAILURE names, one of `disk_failures.FAILURES`; empty
or missing: nothing. The failure comes from where SQLite's would come from, so everything of ours
above it runs as it is. It is for what no test can do to a real disk: root may write anywhere, and
no disk fails exactly between a commit and its answer.
"""

from gevent import monkey

monkey.patch_all()

import functools  # noqa: E402 - gevent patches before anything else is imported
import os  # noqa: E402
import sqlite3  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, cast  # noqa: E402

import chatserver.store.sqlite as engine  # noqa: E402
from chatserver.__main__ import main  # noqa: E402
from chatserver.store.sqlite.schema import connect  # noqa: E402
from tests.faults.disk_failures import (  # noqa: E402
    AFTER_COMMIT,
    BEFORE_COMMIT,
    IN_THE_MIDDLE,
    READ_ONLY,
    VARIABLE,
)


def failure() -> str:
    """What fails at this moment."""
    try:
        return Path(os.environ[VARIABLE]).read_text()
    except FileNotFoundError:
        return ""


class FailingConnection:
    """A connection to the database whose statements fail as `failure` says."""

    def __init__(self, path: str, synchronous: str) -> None:
        if failure() == READ_ONLY:
            raise sqlite3.OperationalError("unable to open database file")
        self._connection = connect(path, synchronous)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Fails at the end of a transaction."""
        failing = failure() if statement == "COMMIT" else ""
        if failing == READ_ONLY:
            raise sqlite3.OperationalError("attempt to write a readonly database")
        if failing == BEFORE_COMMIT:
            raise sqlite3.OperationalError("disk I/O error")
        cursor = self._connection.execute(statement, *parameters)
        if failing == AFTER_COMMIT:
            raise sqlite3.OperationalError("disk I/O error")
        return cursor

    def executemany(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Fails when events are stored and their keys are not yet."""
        if failure() == IN_THE_MIDDLE and "INTO sent" in statement:
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.executemany(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def connect_failing(path: str, synchronous: str) -> sqlite3.Connection:
    """Stands in for `schema.connect`."""
    return cast("sqlite3.Connection", FailingConnection(path, synchronous))


if __name__ == "__main__":
    engine.SqliteStore = functools.partial(  # type: ignore[misc, assignment]
        engine.SqliteStore, connect_to=connect_failing
    )
    sys.exit(main())
