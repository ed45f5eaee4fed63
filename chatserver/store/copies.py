"""A whole store at a time, of whichever engine: to look at, to write to a file, to make of a file.

No process may use a store on Redis meanwhile; one on SQLite is read as it is at one moment.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from redis.exceptions import RedisError

from chatserver.errors import StartError
from chatserver.store import SHARED_SCHEMES, engine_of
from chatserver.store.contents import Contents
from chatserver.store.redis import contents as in_redis
from chatserver.store.redis.connection import Address
from chatserver.store.redis.filling import fill as fill_redis
from chatserver.store.sqlite import contents as in_sqlite
from chatserver.store.sqlite.snapshot import snapshot
from chatserver.store.sqlite.store import Location

UNFINISHED = ".unfinished"
"""What a file's name ends in until it is whole and on the disk."""


@contextmanager
def contents_of(url: str) -> Iterator[Contents]:
    """What the store holds, for the time of the block. Raises StartError, and what reading may
    raise."""
    if engine_of(url) in SHARED_SCHEMES:
        address = Address.of(url)
        connection = address.connection()
        try:
            in_redis.refuse_if_in_use(connection, address.shown)
            yield in_redis.RedisContents(connection)
        finally:
            connection.drop()
    else:
        with snapshot(url) as database:
            yield in_sqlite.SqliteContents(database)


def make_of(contents: Contents, url: str) -> None:
    """Make a store, which must not be there yet, of what another one holds. Raises StartError."""
    if engine_of(url) in SHARED_SCHEMES:
        address = Address.of(url)
        connection = address.connection()
        try:
            fill_redis(connection, address.shown, contents.records())
        except RedisError as error:
            raise StartError(f"Cannot write to {address.shown} ({error}).") from None
        finally:
            connection.drop()
    else:
        with (
            new_file(Location.of(url).path) as unfinished,
            closing(sqlite3.connect(unfinished, isolation_level=None)) as database,
        ):
            in_sqlite.fill(database, contents.records())


@contextmanager
def new_file(path: str) -> Iterator[str]:
    """The name of a file that is to be filled in the block, and has the name `path` afterwards: by
    then it is whole and on the disk. Raises StartError."""
    if os.path.lexists(path):
        raise StartError(f"{path} is there already, and is not replaced.")
    unfinished = path + UNFINISHED
    try:
        # What the server stores is for nobody else to read.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        yield unfinished
        _to_disk(unfinished)
        os.rename(unfinished, path)
        _to_disk(os.path.dirname(os.path.abspath(path)))
    except (OSError, sqlite3.Error) as error:
        raise StartError(f"Cannot write {path} ({error}).") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)


def _to_disk(path: str) -> None:
    """See to it that a file, or what a directory lists, survives the power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
