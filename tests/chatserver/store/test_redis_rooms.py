"""Rooms on several workers, and what is left of them in Redis."""

import re
import time
from importlib.resources import files
from typing import Any

import gevent
import msgspec
import pytest
import redis

from chatserver.errors import NoSuchRoom
from chatserver.store.interface import Policy, Store
from chatserver.store.redis import operations, reading, scripts
from chatserver.store.seats import LOBBY, Aside, Seat
from chatserver.store.values import Joined, LogReset, Receipt
from tests.chatserver.greenlets import eventually, outcome
from tests.chatserver.store.chat import claim, say, tick
from tests.chatserver.store.conftest import Clock, OpenStore


@pytest.fixture
def url(redis_url: str) -> str:
    return redis_url


@pytest.fixture
def here(open_at: OpenStore) -> Store:
    """A worker."""
    return open_at()


@pytest.fixture
def there(open_at: OpenStore) -> Store:
    """Another worker."""
    return open_at()


def enter(store: Store, who: Joined, room: str) -> Seat:
    return outcome(store.enter(who.claim, room))


def say_in(store: Store, who: Joined, seat: Seat, text: str) -> Receipt:
    return outcome(store.say(who.claim, seat, text, None, 0))


def everything(client: redis.Redis) -> bytes:
    """What Redis has, each value as it is stored."""
    found: list[Any] = []
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"string":
            found.append(client.get(key))
        elif kind == b"hash":
            found.append(client.hgetall(key))
        elif kind == b"stream":
            found.append(client.xrange(key))
        elif kind == b"zset":
            found.append(client.zrange(key, 0, -1))
        elif kind == b"set":
            found.append(client.smembers(key))
        else:
            found.append(client.lrange(key, 0, -1))
    return repr(found).encode()


def test_both_ask_at_once_on_two_workers_and_get_one_direct_room(here: Store, there: Store) -> None:
    alice, bob = claim(here, "Alice"), claim(there, "Bob")

    rooms = [here.direct(alice.claim, "bob", "@one"), there.direct(bob.claim, "alice", "@other")]

    assert outcome(rooms[0]) == outcome(rooms[1])


def test_what_ends_a_seat_on_one_worker_is_in_force_on_all(here: Store, there: Store) -> None:
    alice = claim(here, "Alice")
    seat = outcome(here.open_room(alice.claim, "+room", "Room", "", False))
    outcome(here.create_pass(alice.claim, seat, "digest", 7, None))
    bob = claim(there, "Bob")
    bobs = outcome(there.accept(bob.claim, "digest"))

    outcome(here.close_room(alice.claim, seat))

    assert there.rooms(bob.claim.by, None, 10, inside=True)[0].name == LOBBY
    with pytest.raises(NoSuchRoom):
        outcome(there.accept(bob.claim, "digest"))
    ends = [change for event in there.follow(0, 1).events for change in event.seats]
    assert [(c.by, c.number) for c in ends if not c.begins] == [
        (alice.claim.by, seat.number),
        (bob.claim.by, bobs.number),
    ]


def test_a_removed_text_is_nowhere_in_the_database(here: Store, redis_client: redis.Redis) -> None:
    alice = claim(here, "Alice")
    seat = enter(here, alice, "garden")
    message = say_in(here, alice, seat, "secret one")
    outcome(here.edit(alice.claim, seat, message.id, "secret two"))
    outcome(here.edit(alice.claim, seat, message.id, "secret three"))
    last = say_in(here, alice, seat, "harmless")
    assert everything(redis_client).count(b"secret") > 3

    outcome(here.remove(alice.claim, seat, message.id))

    assert b"secret t" not in everything(redis_client)
    assert b"secret one" not in everything(redis_client)
    told = here.follow(message.id - 1, 1).events
    assert [event.id for event in told] == [last.id, last.id + 1]
    assert told[0].prev == message.id + 2


def test_a_worker_that_is_further_behind_than_the_tail_is_told_to_begin_anew(
    open_at: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "TAIL_EVENTS", 10)
    store = open_at()
    alice = claim(store, "Alice")
    for number in range(20):
        say(store, alice, str(number))

    assert len(store.follow(11, 1).events) == 10
    with pytest.raises(LogReset):
        store.follow(10, 1)
    assert len(store.read()) == 21


