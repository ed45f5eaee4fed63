"""What becomes of stays when its store does not answer, or begins anew, in this process."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, TypeVar
from unittest.mock import Mock

import pytest

from capnweb_sync import RpcStub
from capnweb_sync.close_codes import TOKEN_OVER
from chatserver import loop
from chatserver.errors import ClaimLost, NameTaken, NotJoined, Unavailable
from chatserver.options import JoinOptions
from chatserver.people.tokens import Identity
from chatserver.rooms import coming as coming_module
from chatserver.rooms import stays as stays_module
from chatserver.rooms import token_ends
from chatserver.rooms.arrival import Arriving
from chatserver.rooms.feed import Feed
from chatserver.rooms.member import ClientState
from chatserver.rooms.stays import Stays
from chatserver.store.interface import Policy, system_clock
from chatserver.store.local import Operation
from chatserver.store.memory import MemoryStore
from chatserver.store.values import LogReset, Tail
from tests.chatserver.greenlets import FakeConnection, eventually, outcome

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("gevent_default")


class MoodyStore(MemoryStore):
    """A store that can be made to fail, and to begin anew."""

    def __init__(self) -> None:
        super().__init__(Policy(grace_seconds=0.2), system_clock)
        self.away = False
        self.silent = False
        """Do what is asked for, but say that the store is away."""
        self.reset = False

    def submit(self, operation: Operation[T]) -> "Future[T]":
        if not self.away:
            answered = super().submit(operation)
            if not self.silent:
                return answered
        future: Future[T] = Future()
        future.set_exception(Unavailable("The store is away; try again."))
        return future

    def follow(self, after: int, timeout: float) -> Tail:
        if self.away:
            raise Unavailable("The store is away; try again.")
        if self.reset:
            self.reset = False
            raise LogReset
        return super().follow(after, 0.01)


@pytest.fixture
def store() -> MoodyStore:
    return MoodyStore()


@pytest.fixture
def stays(store: MoodyStore) -> Iterator[Stays]:
    stays = Stays(store)
    stays.start()
    yield stays
    stays.stop()


class Caller:
    """A connection and what its client does."""

    def __init__(self, stays: Stays) -> None:
        self.stays = stays
        self.connection = FakeConnection()
        self.client = ClientState(self.connection)

    def join(
        self, name: str, resume: str | None = None, identity: Identity | None = None
    ) -> dict[str, Any]:
        callback, who = self.connection.callback(), Arriving(name, name, identity)
        options = JoinOptions(resume=resume)
        return outcome(self.stays.join(self.client, who, callback, callback, options))

    def end(self, on_purpose: bool = False) -> None:
        self.connection.closed = True
        self.connection.closed_on_purpose = on_purpose
        self.stays.closed(self.client)


def online(store: MoodyStore) -> list[str]:
    return store.names()


def test_calls_fail_as_unavailable_while_the_store_is_away_and_go_on_afterwards(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    store.away = True

    for call in (
        lambda: alice.join("Bob"),
        lambda: outcome(stays.send(alice.client, "Alice", "hello", None)),
        lambda: outcome(stays.leave(alice.client, "Alice")),
    ):
        with pytest.raises(Unavailable):
            call()

    store.away = False
    assert outcome(stays.send(alice.client, "Alice", "hello", None)).id
    eventually(lambda: alice.connection.heard and alice.connection.heard[-1]["text"] == "hello")
    alice.join("Bob")
    outcome(stays.leave(alice.client, "Alice"))
    assert online(store) == ["Bob"]


@pytest.mark.parametrize("on_purpose", [True, False])
def test_a_connection_that_ends_while_the_store_is_away_is_told_to_it_later(
    stays: Stays, store: MoodyStore, on_purpose: bool
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    store.away = True
    alice.end(on_purpose)
    store.away = False

    eventually(lambda: online(store) == [])

    assert [event.type for event in store.read()] == ["join", "leave"]


def test_a_leave_that_failed_and_then_the_end_of_the_connection_leave_nobody_behind(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    store.away = True
    with pytest.raises(Unavailable):
        outcome(stays.leave(alice.client, "Alice"))
    alice.end(on_purpose=True)
    store.away = False

    eventually(lambda: online(store) == [])


def test_a_join_that_was_stored_without_an_answer_leaves_nobody_behind(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    store.silent = True
    with pytest.raises(Unavailable):
        alice.join("Alice")
    store.silent = False

    eventually(lambda: online(store) == [])

    assert [event.type for event in store.read()] == ["join", "leave"]
    assert alice.join("Alice")["username"] == "Alice"


def test_a_takeover_that_was_stored_without_an_answer_can_be_tried_again(
    stays: Stays, store: MoodyStore
) -> None:
    secret = Caller(stays).join("Alice")["resume"]
    alice = Caller(stays)
    store.silent = True
    with pytest.raises(Unavailable):
        alice.join("Alice", secret)
    store.silent = False

    assert alice.join("Alice", secret)["resume"] == secret
    assert [event.type for event in store.read()] == ["join"]


def test_members_are_sent_away_with_1012_when_the_log_began_anew(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    alice.join("Alice")

    store.reset = True

    eventually(lambda: alice.connection.closed)
    assert alice.connection.close_code == 1012


def test_a_claim_lost_to_elsewhere_closes_the_member_instead_of_writing(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    secret = alice.join("Alice")["resume"]
    outcome(store.claim("Alice", "Alice", "a holder of another worker", secret))

    with pytest.raises(NotJoined):
        outcome(stays.send(alice.client, "Alice", "am I still?", None))

    eventually(lambda: alice.connection.closed)
    assert alice.connection.close_code == 4001
    assert [event.type for event in store.read()] == ["join"]


def test_a_message_waits_for_the_latest_join_of_its_name(stays: Stays, store: MoodyStore) -> None:
    alice = Caller(stays)
    alice.join("Alice")

    with pytest.raises(NameTaken):
        alice.join("Alice")

    assert outcome(stays.send(alice.client, "Alice", "hello", None)).id == 2


@pytest.mark.parametrize("step", ["arrival_of", "welcome"])
def test_what_fails_in_the_middle_of_a_join_leaves_nothing_behind(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    alice = Caller(stays)
    with monkeypatch.context() as failing:
        module = coming_module if step == "arrival_of" else stays_module
        failing.setattr(module, step, Mock(side_effect=ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            alice.join("Alice")

    assert alice.connection.close_code == 1012
    with pytest.raises(NotJoined):
        stays.send(alice.client, "Alice", "hello", None)
    eventually(lambda: online(store) == [])


def test_a_member_whom_nothing_can_be_told_joins_again_and_what_it_sends_is_answered(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Caller(stays)
    monkeypatch.setattr(Feed, "add", Mock(side_effect=ZeroDivisionError))

    assert alice.join("Alice")["username"] == "Alice"

    assert alice.connection.close_code == 1012
    with pytest.raises(NotJoined):
        stays.send(alice.client, "Alice", "hello", None)


def test_a_claim_that_cannot_even_be_asked_for_ends_the_join(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Caller(stays)
    with monkeypatch.context() as failing:
        failing.setattr(store, "submit", Mock(side_effect=ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            alice.join("Alice")

    with pytest.raises(NotJoined):
        stays.send(alice.client, "Alice", "hello", None)
    assert alice.join("Alice")["username"] == "Alice"


def test_what_waits_for_a_join_hears_of_whatever_kept_it_from_being_done(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    under_way = alice.client.begin_joining("Alice")
    answer = stays.send(alice.client, "Alice", "hello", None)
    monkeypatch.setattr(store, "submit", Mock(side_effect=ZeroDivisionError))

    alice.client.end_joining("Alice", under_way)

    with pytest.raises(ZeroDivisionError):
        outcome(answer)


def test_a_callback_that_cannot_be_given_up_keeps_no_name_from_becoming_free(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    alice.join("Bob")
    monkeypatch.setattr(RpcStub, "dispose", Mock(side_effect=ZeroDivisionError))

    alice.end(on_purpose=True)

    eventually(lambda: online(store) == [])


@pytest.mark.parametrize("method", ["tick", "follow"])
def test_they_outlive_what_nobody_foresaw_and_says_meanwhile_that_it_is_not_well(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.01)
    alice = Caller(stays)
    alice.join("Alice")
    with monkeypatch.context() as failing:
        failing.setattr(store, method, Mock(side_effect=ZeroDivisionError))
        eventually(lambda: not stays.running)

    eventually(lambda: stays.running)

    outcome(stays.send(alice.client, "Alice", "hello", None))
    eventually(
        lambda: alice.connection.heard[-1:] and alice.connection.heard[-1]["text"] == "hello"
    )
    alice.end()
    eventually(lambda: online(store) == [])


def test_a_member_whose_claim_has_lapsed_is_sent_to_join_again(
    stays: Stays, store: MoodyStore
) -> None:
    alice = Caller(stays)
    alice.join("Alice")
    # As when the worker was cut off for longer than its lease and the grace.
    outcome(store.release(alice.client.members["Alice"].claim))

    with pytest.raises(ClaimLost):
        outcome(stays.send(alice.client, "Alice", "Am I still here?", None))

    eventually(lambda: alice.connection.closed)
    assert alice.connection.close_code == 1012


def test_who_has_a_token_stays_until_it_is_over(
    stays: Stays, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_ends, "LOOK_SECONDS", 0.0)
    ann, bob, guest = Caller(stays), Caller(stays), Caller(stays)
    guest.join("Guest")
    for caller, name, until in ((ann, "Ann", time.time() + 0.05), (bob, "Bob", time.time() + 60)):
        caller.join(name, identity=Identity.of(name, until=until))

    eventually(lambda: ann.connection.closed)

    assert ann.connection.close_code == TOKEN_OVER
    assert online(store) == ["Guest", "Bob"]
    assert not bob.connection.closed


def test_a_token_that_was_renewed_is_over_later(
    stays: Stays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_ends, "LOOK_SECONDS", 0.0)
    ann, bob = Caller(stays), Caller(stays)
    until = time.time() + 0.05
    for caller, name in ((ann, "Ann"), (bob, "Bob")):
        caller.join(name, identity=Identity.of(name, until=until))
    ann.client.members["Ann"].identity = Identity.of("Ann", until=until + 60)

    eventually(lambda: bob.connection.closed)

    assert not ann.connection.closed
