"""The database file: connecting to it, what is in it, and how older ones become like it.

A file is told by its header: `application_id` says that it is a chat's, `user_version` how many of
the `MIGRATIONS` it has gone through.
"""

import ctypes
import os
import sqlite3
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from chatserver.errors import StartError

APPLICATION_ID: Final = int.from_bytes(b"CHAT", "big")
"""In the header of each of our files (SQLite's PRAGMA application_id)."""

BUSY_SECONDS: Final = 1.0
"""How long a statement waits for another process's lock: longer than a tool that looks at the file
takes, and short enough to tell a sender the truth in time."""

MAX_IDLE_WAL_BYTES: Final = 4 * 1024 * 1024
"""What the write-ahead log keeps of the disk when it is begun from its start again: what it takes
in between, 1000 pages, anyway. While another program reads the file for long it grows; without this
it would stay so for ever."""

NEW_EPOCH: Final = "lower(hex(randomblob(8)))"
"""What names an incarnation of a log that no other one has."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # `users` is a JSON array, of notices only. `said` counts the chat messages up to and
        # including this event: kept here, it costs no page of its own with each commit.
        """CREATE TABLE event (
            id INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            user TEXT NOT NULL,
            text TEXT NOT NULL,
            time_ms INTEGER NOT NULL,
            users TEXT,
            count INTEGER NOT NULL,
            said INTEGER NOT NULL
        )""",
        # Idempotency keys; `id` is the event's. In the order of ids, they are in that of their age.
        """CREATE TABLE sent (
            id INTEGER PRIMARY KEY,
            digest BLOB NOT NULL UNIQUE,
            text_digest BLOB NOT NULL,
            time_ms INTEGER NOT NULL
        )""",
        # `until` is on a clock of the process that opened the file last.
        """CREATE TABLE holding (
            key TEXT PRIMARY KEY,
            number INTEGER NOT NULL,
            name TEXT NOT NULL,
            secret TEXT NOT NULL,
            holder TEXT,
            until INTEGER
        ) WITHOUT ROWID""",
        """CREATE TABLE notice (
            number INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            key TEXT NOT NULL,
            name TEXT NOT NULL
        )""",
        # One row. `opened` counts how often the log was opened for writing.
        "CREATE TABLE log (epoch TEXT NOT NULL, opened INTEGER NOT NULL)",
        f"INSERT INTO log VALUES ({NEW_EPOCH}, 0)",
    ),
)
"""What makes version n + 1 of a file of version n, in one transaction."""

Connect = Callable[[], sqlite3.Connection]
"""Opens a connection to the one file; tests put another one in its place."""


def connect(path: str, synchronous: str) -> sqlite3.Connection:
    """A connection to the file, which must be there. Raises sqlite3.Error.

    It may be used by one thread after another. Transactions are begun and ended by hand.
    """
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA journal_size_limit={MAX_IDLE_WAL_BYTES}")
    except BaseException:  # the first look at the file: it may be no database
        connection.close()
        raise
    return connection


def leave_open(connection: sqlite3.Connection) -> None:
    """Keep a connection from ever being closed: in a forked child, where SQLite allows no use of
    its parent's at all (https://www.sqlite.org/howtocorrupt.html, section 2.6), and where Python
    would close it with its last reference."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def create_if_missing(path: str) -> None:
    """Make sure of a file, empty if it is a new one. Raises StartError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        wal = f"{path}-wal"
        if not os.path.getsize(path) and os.path.exists(wal) and os.path.getsize(wal):
            # SQLite would throw away what was committed to it.
            raise StartError(
                f"The database {path} is empty, but {wal} beside it is not its beginning: restore"
                f" {path}, or remove {wal} to begin a new log."
            )
    except OSError as error:
        raise StartError(f"Cannot open the database {path} ({error.strerror}).") from None


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file up to date; make a log of an empty one. Raises StartError, sqlite3.Error."""
    version = version_of(connection, path)
    # Readers do not wait for the writer, nor it for them; a commit is one write at the end of a
    # file.
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StartError(
            f"The database {path} cannot have a write-ahead log where it is (mode {mode}); choose a"
            " file on a local disk."
        )
    for done, statements in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={done}")
        connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """How many migrations the file has gone through; 0: it is empty.

    Raises StartError if it is no log, or a newer one; sqlite3.Error.
    """
    application = number(connection, "PRAGMA application_id")
    version = number(connection, "PRAGMA user_version")
    empty = number(connection, "SELECT count(*) FROM sqlite_master") == 0
    if application != APPLICATION_ID and (application or version or not empty):
        raise StartError(
            f"The file {path} is a database of another application; choose another file with"
            " --store sqlite:///file.db."
        )
    if version > len(MIGRATIONS):
        raise StartError(
            f"The database {path} was written by a newer version of this server (format {version};"
            f" this one knows {len(MIGRATIONS)}): start that version, or choose another file."
        )
    return version


def number(connection: sqlite3.Connection, query: str) -> int:
    """The one number that `query` asks for."""
    (value,) = connection.execute(query).fetchone()
    assert isinstance(value, int)
    return value
