"""The database as it is at one moment, for programs that only look at it, beside the server or
without one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

from chatserver.errors import StartError
from chatserver.store.sqlite.schema import BUSY_SECONDS, version_of
from chatserver.store.sqlite.store import Location, why_not


@contextmanager
def snapshot(url: str) -> Iterator[sqlite3.Connection]:
    """A connection that reads what the database holds at the beginning of the block, and nothing
    that comes later. Raises StartError: there is no log."""
    path = Location.of(url).path
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
    except sqlite3.Error as error:
        raise why_not(path, error) from None
    with closing(connection):
        try:
            connection.execute("BEGIN")
            version = version_of(connection, path)
        except sqlite3.Error as error:
            raise why_not(path, error) from None
        if not version:
            raise StartError(f"The file {path} holds no log.")
        yield connection
