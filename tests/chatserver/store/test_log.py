"""The ordered log: appending once, reading ranges, following the tail, trimming."""

from collections.abc import Callable
from functools import partial

import gevent
import pytest

from chatserver.errors import BadRequest
from chatserver.store import interface
from chatserver.store.events import date
from chatserver.store.interface import MAX_READ_BYTES, Policy, Store
from chatserver.store.values import Receipt, Tail
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, events, say, tick
from tests.chatserver.store.conftest import Clock, OpenStore


def ids(store: Store, **bounds: int | bool | None) -> list[int]:
    return [event.id for event in store.read(**bounds)]  # type: ignore[arg-type]


def test_ids_grow_by_one_and_events_are_as_they_were_appended(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    clock.advance(1)

    receipt = say(store, alice, "hello 😀\nworld\x00")

    assert receipt == Receipt(2, date(clock.now))
    event = events(store)[-1]
    assert (event.id, event.type, event.user) == (2, "chat", "Alice")
    assert (event.text, event.time_ms) == ("hello 😀\nworld\x00", clock.now)
    assert (event.users, event.count) == ((), 0)
    assert store.last_id == 2


def test_the_answers_of_many_senders_are_the_order_of_the_log(store: Store) -> None:
    members = [claim(store, f"member {number}") for number in range(10)]
    futures = [
        (store.append(member.claim, f"{member.name} says {turn}"), f"{member.name} says {turn}")
        for turn in range(10)
        for member in members
    ]

    answers = [(outcome(future).id, text) for future, text in futures]

    assert answers == sorted(answers)
    assert [(e.id, e.text) for e in events(store) if e.type == "chat"] == answers


@pytest.fixture
def ten(store: Store) -> Store:
    """A log whose events are a join and nine messages."""
    alice = claim(store, "Alice")
    for number in range(9):
        say(store, alice, f"message {number}")
    return store


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"after": 7}, [8, 9, 10]),
        ({"before": 4}, [1, 2, 3]),
        ({"after": 2, "before": 6}, [3, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "newest": True}, [9, 10]),
        ({"after": 4, "limit": 2}, [5, 6]),
        ({"before": 9, "limit": 2, "newest": True}, [7, 8]),
        ({"after": 7, "before": 9, "limit": 5, "newest": True}, [8]),
        ({"after": 10}, []),
        ({"after": 99}, []),
        ({"before": 1}, []),
        ({"before": -5, "newest": True}, []),
        ({"before": 99, "limit": 1, "newest": True}, [10]),
        ({"after": 8, "before": 3}, []),
        ({"after": 2**70}, []),
        ({"before": 2**70, "limit": 1}, [1]),
    ],
)
def test_a_read_returns_the_range_ascending(
    ten: Store, bounds: dict[str, int], expected: list[int]
) -> None:
    assert ids(ten, **bounds) == expected


def test_one_read_returns_500_events_at_most(store: Store) -> None:
    alice = claim(store, "Alice")
    for number in range(510):
        store.append(alice.claim, str(number))
    say(store, alice, "last")

    assert ids(store) == list(range(1, 501))
    assert ids(store, limit=9999, newest=True) == list(range(13, 513))


def test_one_read_returns_about_a_mebibyte_at_most(store: Store) -> None:
    alice = claim(store, "Alice")
    for _ in range(100):
        store.append(alice.claim, "😀" * 4000)
    say(store, alice, "last")

    oldest, newest = store.read(), store.read(newest=True)

    for found in (oldest, newest):
        assert 60 < len(found) < 70
        assert sum(event.size for event in found) <= MAX_READ_BYTES
    assert oldest[0].id == 1
    assert newest[-1].text == "last"


