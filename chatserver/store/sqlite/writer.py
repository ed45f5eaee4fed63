"""Writing to the database: what was asked for is decided, stored and committed, batch by batch.

Everything here runs in one thread, the writer's, and blocks it. The state is only ever ahead of the
file within a batch: should anything fail, both the connection and the state are thrown away, and
the next batch begins with what is stored. So nothing here knows one kind of failure from another,
and it goes on by itself when the cause is gone.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from chatserver.errors import ChatError
from chatserver.store.interface import KEY_MS, MAX_TRIM, Clock, Policy
from chatserver.store.local import Operation
from chatserver.store.sqlite.archive import SqliteArchive
from chatserver.store.sqlite.schema import Connect, create_if_missing, leave_open, prepare
from chatserver.store.sqlite.tables import (
    ended_rooms,
    erase_rooms,
    store_changes,
    stored_state,
    trim,
)
from chatserver.store.state import ChatState
from chatserver.store.state.records import Changes, Lobby
from chatserver.store.values import Lost, Moment

FIRST_YOUNG: Final = """
    SELECT coalesce(min(CASE WHEN time_ms >= ? THEN id END), max(id) + 1)
    FROM (SELECT id, time_ms FROM {table} ORDER BY id LIMIT ?)"""
"""The first of the oldest rows that is not too old; the one behind them if all are."""


class FileGone(Exception):
    """The file at the database's path is not the one that was opened at the start."""


class Written(NamedTuple):
    """A batch that is stored: an answer or an error for each operation, and what to tell.

    `reloaded_to` is set if the state was made anew from what was stored: up to this event.
    """

    answers: list[Any]
    changes: Changes
    reloaded_to: int | None


class Writer:
    """The one who writes, and decides.

    Attributes:
        epoch: names the log's incarnation.
        last_id: the newest event when the log was opened.
        lobby: as the last batch that was committed has left it. Other threads read it: it is
            replaced and never changed, and before those are answered whom it concerns.
    """

    def __init__(self, path: str, policy: Policy, clock: Clock, connect: Connect) -> None:
        self.epoch = ""
        self.last_id = 0
        self.lobby = Lobby((), 0)
        self._path = path
        self._policy = policy
        self._clock = clock
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._state: ChatState | None = None
        self._archive: SqliteArchive | None = None
        self._identity = (0, 0)
        self._suspects: list[Lost] = []
        """Holders that have lost their claim, if a batch that failed was stored all the same."""

    def open(self) -> None:
        """Open the log for the first time in this process, in which nobody holds a name yet.

        Raises StartError, sqlite3.Error, OSError.
        """
        create_if_missing(self._path)
        self._identity = self._file()
        with closing(self._connect()) as connection:
            prepare(connection, self._path)
        connection, state = self._load(self._clock().steady + self._policy.grace_ms)
        (self.epoch,) = connection.execute("SELECT epoch FROM log").fetchone()
        self.last_id = state.last_id
        self._show(state)

    def write(self, operations: Sequence[Operation[Any]], trim: bool) -> Written:
        """Apply the operations and commit what they change; with `trim`, remove what is too old.

        Raises whatever kept it from doing so; then nothing can be said about what is stored.
        """
        changes = Changes()
        try:
            if self._file() != self._identity:
                raise FileGone(f"The file {self._path} was removed or replaced; restart the server")
            reloaded_to = None
            if self._connection is None or self._state is None:
                _, reloaded = self._load()
                reloaded_to = reloaded.last_id
            assert self._connection is not None
            assert self._state is not None
            now = self._clock()
            answers = [outcome(operation, self._state, now) for operation in operations]
            changes = self._state.take_changes()
            self._store(self._connection, self._state, changes, now.wall if trim else None)
            self._show(self._state)
        except BaseException:
            self._suspects += changes.lost
            self.close()
            raise
        if reloaded_to is not None:
            changes.lost += self._suspects
            self._suspects.clear()
        return Written(answers, changes, reloaded_to)

    def close(self) -> None:
        """Let go of the database; a transaction that is under way is rolled back."""
        connection, self._connection, self._state = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it may be what has failed
                connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: neither use nor close the connection."""
        if self._connection is not None:
            leave_open(self._connection)

    def _show(self, state: ChatState) -> None:
        """Keep the lobby as it is now that all of it is stored."""
        people, said = state.lobby
        self.lobby = Lobby(tuple(people), said)

    def _file(self) -> tuple[int, int]:
        status = os.stat(self._path)
        return status.st_dev, status.st_ino

    # --- from the file to the state

    def _load(self, waiting_until: int | None = None) -> tuple[sqlite3.Connection, ChatState]:
        """Connect and make a state of what is stored, in a time that does not depend on how much
        was said. With `waiting_until`, every name waits until then: what is stored of an earlier
        process was measured by a clock that has ended with it."""
        connection = self._connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        if waiting_until is not None:
            connection.execute("UPDATE holding SET holder = NULL, until = ?", (waiting_until,))
        # So that who is told to have a log can write to it.
        connection.execute("UPDATE log SET opened = opened + 1")
        connection.execute("COMMIT")
        self._archive = SqliteArchive(connection)
        self._state = stored_state(connection, self._policy, self._archive)
        held = {holding.holder for holding in self._state.names_held}
        self._suspects = [lost for lost in self._suspects if lost.holder not in held]
        return connection, self._state

    # --- from the state to the file

    def _store(
        self, connection: sqlite3.Connection, state: ChatState, changes: Changes, now: int | None
    ) -> None:
        """Commit the changes. With `now`, on the wall's clock, remove what is too old by then."""
        assert self._archive is not None
        keep_from = keep_sent_from = None
        over: list[int] = []
        if now is not None:
            keep_from = self._keep_from(connection, state, now)
            keep_sent_from = first_young(connection, "sent", now - KEY_MS)
            over = ended_rooms(connection)
        idle = keep_from is None and keep_sent_from is None and not over
        if replace(changes, asides=[]) == Changes() and idle and not connection.in_transaction:
            return
        self._archive.begin()
        store_changes(connection, changes)
        if keep_from is not None:
            trim(connection, keep_from)
            state.first_id = keep_from
        if keep_sent_from is not None:
            connection.execute("DELETE FROM sent WHERE id < ?", (keep_sent_from,))
        erase_rooms(connection, over)
        connection.execute("COMMIT")

    def _keep_from(self, connection: sqlite3.Connection, state: ChatState, now: int) -> int | None:
        """The id before which events are to be removed; None if none is."""

        def first_young_event(oldest_ms: int) -> int:
            return first_young(connection, "event", oldest_ms) or state.first_id

        first_id = state.first_id
        keep_from = self._policy.keep_from(first_id, state.last_id, now, first_young_event)
        return keep_from if keep_from > first_id else None


def outcome(operation: Operation[Any], state: ChatState, now: Moment) -> Any:
    """The answer to an operation, or the error that it is answered with; a refused one has changed
    nothing."""
    try:
        return operation(state, now)
    except ChatError as error:
        return error


def first_young(connection: sqlite3.Connection, table: str, oldest_ms: int) -> int | None:
    """The id before which the rows of `table` are older than `oldest_ms`, MAX_TRIM of them at most;
    None if none is."""
    query = FIRST_YOUNG.format(table=table)
    (young,) = connection.execute(query, (oldest_ms, MAX_TRIM)).fetchone()
    (first,) = connection.execute(f"SELECT min(id) FROM {table}").fetchone()
    assert young is None or isinstance(young, int)
    return young if young != first else None
