"""How it writes: senders share commits, and what that promises is the operator's choice."""

import sqlite3

import pytest

from chatserver.store.sqlite import archive, schema
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, come, say, tick
from tests.chatserver.store.conftest import Clock
from tests.chatserver.store.sqlite.conftest import OpenWith


class Tracer:
    """Opens connections and notes what is executed on them."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.connections: list[sqlite3.Connection] = []

    def __call__(self, path: str, synchronous: str) -> sqlite3.Connection:
        connection = schema.connect(path, synchronous)
        connection.set_trace_callback(self.executed.append)
        self.connections.append(connection)
        return connection


@pytest.fixture
def tracer() -> Tracer:
    return Tracer()


def test_senders_share_a_commit(open_with: OpenWith, tracer: Tracer) -> None:
    store = open_with(tracer)
    alice = claim(store, "Alice")
    tracer.executed.clear()

    futures = [store.append(alice.claim, str(number)) for number in range(500)]
    ids = [outcome(future).id for future in futures]

    assert ids == list(range(2, 502))
    assert tracer.executed.count("COMMIT") == 1


def test_nothing_is_written_while_nothing_happens(
    open_with: OpenWith, tracer: Tracer, clock: Clock
) -> None:
    store = open_with(tracer)
    claim(store, "Alice")
    tracer.executed.clear()

    for _ in range(5):
        clock.advance(1)
        tick(store)

    assert "COMMIT" not in tracer.executed


def test_what_is_told_beside_the_log_is_not_written(open_with: OpenWith, tracer: Tracer) -> None:
    store = open_with(tracer)
    alice = claim(store, "Alice")
    tracer.executed.clear()

    outcome(store.typing(alice.claim, alice.seats[0]))

    assert store.follow(1, 1).asides
    assert tracer.executed == []


def test_an_account_is_erased_by_looking_at_so_many_events_at_a_time(
    open_with: OpenWith, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_LOOKED_AT", 10)
    store = open_with(tracer)
    boss, ann, bob = come(store, "Boss", "admin"), come(store, "Ann"), claim(store, "Bob")
    for number in range(25):
        say(store, ann if number % 12 == 0 else bob, str(number))

    cursors = [outcome(store.erase(boss.claim, "admin", "ann", ""))]
    while cursors[-1]:
        cursors.append(outcome(store.erase(boss.claim, "admin", "ann", cursors[-1])))

    assert len(cursors) > 2
    assert [event.user for event in store.read() if event.type == "chat" and not event.text] == [
        "Ann"
    ] * 3


def test_a_reaction_costs_the_same_however_many_there_are(
    open_with: OpenWith, tracer: Tracer, file: sqlite3.Connection
) -> None:
    store = open_with(tracer)
    alice = claim(store, "Alice").claim
    seat = outcome(store.enter(alice, "garden"))
    message = outcome(store.say(alice, seat, "hello", None, 0)).id
    outcome(store.react(alice, seat, message, "🌹", True))  # told; the next ones wait for that
    instructions: list[int] = []

    def count() -> int:
        instructions[-1] += 1
        return 0

    for emoji, others in ("🌻", 10), ("🌷", 5000):
        file.execute("BEGIN")
        file.executemany(
            "INSERT INTO reaction VALUES (?, '🌹', ?, 'B')",
            [(message, f"{emoji}{number}") for number in range(others)],
        )
        file.execute("COMMIT")
        instructions.append(0)
        tracer.connections[-1].set_progress_handler(count, 10)
        outcome(store.react(alice, seat, message, emoji, True))
        tracer.connections[-1].set_progress_handler(None, 0)

    assert 0 < instructions[1] < 2 * instructions[0]


def test_rooms_that_end_faster_than_time_passes_are_erased_together(
    open_with: OpenWith, tracer: Tracer, file: sqlite3.Connection
) -> None:
    store = open_with(tracer)
    alice = claim(store, "Alice").claim
    for number in range(20):
        seat = outcome(store.enter(alice, f"room{number}"))
        outcome(store.leave_room(alice, seat))

    tick(store)

    assert file.execute("SELECT name FROM room").fetchall() == [("lobby",)]
    tracer.executed.clear()
    tick(store)
    assert "COMMIT" not in tracer.executed


@pytest.mark.parametrize(
    ("option", "level"), [("", 1), ("?synchronous=normal", 1), ("?synchronous=full", 2)]
)
def test_the_url_says_whether_the_power_may_fail(
    open_with: OpenWith, tracer: Tracer, url: str, option: str, level: int
) -> None:
    open_with(tracer)

    assert schema.number(tracer.connections[-1], "PRAGMA synchronous") == level


@pytest.fixture
def url(url: str, request: pytest.FixtureRequest) -> str:
    """With the option of the test, if it has one."""
    callspec = getattr(request.node, "callspec", None)
    return url + (callspec.params.get("option", "") if callspec else "")
