"""From the log to the members, in this process: no gap, no repeat, whoever is how far behind."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from chatserver import loop
from chatserver.loop import Loop
from chatserver.rooms import cast
from chatserver.rooms.feed import Feed
from chatserver.rooms.member import ClientState, Member
from chatserver.store import open_store
from chatserver.store.interface import Policy, Store
from chatserver.store.seats import LOBBY, Seat
from chatserver.store.values import Joined, Lost
from tests.chatserver.greenlets import FakeConnection, eventually, outcome


class Listener:
    """A member and what it has heard."""

    def __init__(self, joined: Joined) -> None:
        self.connection = FakeConnection()
        callback = self.connection.callback()
        self.member = Member(
            ClientState(self.connection), joined.claim, joined.name, callback, callback
        )

    @property
    def heard(self) -> list[int]:
        return [event["id"] for event in self.connection.heard]


def raising(error: Exception) -> Callable[..., Any]:
    """A function that does nothing but raise."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


class Chat:
    """A store, a feed that follows it, and Alice, who speaks."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.store: Store = open_store("memory:", policy)
        self.lost: list[Lost] = []
        self.alice = self.join("Alice")
        self.feed = Feed(self.store, self.lost.append, lambda: None)
        self.follower = Loop("Following", self.feed.follow)

    def join(self, name: str, secret: str | None = None) -> Joined:
        return outcome(self.store.claim(name, name, f"{name}@{id(object())}", secret))

    def say(self, how_many: int = 1) -> int:
        for number in range(how_many):
            receipt = self.store.append(self.alice.claim, f"message {number}")
        return receipt.result().id

    def listen(self, after: int) -> Listener:
        listener = Listener(self.alice)
        self.add(listener, after)
        return listener

    def add(self, listener: Listener, after: int) -> None:
        self.feed.add(listener.member, (Seat(LOBBY, after),), after, self.store.last_id)


pytestmark = pytest.mark.usefixtures("gevent_default")


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()
    gevent.sleep(0)
    yield chat
    chat.follower.kill()


def test_a_live_member_hears_everything_above_where_it_began(chat: Chat) -> None:
    chat.say(3)
    listener = chat.listen(after=chat.store.last_id)

    last = chat.say(5)

    eventually(lambda: listener.heard[-1:] == [last])
    assert listener.heard == list(range(last - 4, last + 1))


def test_a_member_whose_events_begin_ahead_of_the_tail_hears_none_before(chat: Chat) -> None:
    listener = Listener(chat.alice)
    chat.say(10)
    assert chat.feed.position < chat.store.last_id
    chat.add(listener, chat.store.last_id)

    last = chat.say(1)

    eventually(lambda: listener.heard[-1:] == [last])
    assert listener.heard == [last]


def test_a_member_far_behind_catches_up_while_others_chat(chat: Chat) -> None:
    chat.say(10_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    live = chat.listen(after=chat.store.last_id)
    behind = chat.listen(after=5)

    while not behind.heard or behind.heard[-1] < chat.store.last_id - 1000:
        chat.say(20)
        gevent.sleep(0.001)
    last = chat.say(1)

    eventually(lambda: behind.heard[-1] == live.heard[-1] == last)
    assert behind.heard == list(range(6, last + 1))
    assert live.heard == list(range(live.heard[0], last + 1))


def test_a_member_behind_is_told_no_faster_than_its_connection_takes_it(chat: Chat) -> None:
    chat.say(5_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)

    behind = chat.listen(after=1)
    eventually(lambda: behind.heard[-1:] == [chat.store.last_id])

    # The last ones come at once, as soon as they are at hand.
    assert behind.connection.most < 64 * 1024 + 512 * 200


def test_a_member_behind_whose_connection_is_stuck_is_no_burden(chat: Chat) -> None:
    chat.say(5_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    stuck = chat.listen(after=1)
    stuck.connection.stuck = True
    live = chat.listen(after=chat.store.last_id)

    last = chat.say(2_000)
    eventually(lambda: live.heard[-1:] == [last])

    assert stuck.connection.most < 128 * 1024
    chat.feed.remove(stuck.member)


def test_a_member_that_is_removed_hears_nothing_more(chat: Chat) -> None:
    chat.say(2_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    live, behind, ahead = (Listener(chat.alice) for _ in range(3))
    chat.add(live, chat.store.last_id)
    chat.add(behind, 1)
    chat.say(1)
    chat.add(ahead, chat.store.last_id)
    for listener in (live, behind, ahead):
        chat.feed.remove(listener.member)
    witness = chat.listen(after=chat.store.last_id)

    last = chat.say(1)

    eventually(lambda: witness.heard == [last])
    assert (live.heard, behind.heard, ahead.heard) == ([], [], [])


def test_the_log_trimmed_under_a_reader_closes_it_instead_of_leaving_a_gap() -> None:
    chat = Chat(Policy(keep_messages=1))
    chat.say(1500)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    behind = chat.listen(after=1)
    behind.connection.stuck = True
    behind.connection.buffered = 10**6
    gevent.sleep(0)

    while chat.store.read()[0].id < 900:
        outcome(chat.store.tick())
    behind.connection.stuck = False

    eventually(lambda: behind.connection.closed)
    assert behind.connection.close_code == 1012
    assert behind.heard == []
    chat.follower.kill()


def test_who_lost_a_name_is_told(chat: Chat) -> None:
    bob = chat.join("Bob")
    chat.join("Bob", bob.claim.secret)

    eventually(lambda: chat.lost == [Lost(bob.claim.holder, "taken_over")])


def test_the_feed_outlives_a_store_that_fails_in_an_unforeseen_way(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    listener = chat.listen(after=chat.store.last_id)
    with monkeypatch.context() as failing:
        failing.setattr(chat.store, "follow", raising(ZeroDivisionError("unforeseen")))
        chat.say(1)
        eventually(lambda: not chat.follower.healthy)

    last = chat.say(1)

    eventually(lambda: listener.heard[-1:] == [last])
    assert listener.heard == [last - 1, last]
    assert chat.follower.healthy
    messages = [record.getMessage() for record in caplog.records]
    assert [message for message in messages if "unforeseen" in message] == messages[:1]
    assert "goes on" in messages[-1]


def test_members_of_whom_nobody_knows_what_they_were_told_are_sent_to_join_again(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    listener = chat.listen(after=chat.store.last_id)
    with monkeypatch.context() as failing:
        failing.setattr(cast, "broadcast_all", raising(ZeroDivisionError()))
        chat.say(1)
        eventually(lambda: listener.connection.closed)
    chat.feed.remove(listener.member)
    back = chat.listen(after=chat.store.last_id)

    last = chat.say(1)

    assert listener.connection.close_code == 1012
    eventually(lambda: back.heard == [last])


def test_one_member_whose_end_fails_does_not_keep_the_others_from_theirs(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    told: list[Lost] = []
    failures = iter([ZeroDivisionError()])

    def lose(lost: Lost) -> None:
        for error in failures:
            raise error
        told.append(lost)

    monkeypatch.setattr(chat.feed, "_lost", lose)
    listener = chat.listen(after=chat.store.last_id)
    bob, carol = chat.join("Bob"), chat.join("Carol")
    chat.join("Bob", bob.claim.secret)
    chat.join("Carol", carol.claim.secret)
    last = chat.say(1)

    eventually(lambda: listener.heard[-1:] == [last])
    assert told == [Lost(carol.claim.holder, "taken_over")]


def test_a_reader_of_the_log_that_fails_sends_its_member_away_instead_of_staying_silent(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.say(5_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    monkeypatch.setattr(chat.store, "read_rooms", raising(ZeroDivisionError()))

    behind = chat.listen(after=1)

    eventually(lambda: behind.connection.closed)
    assert behind.connection.close_code == 1012


def test_a_member_behind_reads_up_to_where_the_tail_is_and_hears_the_rest_from_it(
    chat: Chat,
) -> None:
    chat.say(1_000)
    eventually(lambda: chat.feed.position == chat.store.last_id)
    position = chat.feed.position
    chat.follower.kill()
    known = chat.store.last_id
    behind = Listener(chat.alice)
    chat.feed.add(behind.member, (Seat(LOBBY, 5),), 5, known)
    chat.say(5)
    eventually(lambda: behind.heard[-1:] == [position])

    chat.follower = Loop("Following", chat.feed.follow)
    last = chat.say(1)

    eventually(lambda: behind.heard[-1:] == [last])
    assert behind.heard == list(range(6, last + 1))
