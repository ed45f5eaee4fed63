"""Joins and leaves are told gathered: at most four events of each kind a second."""

from itertools import pairwise

from chatserver.store.interface import MAX_NOTICES, Store
from tests.chatserver.greenlets import outcome
from tests.chatserver.store.chat import claim, events, tick, told
from tests.chatserver.store.conftest import Clock


def test_what_follows_the_first_join_is_gathered_into_one_event(store: Store, clock: Clock) -> None:
    for name in ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank"):
        claim(store, name)
    assert told(store) == ["Alice joined the chat"]

    clock.advance(tick(store))
    tick(store)

    gathered = events(store)[-1]
    assert gathered.text == "Bob, Carol and 3 others joined the chat"
    assert gathered.user == "Bob"
    assert gathered.users == ("Bob", "Carol", "Dave", "Erin", "Frank")
    assert gathered.count == 5


def test_few_are_all_named(store: Store, clock: Clock) -> None:
    for number in range(3):
        for name in ("Alice", "Bob", "Carol")[: number + 1]:
            claim(store, f"{name} {number}")
        for _ in range(2):
            clock.advance(1)
            tick(store)

    assert told(store) == [
        "Alice 0 joined the chat",
        "Alice 1 joined the chat",
        "Bob 1 joined the chat",
        "Alice 2 joined the chat",
        "Bob 2 and Carol 2 joined the chat",
    ]


def test_a_gathered_event_names_200_and_counts_all(store: Store, clock: Clock) -> None:
    for number in range(302):
        claim(store, f"member {number}")
    clock.advance(1)
    tick(store)

    gathered = events(store)[-1]
    assert gathered.text == "member 1, member 2 and 299 others joined the chat"
    assert (len(gathered.users), gathered.count) == (200, 301)


def test_at_most_four_join_and_four_leave_events_come_in_a_second(
    store: Store, clock: Clock
) -> None:
    start = clock.now
    while clock.now < start + 3000:
        outcome(store.release(claim(store, f"member {clock.now}").claim))
        tick(store)
        clock.advance(0.01)

    for kind in ("join", "leave"):
        times = [event.time_ms for event in events(store) if event.type == kind]
        assert len(times) == 12
        assert all(later - earlier >= 250 for earlier, later in pairwise(times))


def test_joins_do_not_hold_up_leaves(store: Store) -> None:
    alice = claim(store, "Alice")
    claim(store, "Bob")
    outcome(store.release(alice.claim))

    assert told(store) == ["Alice joined the chat", "Alice left the chat"]


def test_who_left_before_anyone_was_told_of_the_join_is_not_told_of(
    store: Store, clock: Clock
) -> None:
    claim(store, "Alice")
    for _ in range(3):
        outcome(store.release(claim(store, "Bob").claim))
    claim(store, "Carol")

    for _ in range(3):
        clock.advance(0.25)
        tick(store)

    assert told(store) == ["Alice joined the chat", "Carol joined the chat"]


def test_coming_and_going_is_told_as_it_ended(store: Store, clock: Clock) -> None:
    alice = claim(store, "Alice")
    outcome(store.release(claim(store, "Bob").claim))
    clock.advance(1)
    tick(store)
    bob = claim(store, "Bob")
    for claimed in (alice, bob):
        outcome(store.release(claimed.claim))
    for _ in range(5):
        outcome(store.release(claim(store, "Bob").claim))
    claim(store, "Bob")

    for _ in range(3):
        clock.advance(0.25)
        tick(store)

    assert told(store) == [
        "Alice joined the chat",
        "Bob joined the chat",
        "Alice left the chat",
        "Bob left the chat",
        "Bob joined the chat",
    ]


def test_joining_and_leaving_for_long_is_not_told_for_long(store: Store, clock: Clock) -> None:
    claim(store, "Alice")
    for number in range(300):
        outcome(store.release(claim(store, f"member {number % 7}").claim))

    for _ in range(2):
        clock.advance(0.25)
        tick(store)
    count = len(events(store))
    for _ in range(5):
        clock.advance(0.25)
        tick(store)

    assert len(events(store)) == count


def test_beyond_a_bound_those_who_wait_are_counted_only(store: Store, clock: Clock) -> None:
    members = [claim(store, f"member {number}") for number in range(MAX_NOTICES + 52)]

    clock.advance(0.25)
    tick(store)
    for member in members:
        outcome(store.release(member.claim))
    clock.advance(0.25)
    tick(store)

    joined, left = events(store)[1], events(store)[-1]
    assert (joined.type, joined.count) == ("join", MAX_NOTICES + 51)
    assert joined.text == f"member 1, member 2 and {MAX_NOTICES + 49} others joined the chat"
    assert left.type == "leave"
    assert sum(event.count for event in events(store) if event.type == "leave") == len(members)


def test_coming_back_is_told_after_having_left(store: Store, clock: Clock) -> None:
    alice, bob = claim(store, "Alice"), claim(store, "Bob")
    clock.advance(1)
    tick(store)
    outcome(store.release(alice.claim))
    clock.advance(0.1)
    outcome(store.release(bob.claim))
    claim(store, "Bob")

    clock.advance(0.2)
    tick(store)

    assert told(store)[2:] == [
        "Alice left the chat",
        "Bob left the chat",
        "Bob joined the chat",
    ]


def test_a_clock_that_is_set_back_silences_nobody(store: Store, clock: Clock) -> None:
    claim(store, "Alice")
    clock.set_back(3600)
    clock.advance(0.25)
    claim(store, "Bob")

    assert told(store) == ["Alice joined the chat", "Bob joined the chat"]


def test_tick_says_when_it_has_something_to_do(store: Store, clock: Clock) -> None:
    assert tick(store) == 0.25
    claim(store, "Alice")
    claim(store, "Bob")
    clock.advance(0.15)
    assert tick(store) == 0.1

    clock.advance(0.1)
    assert tick(store) == 0.25
    assert len(events(store)) == 2


def test_a_notice_of_one_says_whose_it_is_and_one_of_several_does_not(
    store: Store, clock: Clock
) -> None:
    alice = claim(store, "Alice")
    claim(store, "Bob")
    claim(store, "Carol")
    clock.advance(1)
    tick(store)
    outcome(store.release(alice.claim))
    clock.advance(1)
    tick(store)

    assert [event.by for event in events(store)] == [alice.claim.by, "", alice.claim.by]
