"""What is still there when the database is opened again."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatserver.errors import Forbidden, NameTaken, Unauthorized
from chatserver.store import open_store
from chatserver.store.seats import EVERYWHERE, LOBBY
from chatserver.store.sqlite import schema
from chatserver.store.values import Account
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import (
    claim,
    come,
    enter,
    events,
    in_force,
    say,
    tick,
    told,
)
from tests.chatserver.store.conftest import Clock, OpenStore
from tests.chatserver.store.sqlite.conftest import OpenWith, new_file


def test_everything_survives(open_at: OpenStore, clock: Clock) -> None:
    before = open_at()
    alice, bob = claim(before, "Alice"), claim(before, "Bob")
    receipt = say(before, alice, "hello 😀\x00", key="k")
    outcome(before.release(bob.claim))
    log, epoch = events(before), before.epoch
    before.close()

    store = open_at()

    assert (store.epoch, store.last_id) == (epoch, log[-1].id)
    assert events(store) == log
    assert store.names() == ["Alice"]
    assert store.counts() == (1, 1)
    back = claim(store, "Alice", secret=alice.claim.secret)
    assert say(store, back, "hello 😀\x00", key="k") == receipt
    # Told now, and before: that Bob had come and gone.
    assert say(store, back, "more").id > log[-1].id


def test_accounts_their_places_and_sanctions_survive(open_at: OpenStore, clock: Clock) -> None:
    before = open_at()
    boss, ann = come(before, "Boss", "admin"), come(before, "Ann")
    guest = claim(before, "Guest", address="digest")
    tea = enter(before, ann, "tea")
    asked = (
        before.mute(boss.claim, LOBBY, "admin", "guest", 60, "loud"),
        before.ban(boss.claim, LOBBY, "admin", "ann", None, ""),
    )
    mute, ban = (outcome(future) for future in asked)
    outcome(before.revoke(boss.claim, "admin", "ann"))
    announced = outcome(before.announce(boss.claim, "admin", "hello, all"))
    sanctions = in_force(before, boss, LOBBY)
    outcome(before.lift(boss.claim, LOBBY, "admin", ban))
    everyone, places = before.everyone(None, 9), before.places(None, 9)
    before.close()

    store = open_at()

    assert store.everyone(None, 9) == everyone
    assert store.places(None, 9) == [place._replace(holder=None) for place in places]
    back = come(store, "Boss", "admin", secret=boss.claim.secret)
    assert in_force(store, back, LOBBY) == sanctions[:1]
    with pytest.raises(Unauthorized):
        claim(store, "Ann", account=Account("Ann", "member", clock.now // 1000))
    assert come(store, "Ann", lobby=False).seats == (tea,)
    with pytest.raises(Forbidden):
        say(store, claim(store, "Guest", guest.claim.secret, address="digest"), "hello")
    assert outcome(store.mute(back.claim, LOBBY, "admin", "ann", 60, "")) > ban > mute
    assert store.read_rooms({EVERYWHERE: 0}, 10**6, 9)[0].id == announced.id
    assert store.follow(announced.id - 1, 1).events[0].room == EVERYWHERE


def test_a_notice_that_was_not_told_before_is_told_after(open_at: OpenStore) -> None:
    before = open_at()
    claim(before, "Alice")
    claim(before, "Bob")
    assert told(before) == ["Alice joined the chat"]
    before.close()

    store = open_at()
    tick(store)

    assert told(store) == ["Alice joined the chat", "Bob joined the chat"]


def test_what_cancels_out_is_not_told_one_by_one_after_an_upgrade(
    open_at: OpenStore, path: Path, clock: Clock
) -> None:
    before = open_at()
    claim(before, "Alice")
    before.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.executemany(
            "INSERT INTO notice (number, type, key, name) VALUES (?, ?, 'bob', 'Bob')",
            [(number, ("leave", "join")[number % 2]) for number in range(1, 5001)],
        )

    store = open_at()
    for _ in range(3):
        tick(store)
        clock.advance(0.25)
    store.close()

    assert told(open_at()) == ["Alice joined the chat"]
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM notice").fetchone() == (0,)


def test_everyone_is_waited_for_the_whole_grace(open_at: OpenStore, clock: Clock) -> None:
    before = open_at()
    claim(before, "Alice")
    outcome(before.suspend(claim(before, "Bob").claim))
    clock.advance(14)
    before.close()

    store = open_at()

    with pytest.raises(NameTaken):
        claim(store, "Alice")
    clock.advance(14)
    tick(store)
    assert store.names() == ["Alice", "Bob"]
    clock.advance(1)
    tick(store)
    assert store.names() == []


def test_names_are_guarded_against_lookalikes_after_a_restart(open_at: OpenStore) -> None:
    before = open_at()
    claim(before, "Alice")
    before.close()

    with pytest.raises(NameTaken, match="looks like Alice"):
        claim(open_at(), "\u0410lice")


def test_trimmed_messages_are_still_counted_and_their_ids_never_given_again(
    open_at: OpenStore, file: sqlite3.Connection
) -> None:
    before = open_at()
    alice = claim(before, "Alice")
    for number in range(5):
        say(before, alice, str(number))
    before.close()
    file.execute("DELETE FROM event WHERE id < 6")

    store = open_at()

    assert store.counts().messages == 5
    assert claim(store, "Bob").first_id == 6
    assert store.last_id >= 6


def test_another_file_is_another_log(open_at: OpenStore, tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path}/other.db")) as other:
        assert open_at().epoch != other.epoch


def test_a_relative_path_begins_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    open_store("sqlite:///my%20chat.db").close()

    assert (tmp_path / "my chat.db").exists()


MANY = (
    "WITH RECURSIVE number(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM number LIMIT ?)"
    " INSERT INTO event (id, type, user, text, time_ms, users, count, number)"
    " SELECT value, 'chat', 'Alice', 'hello', value, NULL, 0, value FROM number"
)


@pytest.mark.parametrize("newest", [True, False])
def test_opening_and_reading_cost_the_same_however_long_the_log_is(
    open_with: OpenWith, path: Path, newest: bool
) -> None:
    instructions: list[int] = []

    def connect(path: str, synchronous: str) -> sqlite3.Connection:
        connection = schema.connect(path, synchronous)
        connection.set_progress_handler(count, 1)
        return connection

    def count() -> int:
        instructions[-1] += 1
        return 0

    for length in (1000, 50_000):
        path.unlink(missing_ok=True)
        with closing(new_file(path)) as file:
            file.execute(MANY, (length,))
        instructions.append(0)
        with closing(open_with(connect)) as store:
            assert store.last_id == length
            assert len(store.read(after=500, limit=50, newest=newest)) == 50
            assert tick(store) == 0.25

    assert instructions[0] == instructions[1] > 0


def test_a_room_that_began_and_ended_in_one_commit_leaves_nothing_to_the_next_one(
    open_at: OpenStore, path: Path
) -> None:
    before = open_at()
    alice, bob = claim(before, "Alice"), claim(before, "Bob")
    opened = before.open_room(alice.claim, "+1", "A secret", "", True)
    talked = before.direct(bob.claim, "alice", "@2")
    outcome(before.release(alice.claim))
    assert opened.result()
    assert talked.result()
    before.close()

    store = open_at()
    eve = claim(store, "Eve").claim
    for name in ("garden", "kitchen", "attic"):
        seat = outcome(store.enter(eve, name))
        assert [e.text for e in store.read_room(eve.by, seat, limit=9)] == [f"Eve joined {name}"]

    tick(store)
    tick(store)
    with closing(sqlite3.connect(path)) as file:
        query = "SELECT count(*) FROM event WHERE text LIKE '%secret%' OR text LIKE '%left;%'"
        assert file.execute(query).fetchone() == (0,)
