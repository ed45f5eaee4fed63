"""A database from before there were rooms, which workers of that version may still be using."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from chatserver.errors import NameTaken
from chatserver.store.interface import Policy
from chatserver.store.redis import upgrade
from chatserver.store.redis.connection import LEASE_SECONDS, RedisConnection
from chatserver.store.redis.scripts import UPGRADE
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.values import digest_of
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, events, say, tick, told
from tests.chatserver.store.conftest import Clock, OpenStore

pack = msgspec.msgpack.encode

SECRETS = {"alice": "secret of alice", "bob": "secret of bob"}


class OldChat:
    """What the version before left in Redis."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        """Alice and Bob have joined, by a worker that is alive; Alice has said something, with the
        key `k`."""
        self.client = client
        self.steady = clock().steady
        self._clock = clock
        self._last_id = 0
        self.store([clock.now, "join", 2, ["Alice", "Bob"]])
        self.say("Alice", "hello")
        for number, (key, secret) in enumerate(SECRETS.items(), 1):
            record = {"number": number, "name": key.title(), "secret": secret, "holder": key}
            record |= {"worker": "w", "waiting": False}
            client.hset("{chat}:names", key, pack(record))
            client.zadd("{chat}:order", {key.title(): number})
            client.zadd("{chat}:held:w", {key: number})
        client.zadd("{chat}:leases", {"w": self.steady + round(LEASE_SECONDS * 1000)})
        sent = pack([digest_of("hello").hex(), 2, clock.now])
        client.set(f"{{chat}}:sent:{digest_of(SECRETS['alice'], 'k').hex()}", sent)
        self.note(epoch="e", first_id=1, messages=7, number=2, steady=self.steady, seen=self.steady)

    def note(self, **fields: str | int) -> None:
        for field, value in fields.items():
            self.client.hset("{chat}:meta", field, str(value))

    def store(self, entry: list[Any]) -> None:
        self._last_id += 1
        self.note(last_id=self._last_id, last_ms=self._clock.now)
        self.client.xadd("{chat}:log", {"e": pack(entry)}, f"{self._last_id}-0")

    def say(self, name: str, text: str) -> None:
        self.store([self._clock.now, name, text])


@pytest.fixture
def url(redis_url: str) -> str:
    return redis_url


@pytest.fixture
def old_chat(redis_client: redis.Redis, clock: Clock) -> OldChat:
    return OldChat(redis_client, clock)


def test_all_that_there_was_is_the_lobbys(old_chat: OldChat, open_at: OpenStore) -> None:
    store = open_at()

    assert (store.epoch, store.last_id) == ("e", 2)
    assert [(e.id, e.prev, e.room, e.user, e.text) for e in events(store)] == [
        (1, 0, LOBBY, "Alice", "Alice and Bob joined the chat"),
        (2, 1, LOBBY, "Alice", "hello"),
    ]
    assert store.follow(0, 1).events == events(store)
    assert store.names() == ["Alice", "Bob"]
    assert store.counts() == (2, 7)


def test_who_was_there_comes_back_with_seat_and_keys(old_chat: OldChat, open_at: OpenStore) -> None:
    store = open_at()
    with pytest.raises(NameTaken):
        claim(store, "Alice")

    alice = claim(store, "Alice", SECRETS["alice"])

    assert alice.seats == (Seat(LOBBY, 0),)
    assert store.room(alice.claim.by, alice.seats[0]).people == 2
    assert say(store, alice, "hello", key="k").id == 2
    assert say(store, alice, "again").id == 3
    assert store.counts().messages == 8
    outcome(store.release(alice.claim))
    assert store.names() == ["Bob"]


def test_whose_worker_does_not_come_back_leaves_in_time(
    old_chat: OldChat, open_at: OpenStore, clock: Clock
) -> None:
    store = open_at()
    clock.advance(LEASE_SECONDS)
    tick(store)
    clock.advance(Policy().grace_seconds)
    tick(store)
    tick(store)

    assert told(store)[2:] == ["Alice and Bob left the chat"]


def test_workers_of_before_can_write_until_it_is_done_and_then_no_more(
    old_chat: OldChat, open_at: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        old_chat.say("Bob", str(number))
    run: Callable[..., list[Any]] = RedisConnection.run

    def run_and_say(self: RedisConnection, script: Any, *arguments: bytes) -> list[Any]:
        answer = run(self, script, *arguments)
        if script is UPGRADE and answer[0] == b"more":
            old_chat.say("Bob", "meanwhile")
        return answer

    monkeypatch.setattr(upgrade, "PART_EVENTS", 8)
    monkeypatch.setattr(RedisConnection, "run", run_and_say)

    store = open_at()

    assert told(store)[2:] == [*map(str, range(20)), *["meanwhile"] * 3]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        old_chat.say("Bob", "too late")
    assert open_at().epoch == store.epoch
    left = {key for key in old_chat.client.keys("{chat}:*") if b":sent:" not in key}
    assert left == {b"{chat}:meta"}


def test_names_are_guarded_against_lookalikes(old_chat: OldChat, open_at: OpenStore) -> None:
    store = open_at()

    with pytest.raises(NameTaken, match="looks like Alice"):
        claim(store, "\u0410lice")
    outcome(store.release(claim(store, "Alice", SECRETS["alice"]).claim))
    assert claim(store, "\u0410lice").name == "\u0410lice"


def test_who_was_not_told_of_is_told_of_unless_it_cancels_out(
    old_chat: OldChat, open_at: OpenStore, clock: Clock
) -> None:
    notices = [[kind, "carol", "Carol"] for kind in ["join", "leave"] * 2500]
    notices.append(["join", "dave", "Dave"])
    old_chat.client.rpush("{chat}:notices", *map(pack, notices))
    old_chat.client.hset("{chat}:meta", mapping={"pending_join": 2501, "pending_leave": 2500})

    store = open_at()
    for _ in range(3):
        tick(store)
        clock.advance(0.25)

    assert told(store)[2:] == ["Dave joined the chat"]
