"""The life of a session: its end from either side, and that nothing of it stays behind."""

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import RpcError, RpcSession, RpcStub, RpcTarget, SessionClosed, broadcast
from capnweb_sync.runtimes.threads import ThreadRuntime

from .loopback import EMPTY, Loopback, LoopbackTransport, RawPeer


class Api(RpcTarget):
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def echo(self, value: Any = None) -> Any:
        return value

    def keep(self, value: Any) -> Any:
        self.kept.append(value.dup())

    def make(self) -> "Api":
        return Api()

    def fail(self, value: Any = None) -> None:
        raise RpcError("no", code="no")

    def wait(self, value: Any = None) -> "Future[Any]":
        future: Future[Any] = Future()
        self.kept.append(future)
        return future


def test_a_lost_connection_fails_what_waits_and_what_comes_later() -> None:
    pair = Loopback(Api())
    waiting = pair.api.wait()
    stub = pair.api.make().result()
    waiting.done()
    pair.disconnect(1006, "the cable")
    for use in (waiting.result, stub.echo().result, stub.echo.result, stub.dup().echo().result):
        with pytest.raises(SessionClosed) as caught:
            use()
        assert (caught.value.close_code, caught.value.reason) == (1006, "the cable")
        assert "1006 the cable" in str(caught.value)
    assert pair.client.closed
    assert pair.client.stats() == {"imports": 0, "exports": 0}


def test_close_ends_the_session_as_the_reference_does_without_an_abort_message() -> None:
    pair = Loopback(Api())
    waiting = pair.api.wait()
    pair.client.close()
    pair.client.close(4000, "again")
    assert pair.client_transport.closed == (3000, "RPC session was shut down")
    assert [message[0] for message in pair.client_transport.messages] == ["push"]
    with pytest.raises(SessionClosed):
        waiting.result()


def test_a_closed_session_sends_nothing_and_takes_nothing() -> None:
    api = Api()
    pair = Loopback(api)
    stub = pair.api.make().result()
    pair.pump()
    pair.client.close()
    sent = len(pair.client_transport.sent)
    stub.dispose()
    pair.client.receive('["push",["pipeline",0,["x"],[]]]')
    pair.client.release_unneeded()
    assert broadcast([stub], "echo", 1) == 0
    pair.pump()
    assert len(pair.client_transport.sent) == sent


def test_a_call_that_was_read_before_the_end_is_served_without_an_answer() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.session.receive('["push",["pipeline",0,["wait"],[]]]')
    peer.session.receive('["pull",1]')
    peer.session.connection_lost(1001, "")
    peer.runtime.pump()
    api.kept[0].set_result(5)
    peer.runtime.pump()
    assert peer.heard == []
    assert peer.session.calls.under_way == 0


def test_a_result_keeps_working_where_it_is_local_when_the_session_is_over() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    promise = pair.api.echo({"f": seen.append, "n": 5})
    value = promise.result()
    pair.disconnect()
    assert promise.result()["n"] == 5
    value["f"]("still mine").result()
    assert seen == ["still mine"]


def dies_without_the_collector(converse: Callable[[Loopback], Any]) -> bool:
    """Whether both sessions die with the last reference after `converse` and a disconnect."""
    pair = Loopback(Api(), Api())
    held = converse(pair)
    pair.pump()
    pair.disconnect()
    pair.pump()
    sessions = [weakref.ref(pair.client), weakref.ref(pair.server)]
    pair.runtime.wires.clear()
    del pair, held
    return all(session() is None for session in sessions)


def calls(pair: Loopback) -> Any:
    return [pair.api.echo([1, {"a": 2}]).result(), pair.api.make().echo(1), pair.api.kept]


def failures(pair: Loopback) -> Any:
    promise = pair.api.fail(pair.api.echo())
    with pytest.raises(RpcError):
        promise.result()
    with pytest.raises(RpcError):
        promise.x.y().result()
    return promise


