"""Reading events from the database, beside the writer and without waiting for it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from chatserver.store.events import Event
from chatserver.store.interface import cut
from chatserver.store.sqlite.schema import Connect, leave_open
from chatserver.store.values import Span

MAX_ID: Final = 2**63 - 1
"""The largest whole number that SQLite knows."""

OLDEST: Final = """
    SELECT id, type, user, text, time_ms, users, count FROM event
    WHERE id > ? AND id < ? ORDER BY id LIMIT ?"""

NEWEST: Final = OLDEST.replace("ORDER BY id", "ORDER BY id DESC")


class Reader:
    """Reads from several threads at a time, each with a connection for itself meanwhile."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []

    def read(self, span: Span) -> list[Event]:
        """As `Store.read_span`, but blocks the thread. Raises sqlite3.Error."""
        before = MAX_ID if span.before is None else min(span.before, MAX_ID)
        connection = self._idle.pop() if self._idle else self._connect()
        bounds = (min(span.after, MAX_ID), before, span.limit)
        query = NEWEST if span.newest else OLDEST
        try:
            # Closed before the end is reached, too: an open one would keep old pages in the WAL.
            with closing(connection.execute(query, bounds)) as rows:
                found = cut(events(rows), span.limit)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return found

    def leave_to_parent(self) -> None:
        """In a forked child: neither use nor close the connections."""
        for connection in self._idle:
            leave_open(connection)

    def close(self) -> None:
        """Close all connections; nobody may be reading."""
        while self._idle:
            self._idle.pop().close()


def events(rows: sqlite3.Cursor) -> Iterator[Event]:
    """The events that rows of `OLDEST` stand for."""
    for number, kind, user, text, time_ms, users, count in rows:
        names = () if users is None else tuple(json.loads(users))
        yield Event(number, kind, user, text, time_ms, names, count)
