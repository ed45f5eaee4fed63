"""When the disk fails: nothing is acknowledged that is not stored, and the store goes on by itself
when the cause is gone.

Failures are real where they can be made; those of the disk itself are put in between the store and
SQLite.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import gevent
import pytest

from chatserver import loop
from chatserver.errors import Unavailable
from chatserver.logs.form import fields_of
from chatserver.store.interface import Store
from chatserver.store.sqlite import SqliteStore, schema
from chatserver.store.sqlite import store as store_module
from chatserver.store.values import Lost
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.store.chat import claim, events, say, tick, told
from tests.chatserver.store.conftest import OpenStore
from tests.chatserver.store.sqlite.conftest import OpenWith

FULL = sqlite3.OperationalError("database or disk is full")


class Disk:
    """Opens connections whose statements can be made to fail, or to hang.

    Attributes:
        failing: statements that begin with this fail with `error`…
        afterwards: …but only when they have been carried out.
        away: no connection can be opened.
        hanging: commits wait until this is set.
        waiting: set once one does.
    """

    def __init__(self) -> None:
        self.failing: str | None = None
        self.error: Exception = FULL
        self.afterwards = False
        self.away = False
        self.hanging: threading.Event | None = None
        self.waiting = threading.Event()

    def __call__(self, path: str, synchronous: str) -> sqlite3.Connection:
        if self.away:
            raise sqlite3.OperationalError("unable to open database file")
        return cast("sqlite3.Connection", Connection(self, schema.connect(path, synchronous)))


class Connection:
    """A connection on such a disk."""

    def __init__(self, disk: Disk, connection: sqlite3.Connection) -> None:
        self._disk = disk
        self._connection = connection

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        return self._do(self._connection.execute, statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> sqlite3.Cursor:
        return self._do(self._connection.executemany, statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _do(
        self, function: Callable[[str, Any], sqlite3.Cursor], statement: str, parameters: Any
    ) -> sqlite3.Cursor:
        disk = self._disk
        if statement == "COMMIT" and disk.hanging is not None:
            disk.waiting.set()
            disk.hanging.wait()
        fails = disk.failing is not None and statement.startswith(disk.failing)
        if fails and not disk.afterwards:
            raise disk.error
        cursor = function(statement, parameters)
        if fails:
            raise disk.error
        return cursor


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(open_with: OpenWith, disk: Disk) -> SqliteStore:
    return open_with(disk)


def goes_on(store: Store) -> bool:
    """Whether it is back after a tick, as the room makes them."""
    try:
        tick(store)
    except Unavailable:
        return False
    return store.available


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("BEGIN IMMEDIATE", sqlite3.OperationalError("database is locked")),
        ("INSERT INTO event", sqlite3.OperationalError("disk I/O error")),
        ("INSERT INTO event", OSError(5, "Input/output error")),
        ("INSERT INTO event", sqlite3.OperationalError("attempt to write a readonly database")),
        ("INSERT OR REPLACE INTO sent", sqlite3.DatabaseError("database disk image is malformed")),
        ("COMMIT", FULL),
        ("COMMIT", MemoryError()),
    ],
)
def test_a_commit_that_fails_is_told_and_leaves_no_trace(
    store: SqliteStore, disk: Disk, failing: str, error: Exception
) -> None:
    alice = claim(store, "Alice")
    disk.failing, disk.error = failing, error

    futures = [store.append(alice.claim, f"lost {number}", f"k{number}") for number in range(3)]
    for future in futures:
        with pytest.raises(Unavailable, match="try again"):
            outcome(future)

    assert not store.available
    assert told(store) == ["Alice joined the chat"]
    disk.failing = None
    assert goes_on(store)
    assert say(store, alice, "lost 0", "k0").id == 2
    assert told(store) == ["Alice joined the chat", "lost 0"]
    assert [event.id for event in store.follow(1, 5).events] == [2]


def test_what_is_asked_for_during_an_outage_fails_and_reading_goes_on(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    disk.failing = "COMMIT"

    for _ in range(3):
        for call in (
            lambda: claim(store, "Bob"),
            lambda: say(store, alice, "hello"),
            lambda: outcome(store.release(alice.claim)),
        ):
            with pytest.raises(Unavailable):
                call()
        assert not goes_on(store)

    assert told(store) == ["Alice joined the chat"]
    disk.failing = None
    assert goes_on(store)
    assert store.names() == ["Alice"]


def test_it_goes_on_when_the_file_could_not_be_opened_for_a_while(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    disk.failing, disk.away = "COMMIT", True
    for _ in range(3):
        with pytest.raises(Unavailable):
            say(store, alice, "hello")
        disk.failing = None

    disk.away = False

    assert goes_on(store)
    assert say(store, alice, "hello").id == 2


def test_a_commit_that_says_it_failed_but_did_not_is_told_to_everyone_once(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    first = say(store, alice, "first")
    disk.failing, disk.afterwards = "COMMIT", True
    with pytest.raises(Unavailable):
        say(store, alice, "second", "k")
    disk.failing = None

    assert goes_on(store)
    assert say(store, alice, "second", "k").id == 3
    say(store, alice, "third")

    heard = store.follow(first.id, 5).events
    assert [event.text for event in heard] == ["second", "third"]


def test_a_takeover_that_says_it_failed_but_did_not_ends_the_old_holder(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    store.follow(0, 5)
    disk.failing, disk.afterwards = "COMMIT", True
    with pytest.raises(Unavailable):
        claim(store, "Alice", alice.claim.secret)
    disk.failing = None

    assert goes_on(store)

    assert store.follow(1, 5).lost == [Lost(alice.claim.holder, "taken_over")]


def test_who_lost_a_name_is_told_when_the_read_after_it_has_failed(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    disk.failing, disk.afterwards = "COMMIT", True
    with pytest.raises(Unavailable):
        claim(store, "Alice", alice.claim.secret)
    disk.failing = None
    assert goes_on(store)
    disk.away = True
    with pytest.raises(Unavailable):
        store.follow(0, 5)
    disk.away = False

    news = store.follow(0, 5)

    assert [event.id for event in news.events] == [1]
    assert news.lost == [Lost(alice.claim.holder, "taken_over")]


def test_a_takeover_that_failed_leaves_the_old_holder(store: SqliteStore, disk: Disk) -> None:
    alice = claim(store, "Alice")
    disk.failing = "COMMIT"
    with pytest.raises(Unavailable):
        claim(store, "Alice", alice.claim.secret)
    disk.failing = None

    assert goes_on(store)

    assert say(store, alice, "still me").id == 2
    assert store.follow(0, 5).lost == []


def test_a_disk_that_hangs_is_told_and_stops_neither_the_loop_nor_readers(
    store: SqliteStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = claim(store, "Alice")
    disk.hanging = threading.Event()
    with monkeypatch.context() as impatient:
        impatient.setattr(store_module, "ANSWER_SECONDS", 0.02)
        with pytest.raises(Unavailable):
            say(store, alice, "stored late", "k")
        with pytest.raises(Unavailable):
            say(store, alice, "not stored at all")
    assert not store.available
    assert told(store) == ["Alice joined the chat"]

    disk.hanging.set()

    eventually(lambda: store.available)
    assert say(store, alice, "stored late", "k").id == 2
    assert [event.text for event in store.follow(1, 5).events] == ["stored late"]


def test_who_is_here_and_how_much_was_said_waits_for_no_write_and_tells_what_is_stored(
    store: SqliteStore, disk: Disk
) -> None:
    alice = claim(store, "Alice")
    say(store, alice, "stored")
    disk.hanging = threading.Event()
    said = store.append(alice.claim, "on its way")
    eventually(disk.waiting.is_set)

    assert (store.names(), store.counts()) == (["Alice"], (1, 1))
    disk.hanging.set()
    outcome(said)
    assert store.counts() == (1, 2)


def test_a_file_that_has_no_room_left_is_told_until_it_has(
    open_with: OpenWith, file: sqlite3.Connection
) -> None:
    pages = [0]

    def connect(path: str, synchronous: str) -> sqlite3.Connection:
        connection = schema.connect(path, synchronous)
        if pages[0]:
            connection.execute(f"PRAGMA max_page_count={pages[0]}")
        return connection

    store = open_with(connect)
    alice = claim(store, "Alice")
    store.close()
    pages[0] = schema.number(file, "PRAGMA page_count") + 2
    store = open_with(connect)
    alice = claim(store, "Alice", alice.claim.secret)
    futures = [store.append(alice.claim, "x" * 4000) for _ in range(3)]
    for future in futures:
        with pytest.raises(Unavailable):
            outcome(future)

    pages[0] = 0

    assert goes_on(store)
    assert say(store, alice, "x" * 4000).id == 2
    assert [event.id for event in events(store)] == [1, 2]


def test_another_program_that_locks_the_database_is_outwaited(
    open_at: OpenStore, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.02)
    store = open_at()
    alice = claim(store, "Alice")
    file.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        say(store, alice, "hello")
    assert told(store) == ["Alice joined the chat"]

    file.execute("ROLLBACK")

    assert goes_on(store)
    assert say(store, alice, "hello").id == 2


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_is_taken_away_is_noticed(
    open_at: OpenStore, path: Path, replaced: bool
) -> None:
    store = open_at()
    alice = claim(store, "Alice")
    kept = path.rename(path.with_name("kept.db"))
    if replaced:
        path.write_bytes(kept.read_bytes())

    with pytest.raises(Unavailable):
        say(store, alice, "into nowhere")
    assert not goes_on(store)

    os.replace(kept, path)
    assert goes_on(store)
    assert say(store, alice, "hello").id == 2


def test_what_nobody_foresaw_fails_one_batch_and_not_all_that_follow(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    alice = claim(store, "Alice")
    with monkeypatch.context() as failing:
        failing.setattr(store, "_publish", Mock(side_effect=ZeroDivisionError))
        with pytest.raises(Unavailable):
            say(store, alice, "stored, but who knows", "k")
    assert not store.available

    assert say(store, alice, "stored, but who knows", "k").id == 2
    assert [event.id for event in store.follow(0, 5).events] == [1, 2]
    assert store.available


def test_a_thread_that_cannot_be_started_is_told_as_a_store_that_cannot_be_read(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        threads = Mock(apply=Mock(side_effect=RuntimeError("can't start new thread")))
        failing.setattr(store, "_reading", threads)
        with pytest.raises(Unavailable):
            store.read()

    assert store.read() == []


def test_one_outage_is_logged_once_with_its_reason_and_its_end(
    store: SqliteStore, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.failing = "COMMIT"
    for _ in range(5):
        with pytest.raises(Unavailable):
            claim(store, "Alice")
    disk.failing = None
    assert goes_on(store)

    messages = [record.message for record in caplog.records]
    assert messages == ["The store fails", "The store answers again"]
    assert "disk is full" in str(fields_of(caplog.records[0])["reason"])


def test_what_is_asked_for_while_closing_is_refused_and_what_was_asked_before_is_stored(
    open_at: OpenStore,
) -> None:
    store = open_at()
    alice = claim(store, "Alice")
    futures = [store.append(alice.claim, str(number)) for number in range(2500)]
    closing = gevent.spawn(store.close)
    gevent.sleep(0)
    late = store.append(alice.claim, "late")

    with pytest.raises(Unavailable):
        outcome(late)
    closing.get(timeout=20)

    assert [future.result().id for future in futures] == list(range(2, 2502))
    with pytest.raises(Unavailable):
        store.read()
    assert open_at().last_id == 2501