def capabilities(pair: Loopback) -> Any:
    stub = pair.api.make().result()
    pair.api.keep(stub).result()
    pair.api.keep(lambda value: value).result()
    pair.api.keep(Api()).result()
    return [stub, stub.dup(), pair.api.echo(stub).result(), pair.api.echo(print).result()]


def pending(pair: Loopback) -> Any:
    waiting = pair.api.wait(lambda: 5)
    waiting.add_done_callback(print)
    waiting.on_broken(lambda error: error)
    later = waiting.x.y(pair.api.wait(), [waiting])
    later.done()
    return [waiting, later]


def properties(pair: Loopback) -> Any:
    look = pair.api.x
    look.result()
    return [look, look.y]


def broken(pair: Loopback) -> Any:
    pair.api.on_broken(lambda error: error)
    pair.client.receive("nonsense")
    with pytest.raises(SessionClosed):
        _ = pair.api
    return None


def both_ways(pair: Loopback) -> Any:
    return pair.api.echo(pair.server.main.echo(lambda: pair.api)).result()


def limited(pair: Loopback) -> Any:
    session = pair.server

    def before_call() -> None:
        assert session.ledger.room

    session.calls.before_call = before_call
    return pair.api.echo(1).result()


@pytest.mark.parametrize(
    "converse", [calls, failures, capabilities, pending, properties, broken, both_ways, limited]
)
def test_a_closed_session_dies_with_its_last_reference(
    converse: Callable[[Loopback], Any],
) -> None:
    gc.collect()
    gc.disable()
    try:
        assert dies_without_the_collector(converse)
    finally:
        gc.enable()


def test_a_future_that_is_never_done_does_not_keep_a_closed_session() -> None:
    futures: list[Future[Any]] = []

    def wait() -> "Future[Any]":
        futures.append(Future())
        return futures[-1]

    gc.collect()
    gc.disable()
    try:
        pair = Loopback(wait)
        answers = [pair.api(), pair.api()]
        for answer in answers:
            answer.done()
        pair.pump()
        answers[0].dispose()
        pair.pump()
        pair.disconnect()
        pair.pump()
        session = weakref.ref(pair.server)
        pair.runtime.wires.clear()
        del pair, answers, answer
        assert session() is None
    finally:
        gc.enable()
    assert len(futures) == 2


def test_no_call_leaves_garbage_for_the_collector() -> None:
    pair = Loopback(Api())

    def converse() -> None:
        pair.api.echo({"a": [1, lambda: 5]}).result()
        pair.api.make().echo(pair.api.make()).result()
        pair.api.fail(lambda: 5).exception()
        with contextlib.suppress(RpcError):
            pair.api.fail().result()
        pair.api.echo.done()
        broadcast([pair.api], "echo", 1)

    converse()
    pair.pump()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            converse()
            pair.pump()
        assert pair.tables() == EMPTY
        found = gc.collect()
    finally:
        gc.enable()
    assert found == 0


def test_stubs_may_be_dropped_in_many_threads_at_once() -> None:
    """Finalizers run anywhere; every import is released, once."""
    runtime = ThreadRuntime()
    transport = LoopbackTransport()
    session = RpcSession(transport, runtime=runtime)
    ids = range(1, 2_001)
    session.receive('["push",[[' + ",".join(f'["export",-{i}]' for i in ids) + "]]]")
    stubs = [RpcStub._of(session.import_stub(-i)) for i in ids]
    session.receive('["release",1,1]')
    assert session.stats()["imports"] == 2_001
    parts = [stubs[i::4] for i in range(4)]
    stubs.clear()

    def drop(part: list[RpcStub]) -> None:
        while part:
            part.pop()

    threads = [threading.Thread(target=drop, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert session.stats() == {"imports": 1, "exports": 1}
    released = [message[1] for message in transport.messages if message[0] == "release"]
    assert sorted(released) == sorted(-i for i in ids)
    session.close()
