"""An exception that a signal's handler raises, between whichever two bytecodes: afterwards each
session gives the right answers, or is over and says so. Each bytecode is tried with `--full`,
otherwise every third.
"""

from __future__ import annotations

import gc
import itertools
import socket
from collections.abc import Callable
from typing import Any

import pytest

from capnweb_sync import (
    Observer,
    RpcPromise,
    RpcStub,
    RpcTarget,
    SessionClosed,
    broadcast,
    deferred,
)
from capnweb_sync.client.transport import WebSocketTransport
from capnweb_sync.observe import Call, Conversation, events
from tests.capnweb_sync.interruptions import Signal
from tests.capnweb_sync.loopback import EMPTY, Loopback


class Interruption(BaseException):
    """What the signal's handler raises."""


class TimeLimit(Exception):
    """The same, as task queues do it."""


class Calculator(RpcTarget):
    """What is at the other end."""

    def echo(self, value: int) -> int:
        return value

    @property
    def itself(self) -> Calculator:
        return self

    def ask(self, callback: Any, value: int) -> int:
        answer: int = callback(value).result()
        return answer


Operation = Callable[[], Any]


def call(pair: Loopback) -> Operation:
    return lambda: pair.api.echo(1)


def call_with_a_callback(pair: Loopback) -> Operation:
    return lambda: pair.api.ask(lambda value: value + 1, 1)


def call_with_what_cannot_be_sent(pair: Loopback) -> Operation:
    def operation() -> None:
        with pytest.raises(TypeError):
            pair.api.ask(lambda value: value, object())

    return operation


def ask_for_a_result(pair: Loopback) -> Operation:
    return pair.api.echo(1).done  # type: ignore[no-any-return]


