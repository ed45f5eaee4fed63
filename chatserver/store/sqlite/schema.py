"""The database file: connecting to it, what is in it, and how older ones become like it.

A file is told by its header: `application_id` says that it is a chat's, `user_version` how many of
the `MIGRATIONS` it has gone through.
"""

import ctypes
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import chain
from typing import Final
from urllib.parse import quote

from chatserver.errors import StartError
from chatserver.store.seats import MODERATORS_RANK
from chatserver.store.values import identity_of

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
    (
        # Rooms: all that there is is the lobby's. `number` counts the messages of the event's room
        # up to and including it. `room` is NULL for entries that only say who sits where; `prev`
        # is NULL for those of the time before, when each event's was the one before it. `more` has
        # seats and reactions, in JSON.
        "ALTER TABLE event RENAME COLUMN said TO number",
        "ALTER TABLE event ADD COLUMN room INTEGER DEFAULT 1",
        "ALTER TABLE event ADD COLUMN prev INTEGER",
        "ALTER TABLE event ADD COLUMN by TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE event ADD COLUMN target INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE event ADD COLUMN reply_to INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE event ADD COLUMN edited_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE event ADD COLUMN removed INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE event ADD COLUMN more TEXT",
        # The id follows the room in it, since it is the row's.
        "CREATE INDEX event_room ON event (room) WHERE room IS NOT NULL",
        "CREATE INDEX event_edits ON event (target) WHERE type = 'edit'",
        "ALTER TABLE notice ADD COLUMN room INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE notice ADD COLUMN by TEXT NOT NULL DEFAULT ''",
        # `last_id` and `said` hold where the room's events that are there say nothing. One that has
        # `ended` waits for its events to be erased.
        """CREATE TABLE room (
            number INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            title TEXT NOT NULL,
            topic TEXT NOT NULL,
            owner TEXT NOT NULL,
            maker TEXT NOT NULL,
            everything INTEGER NOT NULL,
            last_id INTEGER NOT NULL,
            said INTEGER NOT NULL,
            ended INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE UNIQUE INDEX room_name ON room (name) WHERE NOT ended",
        "CREATE INDEX room_public ON room (name) WHERE kind = 'public' AND NOT ended",
        "CREATE INDEX room_ended ON room (number) WHERE ended",
        """INSERT INTO room VALUES (
            1, 'lobby', 'public', 'lobby', '', '', '', 1,
            coalesce((SELECT max(id) FROM event), 0),
            coalesce((SELECT number FROM event ORDER BY id DESC LIMIT 1), 0), 0
        )""",
        # In the order of rows, they are in that in which they began.
        """CREATE TABLE seat (
            room INTEGER NOT NULL,
            by TEXT NOT NULL,
            number INTEGER NOT NULL,
            name TEXT NOT NULL,
            read INTEGER NOT NULL,
            UNIQUE (room, by)
        )""",
        "CREATE INDEX seat_by ON seat (by)",
        """INSERT INTO seat
            SELECT 1, identity_of(secret), 0, name, (SELECT said FROM room WHERE number = 1)
            FROM holding ORDER BY number""",
        """CREATE TABLE pass (
            digest TEXT PRIMARY KEY, room INTEGER NOT NULL, until_ms INTEGER NOT NULL, uses INTEGER
        ) WITHOUT ROWID""",
        "CREATE TABLE block (by TEXT, key TEXT, PRIMARY KEY (by, key)) WITHOUT ROWID",
        # In the order of rows, they are in that in which they came; `id` is the message's.
        """CREATE TABLE reaction (
            id INTEGER NOT NULL,
            emoji TEXT NOT NULL,
            by TEXT NOT NULL,
            name TEXT NOT NULL,
            UNIQUE (id, emoji, by)
        )""",
        # Messages whose reactions are to be told.
        "CREATE TABLE reacted (id INTEGER PRIMARY KEY, room INTEGER NOT NULL)",
    ),
    (
        # Accounts: a name may have several stays, whose identity is not that of a secret.
        "ALTER TABLE holding RENAME TO holding_of_2",
        """CREATE TABLE holding (
            key TEXT NOT NULL,
            place INTEGER NOT NULL,
            number INTEGER NOT NULL,
            name TEXT NOT NULL,
            by TEXT NOT NULL,
            secret TEXT NOT NULL,
            holder TEXT,
            until INTEGER,
            address TEXT NOT NULL,
            PRIMARY KEY (key, place)
        ) WITHOUT ROWID""",
        "CREATE INDEX holding_by ON holding (by)",
        """INSERT INTO holding
            SELECT key, 0, number, name, identity_of(secret), secret, holder, until, ''
            FROM holding_of_2""",
        "DROP TABLE holding_of_2",
        """CREATE TABLE account (
            key TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            subject TEXT NOT NULL,
            role TEXT NOT NULL,
            revoked INTEGER NOT NULL,
            by TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX account_by ON account (by)",
        # `room` is the room's name.
        """CREATE TABLE sanction (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            room TEXT NOT NULL,
            by TEXT NOT NULL,
            address TEXT NOT NULL,
            name TEXT NOT NULL,
            author TEXT NOT NULL,
            reason TEXT NOT NULL,
            time_ms INTEGER NOT NULL,
            until_ms INTEGER
        )""",
        "ALTER TABLE log ADD COLUMN last_sanction INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # Where those stood who decided: of what there was before, as low as one can.
        f"ALTER TABLE sanction ADD COLUMN rank INTEGER NOT NULL DEFAULT {MODERATORS_RANK}",
        # Accounts that were: when their tokens were revoked.
        "CREATE TABLE erased (by TEXT PRIMARY KEY, revoked INTEGER NOT NULL) WITHOUT ROWID",
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
        # What is erased is not there any more, in the pages either.
        connection.execute("PRAGMA secure_delete=FAST")
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
    if version < len(MIGRATIONS):
        if version:
            keep_copy(connection, f"{path}.format-{version}")
        migrate(connection, version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of this version up to date, in one transaction. Raises sqlite3.Error."""
    connection.create_function("identity_of", 1, identity_of, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    for statement in chain.from_iterable(MIGRATIONS[version:]):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    connection.execute("COMMIT")


def keep_copy(connection: sqlite3.Connection, path: str) -> None:
    """Copy the whole database to `path`, which is there only once it is complete. Raises
    StartError, sqlite3.Error."""
    unfinished = f"{path}.unfinished"
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
        os.replace(unfinished, path)
    except (sqlite3.OperationalError, OSError) as error:
        raise StartError(
            f"The database is of an earlier version, and cannot be copied to {path} before it is"
            f" brought up to date ({error}); make room there."
        ) from None


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
