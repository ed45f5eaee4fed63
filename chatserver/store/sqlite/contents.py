"""What the database holds, row by row; see `chatserver.store.contents`."""

import sqlite3
from collections.abc import Iterator

from chatserver.errors import StartError
from chatserver.store.contents import Entry
from chatserver.store.sqlite.reader import events
from chatserver.store.sqlite.schema import MIGRATIONS, number
from chatserver.store.state import Holding, Notice, UsedKey


class SqliteContents:
    """The contents behind a connection that is in a transaction. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises StartError if the database is of an earlier version."""
        if number(connection, "PRAGMA user_version") < len(MIGRATIONS):
            raise StartError(
                "The database is of an earlier version; start the server on it once, which brings"
                " it up to date."
            )
        self._connection = connection
        (self.epoch,) = connection.execute("SELECT epoch FROM log").fetchone()

    def damage(self) -> Iterator[str]:
        for (found,) in self._connection.execute("PRAGMA integrity_check"):
            if found != "ok":
                yield f"The file is damaged: {found}"

    def entries(self) -> Iterator[Entry]:
        said = self._connection.execute("SELECT said FROM event ORDER BY id")
        rows = self._connection.execute(
            "SELECT id, type, user, text, time_ms, users, count FROM event ORDER BY id"
        )
        for event, (count,) in zip(events(rows), said, strict=True):
            yield Entry(event, count)

    def used_keys(self) -> Iterator[UsedKey]:
        query = "SELECT digest, text_digest, id, time_ms FROM sent ORDER BY id"
        return (UsedKey(*row) for row in self._connection.execute(query))

    def holdings(self) -> Iterator[Holding]:
        query = "SELECT number, key, name, secret, holder, until FROM holding ORDER BY number"
        return (Holding(*row) for row in self._connection.execute(query))

    def notices(self) -> Iterator[Notice]:
        query = "SELECT number, type, key, name FROM notice ORDER BY number"
        return (Notice(*row) for row in self._connection.execute(query))