def test_nobody_begins_anew_since_what_was_removed_is_not_in_the_tail(
    here: Store, there: Store
) -> None:
    alice = claim(here, "Alice")
    seat = enter(here, alice, "garden")
    message = say_in(here, alice, seat, "gone")
    assert there.follow(0, 1).events[-1].id == message.id
    outcome(here.remove(alice.claim, seat, message.id))

    epoch = there.epoch
    tick(there)
    assert [event.type for event in there.follow(message.id - 1, 1).events] == ["remove"]
    assert there.epoch == epoch


def test_an_aside_wakes_the_followers_of_all_workers(here: Store, there: Store) -> None:
    alice = claim(here, "Alice")
    seat = enter(here, alice, "garden")
    last = here.last_id
    for store in (here, there):
        store.follow(last, 0.001)
    followers = [gevent.spawn(store.follow, last, 20) for store in (here, there)]
    started = time.monotonic()

    def all_have_heard() -> bool:
        # Again and again: who does not listen yet misses it.
        outcome(here.typing(alice.claim, seat))
        return all(follower.ready() for follower in followers)

    eventually(all_have_heard)
    assert time.monotonic() - started < 0.9
    for follower in followers:
        assert follower.get().asides[0] == Aside("garden", "typing", "Alice", alice.claim.by)
        assert follower.get().events == []


def test_a_room_is_trimmed_when_it_is_next_touched_and_what_is_old_cannot_be_read_before(
    open_at: OpenStore, redis_client: redis.Redis
) -> None:
    store = open_at(Policy(keep_messages=3))
    alice = claim(store, "Alice")
    seat = enter(store, alice, "garden")
    message = say_in(store, alice, seat, "old words")
    outcome(store.react(alice.claim, seat, message.id, "x", True))
    for number in range(3):
        say(store, alice, str(number))
    tick(store)

    assert store.read_room(alice.claim.by, seat, limit=10) == []
    assert b"old words" in everything(redis_client)
    say_in(store, alice, seat, "new words")

    assert b"old words" not in everything(redis_client)
    assert redis_client.keys("*reacted*") == []
    assert [e.text for e in store.read_room(alice.claim.by, seat, limit=10)] == ["new words"]


def test_of_a_room_that_has_ended_nothing_is_left(
    here: Store, redis_client: redis.Redis, clock: Clock
) -> None:
    alice = claim(here, "Alice")
    before = set(redis_client.keys())
    seat = outcome(here.open_room(alice.claim, "+room", "Room", "", False))
    message = say_in(here, alice, seat, "words")
    outcome(here.edit(alice.claim, seat, message.id, "other words"))
    outcome(here.react(alice.claim, seat, message.id, "x", True))
    outcome(here.create_pass(alice.claim, seat, "digest", 7, None))
    outcome(here.block(alice.claim, "bob", True))
    outcome(here.leave_room(alice.claim, seat))

    clock.advance(6)
    tick(here)

    assert b"words" not in everything(redis_client)
    assert set(redis_client.keys()) - before == {
        f"{scripts.PREFIX}{name}".encode() for name in (f"blocks:{alice.claim.by}", "erased")
    }
    assert [e.type for e in here.follow(0, 1).events] == ["join", "seat", "seat"]
    outcome(here.release(alice.claim))
    assert redis_client.keys("*blocks*") == []


def test_rooms_that_end_faster_than_time_passes_are_erased_together(
    here: Store, redis_client: redis.Redis, clock: Clock
) -> None:
    alice = claim(here, "Alice")
    for number in range(20):
        seat = enter(here, alice, f"room{number}")
        outcome(here.leave_room(alice.claim, seat))

    clock.advance(10)
    tick(here)

    assert redis_client.zcard(f"{scripts.PREFIX}ending") == 0


