"""What is told to whom of several rooms, in this process: nothing that one may not hear, nothing
twice, each event encoded once, and why one is sent out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import RpcStub
from capnweb_sync.futures import pass_on
from capnweb_sync.session.broadcast import broadcast_all
from chatserver.loop import Loop
from chatserver.options import JoinOptions
from chatserver.rooms.arrival import Arriving
from chatserver.rooms.member import ClientState
from chatserver.rooms.recent import Recent
from chatserver.rooms.stays import Stays
from chatserver.store import open_store
from chatserver.store.events import Event
from chatserver.store.interface import Store
from chatserver.store.values import Joined
from tests.chatserver.greenlets import FakeConnection, eventually, outcome
from tests.chatserver.rooms.somebody import Somebody, follow, resuming, say
from tests.chatserver.store.chat import come

pytestmark = pytest.mark.usefixtures("gevent_default")


@pytest.fixture
def store() -> Store:
    return open_store("memory:")


@pytest.fixture
def stays(store: Store) -> Iterator[Stays]:
    """With a tail that the test moves on: `follow`."""
    stays = Stays(store)
    yield stays
    stays.stop()


@pytest.fixture
def following(stays: Stays) -> Iterator[Loop]:
    """The tail moves on by itself."""
    loop = Loop("Following", stays.feed.follow)
    yield loop
    loop.kill()


Told = list[tuple[int, list[Any]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """For each call to many: how many they are, and what they are told."""
    seen: Told = []

    def note(stubs: Sequence[RpcStub], method: str | None, calls: Sequence[Any]) -> int:
        stubs = list(stubs)
        seen.append((len(stubs), [event.get("text") for (event,) in calls]))
        return broadcast_all(stubs, method, calls)

    monkeypatch.setattr("chatserver.rooms.cast.broadcast_all", note)
    return seen


@pytest.mark.usefixtures("following")
def test_an_event_is_encoded_once_for_all_of_its_room_and_told_to_nobody_else(
    stays: Stays, store: Store, told: Told
) -> None:
    people = [Somebody(stays, f"Person {n}") for n in range(10)]
    rooms = [person.enter("here") for person in people[:5]]
    for person in people[5:]:
        person.enter("there")
    eventually(lambda: stays.feed.position == store.last_id)
    told.clear()

    say(rooms[0], "hello")

    eventually(lambda: all("hello" in person.texts() for person in people[:5]))
    assert told == [(5, ["hello"])]
    assert not any("hello" in person.texts() for person in people[5:])


@pytest.mark.usefixtures("following")
def test_neighbours_of_one_room_are_one_piece_and_nothing_is_regrouped(
    stays: Stays, store: Store, following: Loop, told: Told
) -> None:
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    here, there = ann.enter("here"), ann.enter("there")
    bob.enter("here")
    following.kill()
    follow(stays, store)
    told.clear()
    for room, text in ((here, "1"), (here, "2"), (there, "3"), (here, "4")):
        say(room, text)

    follow(stays, store)

    assert told == [(2, ["1", "2"]), (1, ["3"]), (2, ["4"])]
    assert ann.texts() == ["1", "2", "3", "4"]


@pytest.mark.usefixtures("following")
def test_a_room_without_members_here_is_told_to_nobody(
    stays: Stays, store: Store, told: Told
) -> None:
    elsewhere = outcome(store.claim("eve", "Eve", "another worker", None, lobby=False)).claim
    seat = outcome(store.enter(elsewhere, "far"))
    told.clear()

    outcome(store.say(elsewhere, seat, "hello", None, 0))

    eventually(lambda: stays.feed.position == store.last_id)
    assert told == []


@pytest.mark.usefixtures("following")
def test_in_the_lobby_each_kind_of_callback_is_told_in_its_own_words(
    stays: Stays, told: Told
) -> None:
    seed, connection = ClientState(FakeConnection()), FakeConnection()
    callback = connection.callback()
    outcome(stays.join(seed, Arriving("old", "Old"), callback, callback, JoinOptions()))
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    lobby = ann.enter("lobby")
    bob.enter("lobby")
    told.clear()

    message = say(lobby, "hello")
    outcome(lobby.edit(message, "hi"))

    eventually(lambda: [event["type"] for event in bob.heard][-1:] == ["edit"])
    assert told == [(2, ["hello", "hi"]), (1, ["hello"])]
    assert "edit" not in [event["type"] for event in connection.heard]
    assert "prev" not in connection.heard[-1]


@pytest.mark.usefixtures("following")
def test_whoever_is_sent_out_hears_why_and_nothing_after_it(stays: Stays) -> None:
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    here = outcome(ann.person.open({"title": "Ours"}))
    outcome(bob.person.accept(outcome(here.createPass())))
    other = ann.enter("other")
    bob.enter("other")
    say(here, "before")

    outcome(here.close())
    say(other, "after")

    eventually(lambda: "after" in ann.texts() and "after" in bob.texts())
    for somebody in (ann, bob):
        private = [event for event in somebody.heard if event["room"].startswith("+")]
        assert private[-1]["text"] == "Ann closed the room"


def test_entering_is_answered_once_the_tail_has_told_up_to_it(stays: Stays, store: Store) -> None:
    ann = Somebody(stays, "Ann")

    entering = ann.person.enter("here")
    assert not entering.done()
    follow(stays, store)

    assert say(entering.result(), "hello")


def test_entering_a_log_that_began_anew_is_answered_all_the_same(
    stays: Stays, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Somebody(stays, "Ann")
    entering = ann.person.enter("here")
    feed = stays.feed

    feed._begin_anew()

    assert entering.done()
    assert ann.connection.close_code == 1012


def test_going_on_on_ones_own_connection_may_be_told_before_it_is_answered(
    stays: Stays, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Somebody(stays, "Alice")
    secret = alice.me()["resume"]
    claim, late = store.claim, Future[Joined]()
    answered: list[Future[Joined]] = []

    def claim_late(*claimed: Any, **options: Any) -> "Future[Joined]":
        answered.append(claim(*claimed, **options))
        return late

    monkeypatch.setattr(store, "claim", claim_late)
    who = Arriving("alice", "Alice")
    again: Future[int] = stays.log_in(alice.client, who, None, None, resuming(secret), id)
    stays.feed.follow()  # tells that the holder of before has lost the name
    pass_on(answered[0], late)

    outcome(again)
    assert not alice.connection.closed
    assert alice.client.members["alice"].claim.secret == secret


def test_seats_that_changed_before_somebody_came_are_not_changed_again(
    stays: Stays, store: Store
) -> None:
    """The tail is behind what the store has answered."""
    ann = Somebody(stays, "Ann")
    resume = ann.person._arrival.joined.claim.secret
    entering, leaving = ann.person.enter("here"), ann.person.enter("there")
    follow(stays, store)
    here, there = entering.result(), leaving.result()
    outcome(there.leave())
    outcome(here.leave())
    ann.person.enter("here")

    back = Somebody(stays, "Ann", JoinOptions(resume=resume))
    assert stays.feed.position < store.last_id
    follow(stays, store)
    entering = back.person.enter("here")
    follow(stays, store)
    say(entering.result(), "once")
    follow(stays, store)

    assert back.texts() == ["once"]


def test_seats_that_changed_after_the_answer_and_before_the_feed_knew_are_changed(
    stays: Stays, store: Store
) -> None:
    """The tail has overtaken the answer of the store."""
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    follow(stays, store)
    joined = ann.person._arrival.joined
    direct = bob.person.direct("Ann")
    member = ann.person._member
    stays.feed.remove(member)
    member.seats = {}
    follow(stays, store)

    stays.feed.add(member, joined.seats, joined.last_id, joined.last_id)
    say(direct.result(), "psst")
    follow(stays, store)

    assert ann.texts() == ["psst"]


@pytest.mark.usefixtures("following")
def test_somebody_behind_hears_of_each_room_what_it_was_in_it_for(
    stays: Stays, store: Store
) -> None:
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    here, there, other = (ann.enter(name) for name in ("here", "there", "other"))
    bob.enter("here")
    joined = bob.person._arrival.joined
    say(here, "heard")
    since = store.last_id
    bob.end()
    for n in range(1_000):
        say(here, f"here {n}")
        say(there, f"there {n}")
    resuming = JoinOptions(resume=joined.claim.secret, since=since)
    eventually(lambda: stays.feed.position == store.last_id)
    say(there, "not to be heard")

    back = Somebody(stays, "Bob", resuming)
    back.connection.stuck = True
    back.connection.buffered = 10**6
    entered = back.enter("there")
    say(there, "to be heard")
    outcome(entered.leave())
    say(there, "not to be heard either")
    back.enter("here")
    outcome(back.enter("here").leave())
    say(here, "left")
    back.enter("other")
    say(other, "the end")
    back.connection.stuck = False

    eventually(lambda: "the end" in back.texts())
    assert back.texts() == [*(f"here {n}" for n in range(1_000)), "to be heard", "the end"]
    ids = [event["id"] for event in back.heard]
    assert ids == sorted(set(ids))


def test_what_is_told_late_is_told_as_it_stands() -> None:
    recent = Recent(0)
    for event in (
        Event(1, "chat", "Ann", "one", 0),
        Event(2, "chat", "Ann", "two", 0),
        Event(3, "edit", "Ann", "2", 5, target=2, prev=2),
        Event(4, "edit", "Ann", "first", 5, target=1, prev=3),
        Event(5, "remove", "Ann", "", 6, target=1, prev=4),
    ):
        recent.add(event)

    late = [event.full_value() for event in recent.above(0)]

    assert [(event.get("text"), event.get("removed")) for event in late] == [
        *((None, True), ("2", None), ("2", None), (None, True), ("", None))
    ]


def test_what_is_told_beside_the_log_reaches_those_who_have_logged_in_and_are_inside(
    stays: Stays, store: Store
) -> None:
    ann, bob = Somebody(stays, "Ann"), Somebody(stays, "Bob")
    entering = ann.person.enter("here")
    eve = come(store, "Eve", lobby=False)
    for room in ("elsewhere", "here"):
        outcome(store.enter(eve.claim, room))
    follow(stays, store)
    entering.result().typing()
    outcome(store.release(eve.claim))

    stays.feed.follow()

    assert [(e["type"], e["user"], e.get("online")) for e in ann.heard if "id" not in e] == [
        *(("typing", "Ann", None), ("presence", "Eve", False))
    ]
    assert bob.heard == []


@pytest.mark.usefixtures("following")
def test_nothing_is_kept_of_who_is_gone(stays: Stays) -> None:
    everyone = [Somebody(stays, f"Person {n}") for n in range(20)]
    for person in everyone:
        for room in ("one", "two", "lobby"):
            person.enter(room)

    for person in everyone[::2]:
        outcome(person.person.logout())
    for person in everyone[1::2]:
        person.end(on_purpose=True)

    feed = stays.feed
    assert (feed._casts, feed._people, feed._backlogs) == ({}, {}, {})
    assert all(person.client.members == {} for person in everyone)


@pytest.mark.usefixtures("following")
def test_a_thousand_rooms_of_ten_each_hear_their_own(stays: Stays, full: bool) -> None:
    number_of_rooms = 1_000 if full else 200
    people = [Somebody(stays, f"Person {n}") for n in range(number_of_rooms)]
    rooms = [person.enter(f"room{number}") for number, person in enumerate(people)]
    for number, person in enumerate(people):
        for offset in range(1, 10):
            person.person.enter(f"room{(number + offset) % number_of_rooms}")

    for number, room in enumerate(rooms):
        room.say(f"hello {number}")

    eventually(lambda: all(len(person.texts()) == 10 for person in people))
    for number, person in enumerate(people):
        expected = {f"hello {(number + offset) % number_of_rooms}" for offset in range(10)}
        assert set(person.texts()) == expected


@pytest.mark.usefixtures("following")
def test_one_large_room_is_no_burden_to_many_small_ones(
    stays: Stays, full: bool, told: Told
) -> None:
    crowd = [Somebody(stays, f"Person {n}") for n in range(10_000 if full else 400)]
    for person in crowd:
        person.person.enter("crowd")
    pairs = [
        (Somebody(stays, f"One {n}"), Somebody(stays, f"Other {n}"))
        for n in range(1_000 if full else 40)
    ]
    rooms = [
        (one.enter(f"pair{n}"), other.enter(f"pair{n}")) for n, (one, other) in enumerate(pairs)
    ]
    told.clear()

    say(crowd[0].enter("crowd"), "to all")
    for n, (one, _) in enumerate(rooms):
        one.say(f"to one {n}")

    eventually(lambda: all(other.texts() == [f"to one {n}"] for n, (_, other) in enumerate(pairs)))
    assert [person.texts() for person in crowd] == [["to all"]] * len(crowd)
    assert sum(1 for members, _ in told if members == len(crowd)) == 1