def test_reactions_count_as_what_one_read_returns(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = claim(store, "A" * 32).claim
    seat = outcome(store.enter(alice, "garden"))
    said = [outcome(store.say(alice, seat, "hi", None, 0)).id for _ in range(5)]
    for message in said:
        for emoji in ("🌹", "🌻", "🌷", "🌵", "🌲"):
            outcome(store.react(alice, seat, message, emoji, True))
    monkeypatch.setattr(interface, "MAX_READ_BYTES", 2000)

    read = partial(store.read_room, alice.by, seat, kinds="messages")

    assert [event.id for event in read(limit=2**70)] == said[:2]
    assert [event.id for event in read(limit=2**70, newest=True)] == said[-2:]


def test_the_follower_gets_every_event_once_in_order(store: Store) -> None:
    alice = claim(store, "Alice")
    heard: list[int] = []

    def follow() -> None:
        while not heard or heard[-1] < 301:
            tail = store.follow(heard[-1] if heard else 0, 5)
            heard.extend(event.id for event in tail.events)

    follower = gevent.spawn(follow)
    for number in range(300):
        store.append(alice.claim, str(number))
        if number % 7 == 0:
            gevent.sleep(0)
    follower.get(timeout=20)

    assert heard == list(range(1, 302))


def test_the_follower_waits_for_news(store: Store) -> None:
    follower = gevent.spawn(store.follow, 0, 20)
    gevent.sleep(0)

    claim(store, "Alice")

    assert [event.id for event in follower.get(timeout=20).events] == [1]


def test_a_follower_without_news_returns_empty_handed(store: Store) -> None:
    assert store.follow(0, 0.001) == Tail([], [])


def test_a_follower_that_is_far_behind_reads_from_the_log(store: Store) -> None:
    alice = claim(store, "Alice")
    for number in range(5000):
        store.append(alice.claim, str(number))
    say(store, alice, "last")

    heard: list[int] = []
    while not heard or heard[-1] < 5002:
        found = store.follow(heard[-1] if heard else 0, 5).events
        assert len(found) <= 500
        heard += [event.id for event in found]

    assert heard == list(range(1, 5003))


def test_the_same_key_again_stores_nothing_and_answers_alike(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    first = say(store, alice, "hello", key="k")
    say(store, alice, "between")
    clock.advance(60)

    assert say(store, alice, "hello", key="k") == first
    assert [event.text for event in events(store)][1:] == ["hello", "between"]


def test_the_same_key_twice_under_way_is_stored_once(store: Store) -> None:
    alice = claim(store, "Alice")
    futures = [store.append(alice.claim, "hello", "k") for _ in range(5)]

    assert {outcome(future).id for future in futures} == {2}


def test_the_same_key_with_another_text_is_refused(store: Store) -> None:
    alice = claim(store, "Alice")
    say(store, alice, "hello", key="k")

    with pytest.raises(BadRequest, match="key"):
        say(store, alice, "goodbye", key="k")


def test_a_key_belongs_to_the_secret_and_survives_a_takeover(store: Store) -> None:
    alice, bob = claim(store, "Alice"), claim(store, "Bob")
    first = say(store, alice, "hello", key="k")

    assert say(store, bob, "hello", key="k").id > first.id
    back = claim(store, "Alice", secret=alice.claim.secret)
    assert say(store, back, "hello", key="k") == first


def test_a_new_membership_has_new_keys(store: Store) -> None:
    alice = claim(store, "Alice")
    first = say(store, alice, "hello", key="k")
    outcome(store.release(alice.claim))

    assert say(store, claim(store, "Alice"), "hello", key="k").id > first.id


def test_any_string_is_a_key(store: Store) -> None:
    alice = claim(store, "Alice")
    first = say(store, alice, "hello", key="\ud83d\x00")

    assert say(store, alice, "hello", key="\ud83d\x00") == first
    assert say(store, alice, "hello", key="\ud83d").id > first.id


def test_a_key_is_kept_for_seven_days(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    first = say(store, alice, "hello", key="k")
    clock.advance(7 * 24 * 3600 - 1)
    tick(store)
    assert say(store, alice, "hello", key="k") == first

    clock.advance(2)
    tick(store)

    assert say(store, alice, "hello", key="k").id > first.id


def settled(store: Store, done: Callable[[], bool]) -> None:
    for _ in range(100):
        tick(store)
        if done():
            return
    raise AssertionError("trimming does not come to an end")


def test_without_a_policy_everything_is_kept(ten: Store, clock: Clock) -> None:
    clock.advance(3650 * 24 * 3600)
    tick(ten)

    assert len(events(ten)) == 10


def test_only_the_newest_messages_are_kept_when_so_told(open_at: OpenStore) -> None:
    store = open_at(Policy(keep_messages=5))
    alice = claim(store, "Alice")
    for number in range(2500):
        store.append(alice.claim, str(number))
    say(store, alice, "last")

    settled(store, lambda: ids(store) == list(range(2498, 2503)))

    assert claim(store, "Bob").first_id == 2498


def test_only_young_events_are_kept_when_so_told(open_at: OpenStore, clock: Clock) -> None:
    store = open_at(Policy(keep_days=2))
    alice = claim(store, "Alice")
    say(store, alice, "old")
    clock.advance(1.5 * 24 * 3600)
    say(store, alice, "young")
    clock.advance(24 * 3600)

    settled(store, lambda: ids(store) == [3])

    assert claim(store, "Bob").first_id == 3


def test_the_newest_event_is_never_trimmed(open_at: OpenStore, clock: Clock) -> None:
    store = open_at(Policy(keep_days=1, keep_messages=1))
    say(store, claim(store, "Alice"), "hello")
    clock.advance(10 * 24 * 3600)

    settled(store, lambda: ids(store) == [2])
    tick(store)

    assert ids(store) == [2]
    assert claim(store, "Bob").last_id == 2


def test_trimmed_messages_are_still_counted(open_at: OpenStore) -> None:
    store = open_at(Policy(keep_messages=1))
    alice = claim(store, "Alice")
    for number in range(5):
        say(store, alice, str(number))
    settled(store, lambda: len(events(store)) == 1)

    assert store.counts().messages == 5