def wait_for_a_result(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    promise.done()
    pair.pump()
    return promise.result  # type: ignore[no-any-return]


def duplicate(pair: Loopback) -> Operation:
    return pair.api.itself.dup  # type: ignore[no-any-return]


def dispose(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    pair.pump()
    return promise.dispose  # type: ignore[no-any-return]


def map_a_result(pair: Loopback) -> Operation:
    keep = RpcStub(lambda value: value)
    return lambda: pair.api.echo(1).map(lambda value: pair.api.ask(keep, value))


def tell_everyone(pair: Loopback) -> Operation:
    return lambda: broadcast([pair.api] * 2, "echo", 1)


def tidy_up(pair: Loopback) -> Operation:
    broadcast([pair.api] * 2, "echo", 1)
    return pair.client.release_unneeded


def close(pair: Loopback) -> Operation:
    return pair.client.close


def lose_the_connection(pair: Loopback) -> Operation:
    return lambda: pair.client.connection_lost(1006, "")


def receive_a_call(pair: Loopback) -> Operation:
    return one_thing(pair, pair.api.ask(lambda value: value, 1))


def receive_a_request_for_a_result(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    pair.pump()
    promise.done()
    return one_thing(pair, promise)


def receive_a_result(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    promise.done()
    while not pair.server_transport.outgoing:
        assert pair.runtime.pump_one()
    return one_thing(pair, promise)


def receive_a_release(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    pair.pump()
    promise.dispose()
    return one_thing(pair)


def serve_a_call(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    promise.done()
    while pair.client_transport.outgoing:
        assert pair.runtime.pump_one()
    return one_thing(pair, promise)


def receive_a_plain_call(pair: Loopback) -> Operation:
    return one_thing(pair, pair.api.echo(1))


def receive_what_came_together(pair: Loopback) -> Operation:
    promise = pair.api.echo(1)
    promise.done()
    pair.api.echo(2)
    messages = list(pair.client_transport.outgoing)
    pair.client_transport.outgoing.clear()

    def operation() -> None:
        try:
            pair.server.receive_all(iter(messages))
        except Interruption:
            pair.server.connection_lost(1006, "Reading failed.")
            raise
        assert promise is not None

    return operation


def one_thing(pair: Loopback, kept: Any = None) -> Operation:
    """Receiving the next message, or running the next call; `kept` is not released before."""

    def operation() -> None:
        assert pair.runtime.pump_one(), kept

    return operation


CALLING = [
    call,
    call_with_a_callback,
    call_with_what_cannot_be_sent,
    ask_for_a_result,
    wait_for_a_result,
    duplicate,
    dispose,
    map_a_result,
    tell_everyone,
    tidy_up,
    close,
    lose_the_connection,
]

RECEIVING = [
    receive_a_call,
    receive_a_request_for_a_result,
    receive_a_result,
    receive_a_release,
    serve_a_call,
    receive_a_plain_call,
    receive_what_came_together,
]


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        *itertools.product(CALLING, [Interruption, TimeLimit]),
        # An `Exception` in the middle of a call that is received is that call's own failure.
        *itertools.product(RECEIVING, [Interruption]),
    ],
)
def test_wherever_an_exception_comes_the_session_works_or_is_over(
    prepare: Callable[[Loopback], Operation], error: type[BaseException], full: bool
) -> None:
    other = Loopback(Calculator())
    for at in itertools.count(step=1 if full else 3):
        pair = Loopback(Calculator(), beside=other)
        waiting = pair.api.echo(7)
        pair.pump()
        operation = prepare(pair)
        signal = Signal(at, error)
        if not signal.during(operation):
            break
        del operation
        try:
            after_an_interruption(pair, waiting)
            assert other.api.echo(5).result() == 5, "another session is harmed"
        except Exception as failure:
            pytest.fail(f"after an exception at {signal.place}: {failure!r}", pytrace=False)
        forget_all_but_the_first(other)
    assert at > 50


class Counting(Observer):
    """Is told everything."""

    def __init__(self) -> None:
        self.events = 0
        self.answered = 0

    def message_in(self, conversation: Conversation, message: str | bytes) -> None:
        self.events += 1

    message_out = connection_closes = message_in  # type: ignore[assignment]

    def call_begins(self, call: Call) -> None:
        self.events += 1

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        self.answered += error is None


def tell_observers(pair: Loopback) -> Operation:
    pair.api.echo(1).done()
    seen = pair.client._seen
    assert seen is not None
    return seen._queues[0]._deliver


@pytest.mark.parametrize("prepare", [call, tell_observers])
def test_wherever_an_exception_comes_observers_do_not_become_deaf(
    prepare: Callable[[Loopback], Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SUMMONED_AGAIN", 2)
    other = Loopback(Calculator())
    for at in itertools.count():
        seen = Counting()
        pair = Loopback(Calculator(), client_observer=seen, beside=other)
        waiting = pair.api.echo(7)
        pair.pump()
        operation = prepare(pair)
        signal = Signal(at, Interruption)
        if not signal.during(operation):
            break
        del operation
        try:
            after_an_interruption(pair, waiting)
            if not pair.client.closed:
                told = seen.answered
                assert pair.api.echo(1).result() == 1
                pair.pump()
                assert seen.answered > told, "the observer has become deaf"
        except Exception as failure:
            pytest.fail(f"after an exception at {signal.place}: {failure!r}", pytrace=False)
        forget_all_but_the_first(other)
    assert at > 50


def after_an_interruption(pair: Loopback, waiting: RpcPromise) -> None:
    """Whether all is right: nothing is locked, and answers are right or the session is over."""
    assert not pair.runtime.step.is_mine(), "the lock is taken"
    assert deferred._turn.set_off is None, "an action is said to be under way"
    ends = pair.client, pair.server, pair.client_transport, pair.server_transport
    if any(end.closed for end in ends):
        pair.disconnect()
    over = isinstance(waiting.exception(), SessionClosed)
    assert over or waiting.result() == 7
    if over:
        assert pair.client.closed
        with pytest.raises(SessionClosed):
            pair.api.echo(1)
    else:
        assert [pair.api.echo(number).result() for number in range(3)] == [0, 1, 2]
    del waiting
    gc.collect(0)
    assert pair.client.closed or pair.tables() == EMPTY
    assert not pair.runtime.step.changing


def forget_all_but_the_first(pair: Loopback) -> None:
    """Of the sessions that share a runtime; nothing is left to do for that one."""
    pair.pump()
    del pair.runtime.wires[2:], pair.runtime.queues[3:]


def test_no_message_is_sent_twice_wherever_an_exception_comes_in_sending_it() -> None:
    for at in itertools.count():
        ours, theirs = socket.socketpair()
        transport = WebSocketTransport(
            ours,
            max_message=1_000,
            ping_interval=None,
            ping_timeout=1,
            close_timeout=1,
            max_waiting=1_000,
        )
        signal = Signal(at, Interruption)
        interrupted = signal.during(lambda: transport.send(b"a message"))  # noqa: B023
        transport.close(1011, "")  # as the session does that is ended for it
        transport.send(b"no message")
        transport._give_back()
        with theirs:
            assert opcodes_of_frames(theirs) in ([1], [1, 8], [8], []), signal.place
        if not interrupted:
            break
    assert at > 50


def opcodes_of_frames(sock: socket.socket) -> list[int]:
    """The opcodes of all short frames that have arrived, which are whole."""
    data = b""
    while piece := sock.recv(1_000):
        data += piece
    opcodes = []
    while data:
        opcodes.append(data[0] & 0x0F)
        size = 2 + 4 + (data[1] & 0x7F)  # the header, the mask, the payload
        assert len(data) >= size
        data = data[size:]
    return opcodes