def test_of_a_guest_whose_stay_has_ended_only_what_was_said_is_left(
    here: Store, redis_client: redis.Redis
) -> None:
    alice, bob = claim(here, "Alice"), claim(here, "Bob")
    seat = enter(here, alice, "garden")
    outcome(here.direct(alice.claim, "bob", "@both"))
    say_in(here, alice, seat, "words")

    for who in (alice, bob):
        outcome(here.release(who.claim))

    left = {key.decode().removeprefix(scripts.PREFIX) for key in redis_client.scan_iter()}
    assert left & {"direct", "made", "names", "order"} <= {"made"}
    assert not [name for name in left if re.match("inside|seats|people|held", name)]


def test_what_waits_is_told_however_many_rooms_there_are(
    here: Store, clock: Clock, redis_client: redis.Redis
) -> None:
    members = [claim(here, f"member {number}") for number in range(6)]
    for number, member in enumerate(members):
        for room in range(3):
            enter(here, member, f"room {number // 2}.{room}")
    clock.advance(0.25)
    tick(here)

    joins = [e for e in here.follow(0, 1).events if e.type == "join" and e.room != LOBBY]
    assert len(joins) == 18
    assert redis_client.zcard(f"{scripts.PREFIX}due") == 0


def test_the_script_stays_below_the_locals_that_lua_allows() -> None:
    directory = files("chatserver.store.redis").joinpath("script")
    parts = scripts.BATCH.source.decode().split("\ndo\n---")
    names = [re.findall(r"^local (?:function )?([^=(\n]+)", part, re.MULTILINE) for part in parts]
    shared, *own = [sum(len(name.split(",")) for name in found) for found in names]
    assert len(own) > 10
    assert shared + max(own) < 100
    for file in directory.iterdir():
        assert len(file.read_text().splitlines()) <= 400, file.name


def test_only_one_message_of_a_room_is_told_the_reactions_of_at_a_time(
    here: Store, clock: Clock
) -> None:
    alice = claim(here, "Alice")
    seat = enter(here, alice, "garden")
    messages = [say_in(here, alice, seat, str(number)) for number in range(3)]
    for message in messages:
        outcome(here.react(alice.claim, seat, message.id, "x", True))

    def told() -> list[int]:
        return [e.target for e in here.follow(0, 1).events if e.type == "react"]

    assert told() == [messages[0].id]
    assert tick(here) == 0.25
    clock.advance(0.25)
    tick(here)
    assert told() == [messages[0].id, messages[1].id]


def test_an_entry_that_is_not_of_this_version_is_an_error(
    here: Store, redis_client: redis.Redis
) -> None:
    body = msgspec.msgpack.encode([0, 0, "", "", 0])
    redis_client.xadd(scripts.TAIL, {"surprise": body, "r": ""}, "1-0")

    with pytest.raises(ValueError, match="not of this version"):
        here.follow(0, 1)


def test_what_is_long_is_asked_for_in_parts(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS", 2)
    monkeypatch.setattr(reading, "ROOM_EVENTS", 1)
    monkeypatch.setattr(reading, "CHUNK_EVENTS", 3)
    members = [claim(here, f"member {number}") for number in range(5)]
    alice = members[0]
    seats = {room: enter(here, alice, room) for room in ("a", "b", "c", "m", "z")}
    for member in members[1:]:
        enter(here, member, "m")
    for number in range(4):
        for room, seat in seats.items():
            say_in(here, alice, seat, f"{room} {number}")
    by = alice.claim.by

    assert [one.name for one in here.people(by, seats["m"], None, 9)] == [m.name for m in members]
    assert [info.name for info in here.rooms(by, "a", 9)] == ["b", "c", LOBBY, "m", "z"]
    assert [info.name for info in here.rooms(by, None, 3, inside=True)] == ["a", "b", "c"]
    assert len(here.read_room(by, seats["z"], limit=9, newest=True)) == 5
    assert len(here.read_room(by, seats["z"], limit=9, kinds="messages")) == 4
    told = here.read_rooms(dict.fromkeys(seats, 0), here.last_id, 99)
    assert told == [
        event
        for event in here.follow(0, 1).events
        if event.room in seats and event.id < here.last_id
    ]
    assert here.read_rooms(dict.fromkeys(seats, 0), here.last_id, 7) == told[:7]
