"""Nothing that a session does for its peer is long and in one piece."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import Limits, RpcSession, RpcTarget
from capnweb_sync.core.ledger import ENTRY_COST
from capnweb_sync.deferred import Deferred
from capnweb_sync.session.lifecycle import BYTES_ENDED_AT_ONCE, ENDED_AT_ONCE

from .loopback import LoopbackRuntime, LoopbackTransport


class TurnsRuntime(LoopbackRuntime):
    """Keeps long work until a test does it, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Iterator[object]] = []

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        self.waiting.append(pieces)
        return Deferred()

    def turn(self) -> None:
        """Do one piece of what has waited longest."""
        pieces = self.waiting.pop(0)
        try:
            next(pieces)
        except StopIteration:
            return
        self.waiting.append(pieces)


class Api(RpcTarget):
    def __init__(self) -> None:
        self.answer: Future[Any] = Future()
        self.count = 0

    def later(self) -> Future[Any]:
        return self.answer

    def hit(self, *_: Any) -> int:
        self.count += 1
        return self.count


class Peer:
    """A session, spoken to message by message."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.api = Api()
        self.runtime = TurnsRuntime()
        self.transport = LoopbackTransport()
        self.session = RpcSession(
            self.transport, self.api, runtime=self.runtime, limits=limits or Limits()
        )

    def say(self, *messages: str) -> None:
        for message in messages:
            self.session.receive(message)
        self.runtime.pump()

    @property
    def entries(self) -> int:
        return sum(self.session.stats().values())


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_a_session_with_many_entries_ends_in_pieces(peer: Peer) -> None:
    assert peer.session.main
    peer.say(*['["push",[[]]]'] * (3 * ENDED_AT_ONCE))
    before = peer.entries

    peer.session.connection_lost(1006, "lost")

    assert peer.session.closed
    assert peer.entries == before
    while peer.runtime.waiting:
        left, kept = peer.entries, peer.session.ledger.held
        peer.runtime.turn()
        assert left - peer.entries <= ENDED_AT_ONCE
        assert kept - peer.session.ledger.held <= BYTES_ENDED_AT_ONCE + ENTRY_COST
    assert peer.entries == 0


def test_one_with_few_entries_ends_at_once(peer: Peer) -> None:
    peer.say(*['["push",[[]]]'] * 10)

    peer.session.connection_lost(1006, "lost")

    assert peer.entries == 0
    assert peer.runtime.waiting == []


def test_an_end_that_was_cut_is_gone_on_with(peer: Peer) -> None:
    peer.say(*['["push",[[]]]'] * (2 * ENDED_AT_ONCE))
    peer.session.connection_lost(1006, "lost")
    peer.runtime.waiting.clear()  # as if an exception had come out of it

    peer.session.interrupted()

    while peer.runtime.waiting:
        peer.runtime.turn()
    assert peer.entries == 0


def test_large_answers_that_are_ready_at_once_go_out_in_turns(peer: Peer) -> None:
    again = 20
    peer.say('["push",["pipeline",0,["later"],[]]]')
    for number in range(again):
        peer.say('["push",["pipeline",1]]', f'["pull",{number + 2}]')
    peer.api.answer.set_result("x" * 40_000)
    peer.runtime.pump()

    assert len(peer.transport.sent) == 2
    while peer.runtime.waiting:
        before = len(peer.transport.sent)
        peer.runtime.turn()
        assert len(peer.transport.sent) <= before + 1
    assert len(peer.transport.sent) == again


def test_what_a_large_value_is_named_for_in_another_goes_out_in_turns(peer: Peer) -> None:
    zeros = ",".join("0" * 40_000)
    names = ",".join(['["pipeline",1]'] * 100)
    peer.say(f'["push",[[{zeros}]]]', f'["push",[[{names}]]]', '["pull",2]')

    assert len(peer.transport.sent) <= 2
    assert len(peer.runtime.waiting) >= 99


def test_answers_that_nobody_is_there_for_are_not_made(peer: Peer) -> None:
    peer.say('["push",["pipeline",0,["later"],[]]]')
    for number in range(20):
        peer.say('["push",["pipeline",1]]', f'["pull",{number + 2}]')
    peer.api.answer.set_result("x" * 40_000)
    peer.runtime.pump()
    sent = len(peer.transport.sent)
    peer.session.connection_lost(1006, "lost")

    while peer.runtime.waiting:
        peer.runtime.turn()

    assert len(peer.transport.sent) == sent


def test_one_message_starts_so_many_calls_and_no_more() -> None:
    peer = Peer(Limits(max_calls_per_message=10))
    call = '["pipeline",0,["hit"],[]]'

    peer.say(f'["push",[[{",".join([call] * 12)}]]]', '["pull",1]')
    assert peer.api.count == 10
    assert any("One message starts more than 10 calls" in sent for sent in peer.transport.sent)

    peer.say(f'["push",{call}]')
    assert peer.api.count == 11
