"""Messages in the database, for the state: what was made of them is a part of the transaction under
way, which begins when something is written."""

import sqlite3
from collections.abc import Collection
from typing import Final

from chatserver.store.events import Event, Reactions
from chatserver.store.seats import MAX_REACTION_NAMES
from chatserver.store.sqlite.rows import INSERT, kinds_of, reactions_to, row_of
from chatserver.store.state.archive import MAX_ERASED
from chatserver.store.state.records import StoredMessage, Trace, UsedKey

MAX_LOOKED_AT: Final = 10_000
"""Events among which one step looks for those of one identity, which no index knows: some
milliseconds."""

TRACES: Final = """
    SELECT id, room, '' FROM event
    WHERE id >= :first AND id < :end AND by = :by AND type = 'chat' AND NOT removed
    UNION ALL
    SELECT reaction.id, event.room, emoji FROM reaction CROSS JOIN event ON event.id = reaction.id
    WHERE reaction.id >= :first AND reaction.id < :end AND reaction.by = :by AND event.by <> :by
    ORDER BY 1 LIMIT :most"""


class SqliteArchive:
    """The writer's, in its thread. Everything raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._added: list[tuple[Event, int | None]] = []
        """Entries that are not in the transaction yet: most go into it together, at its end."""

    def begin(self) -> None:
        """Make sure of a transaction, with everything in it that was added."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        if self._added:
            rows = [row_of(event, room) for event, room in self._added]
            self._added.clear()
            self._connection.executemany(INSERT, rows).close()

    def add(self, event: Event, room: int | None) -> None:
        self._added.append((event, room))

    def used_key(self, digest: bytes) -> UsedKey | None:
        query = "SELECT digest, text_digest, id, time_ms FROM sent WHERE digest = ?"
        row = self._connection.execute(query, (digest,)).fetchone()
        return None if row is None else UsedKey(*row)

    def message(self, message: int) -> StoredMessage | None:
        self._settle()
        query = "SELECT room, by, removed FROM event WHERE id = ? AND type = 'chat'"
        row = self._connection.execute(query, (message,)).fetchone()
        return None if row is None else StoredMessage(row[0], row[1], bool(row[2]))

    def traces_of(self, by: str, cursor: str) -> tuple[list[Trace], str]:
        self._settle()
        # Each by itself goes to an end of the table.
        query = "SELECT (SELECT min(id) FROM event), (SELECT max(id) FROM event)"
        oldest, newest = self._connection.execute(query).fetchone()
        first = max(int(cursor or 0), oldest or 0)
        end = first + MAX_LOOKED_AT
        which = {"first": first, "end": end, "by": by, "most": MAX_ERASED + 1}
        found = [Trace(*row) for row in self._connection.execute(TRACES, which).fetchall()]
        if len(found) > MAX_ERASED:
            return found[:MAX_ERASED], str(found[MAX_ERASED].message)
        return found, str(end) if end <= (newest or 0) else ""

    def number_at(self, room: int, event: int) -> int:
        self._settle()
        query = "SELECT number FROM event WHERE room = ? AND id <= ? ORDER BY id DESC LIMIT 1"
        row = self._connection.execute(query, (room, event)).fetchone()
        return 0 if row is None else int(row[0])

    def edit(self, message: int, text: str, time_ms: int) -> None:
        self.begin()
        change = "UPDATE event SET text = ?, edited_ms = ? WHERE id = ?"
        self._connection.execute(change, (text, time_ms, message))

    def erase(self, message: int) -> None:
        self.begin()
        change = """
            UPDATE event SET text = '', removed = 1, edited_ms = 0
            WHERE id = :id OR (target = :id AND type = 'edit')"""
        self._connection.execute(change, {"id": message})
        self._connection.execute("DELETE FROM reaction WHERE id = ?", (message,))

    def has_reacted(self, message: int, emoji: str, by: str) -> bool:
        query = "SELECT 1 FROM reaction WHERE id = ? AND emoji = ? AND by = ?"
        return self._connection.execute(query, (message, emoji, by)).fetchone() is not None

    def react(self, message: int, emoji: str, by: str, name: str, on: bool) -> None:
        self.begin()
        if on:
            change = "INSERT INTO reaction (id, emoji, by, name) VALUES (?, ?, ?, ?)"
            self._connection.execute(change, (message, emoji, by, name))
        else:
            change = "DELETE FROM reaction WHERE id = ? AND emoji = ? AND by = ?"
            self._connection.execute(change, (message, emoji, by))

    def kinds(self, message: int) -> Collection[str]:
        return kinds_of(self._connection, message)

    def reactions(self, message: int) -> Reactions:
        return reactions_to(self._connection, message, MAX_REACTION_NAMES)

    def _settle(self) -> None:
        """Have what was added where it can be found."""
        if self._added:
            self.begin()
