"""Two sessions in one process: what is said arrives, in order, and one can tell when it is done."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import (
    ClientSession,
    Limits,
    RemoteError,
    RpcStub,
    RpcTarget,
    SessionClosed,
    serve,
)
from capnweb_sync.testing import Pair, pair
from tests.conftest import StartProcess
from tests.processes import DEADLINE

pytest_plugins = ["pytester"]


class Ticket(RpcTarget):
    disposed = 0

    def _on_dispose(self) -> None:
        Ticket.disposed += 1


class Counter(RpcTarget):
    """Each connection has its own."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, number: int = 1) -> int:
        self._count += number
        return self._count

    def ask(self, callback: RpcStub, times: int) -> int:
        return sum(callback(n).result() for n in range(times))

    def tell(self, callback: RpcStub, times: int) -> None:
        for n in range(times):
            callback(n)

    def ticket(self) -> Ticket:
        return Ticket()

    def numbers(self, count: int) -> Iterator[int]:
        return iter(range(count))

    def never(self) -> Future[None]:
        return Future()


@pytest.fixture
def counter() -> Iterator[Pair]:
    with pair(Counter) as both:
        yield both


def test_a_call_is_answered(counter: Pair) -> None:
    assert [counter.main.add().result(), counter.main.add(2).result()] == [1, 3]


def test_each_pair_has_a_main_object_of_its_own(counter: Pair) -> None:
    with pair(Counter) as other:
        other.main.add(5).result()

        assert counter.main.add().result() == 1


def test_what_serve_returns_is_served_with_its_limits() -> None:
    service = serve(lambda text: text, limits=Limits(max_message_size=1000))

    with pair(service) as both, pytest.raises(SessionClosed):
        both.main("x" * 1001).result(DEADLINE)


def test_values_are_copied_as_on_a_real_connection() -> None:
    kept: list[Any] = []
    with pair(kept.append) as both:
        sent = {"tuple": (1, 2), "text": "ä\ud83d"}
        both.main(sent).result()

    assert kept == [{"tuple": [1, 2], "text": "ä\ud83d"}]


def test_callbacks_may_ask_and_be_asked(counter: Pair) -> None:
    assert counter.main.ask(lambda n: n * 10, 3).result() == 30


def test_the_server_calls_the_clients_main_object() -> None:
    with pair(None, lambda name: f"Hello, {name}!") as both:
        assert both.server.main("Ada").result() == "Hello, Ada!"


def test_streams_pass(counter: Pair) -> None:
    assert list(counter.main.numbers(100).result()) == list(range(100))


def test_settling_waits_for_what_nobody_asked_for(counter: Pair) -> None:
    heard: list[int] = []
    for _ in range(20):
        heard.clear()
        counter.main.tell(heard.append, 50)

        counter.settle()

        assert heard == list(range(50))


def test_settling_waits_for_releases(counter: Pair) -> None:
    Ticket.disposed = 0
    for number in range(1, 20):
        with counter.main.ticket().result():
            assert Ticket.disposed == number - 1

        counter.settle()

        assert Ticket.disposed == number
        assert counter.client.stats() == {"imports": 1, "exports": 1}


def test_settling_waits_for_a_chain_of_calls_and_answers(counter: Pair) -> None:
    totals: list[int] = []
    for _ in range(20):
        promise = counter.main.ask(lambda n: counter.main.add(n).result(), 10)
        promise.add_done_callback(lambda promise: totals.append(promise.result()))

        counter.settle()

    assert len(totals) == 20


def test_a_call_that_waits_for_a_promise_is_settled() -> None:
    gate: Future[int] = Future()
    with pair(Counter) as both:
        promise = both.main.ask(lambda n: gate, 1)

        both.settle()

        assert not promise.done()
        gate.set_result(7)
        assert promise.result(DEADLINE) == 7


def test_a_call_that_blocks_otherwise_is_not_settled(counter: Pair) -> None:
    gate = threading.Event()
    counter.main.tell(lambda n: gate.wait(DEADLINE), 1)

    with pytest.raises(TimeoutError, match="still 1 calls"):
        counter.settle(0.05)

    gate.set()
    counter.settle()


def test_a_callback_cannot_wait_for_itself(counter: Pair) -> None:
    with pytest.raises(RemoteError, match="Internal error"):
        counter.main.ask(lambda n: counter.settle(), 1).result(DEADLINE)


def test_a_broken_connection_fails_calls_under_way_on_both_sides(counter: Pair) -> None:
    under_way = counter.main.never()
    counter.settle()

    counter.disconnect(1001, "restart")

    with pytest.raises(SessionClosed, match="1001 restart") as end:
        under_way.result(DEADLINE)
    assert end.value.close_code == 1001
    assert counter.client.closed
    assert counter.server.closed
    with pytest.raises(SessionClosed):
        counter.main.add()


def test_closing_the_client_ends_the_server_after_what_was_sent() -> None:
    heard: list[str] = []
    both = pair(heard.append)
    both.main("last words")

    both.client.close()
    both.client.close()

    both.settle()
    assert both.server.closed
    assert heard == ["last words"]


def test_closing_the_server_ends_the_client(counter: Pair) -> None:
    counter.server.close(4000, "enough")

    counter.settle()

    with pytest.raises(SessionClosed, match="4000 enough"):
        counter.main.add()


def test_several_threads_may_call(counter: Pair) -> None:
    threads = [
        threading.Thread(target=lambda: [counter.main.add().result() for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert counter.main.add(0).result() == 200


def test_the_client_is_what_connect_returns(counter: Pair) -> None:
    assert isinstance(counter.client, ClientSession)


def test_it_runs_as_a_gevent_server_does() -> None:
    from capnweb_sync.server import GeventRuntime

    with pair(Counter, runtime=GeventRuntime()) as both:
        assert both.main.ask(lambda n: both.main.add(n).result(), 3).result() == 0 + 1 + 3
        heard: list[int] = []
        both.main.tell(heard.append, 10)
        both.settle()
        assert heard == list(range(10))


def test_all_of_this_holds_in_a_process_that_gevent_has_patched(
    start_process: StartProcess,
) -> None:
    process = start_process(
        sys.executable, "-m", "tests.patched", __file__, "-k", "not patched and not fixture"
    )

    assert process.wait(60) == 0, process.output


def test_the_plugin_brings_a_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["capnweb_sync.testing.pytest"]')
    pytester.makepyfile(
        """
        opened = []

        def test_a_call(capnweb_pair):
            both = capnweb_pair(lambda n: n + 1)
            opened.append(both)
            assert both.main(1).result() == 2

        def test_it_was_closed():
            assert opened[0].client.closed
        """
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=2)
