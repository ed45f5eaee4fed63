"""`RpcPromise` among what Python and its library do with objects: futures, and forgotten
`result()`s."""

import asyncio
import concurrent.futures
import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from capnweb_sync import (
    BigInt,
    JSDate,
    RemoteError,
    RpcError,
    RpcPromise,
    RpcSession,
    RpcTarget,
    undefined,
)
from capnweb_sync.runtimes.threads import ThreadRuntime
from tests.processes import DEADLINE

from .loopback import EMPTY, Loopback, LoopbackTransport


class Api(RpcTarget):
    def __init__(self) -> None:
        self._future: Future[Any] = Future()

    def later(self) -> "Future[Any]":
        return self._future

    def echo(self, value: Any = None) -> Any:
        return value

    def fail(self) -> None:
        raise RpcError("failed", code="x")

    def target(self) -> "Api":
        return Api()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def pair(api: Api) -> Loopback:
    return Loopback(api)


# ---- Futures


def test_a_future_has_the_result(pair: Loopback) -> None:
    future = pair.api.echo(5).future()
    assert isinstance(future, Future)
    assert not future.done()
    pair.pump()
    assert (future.done(), future.result(0)) == (True, 5)


def test_a_future_has_the_error(pair: Loopback) -> None:
    promise = pair.api.fail()
    future = promise.future()
    pair.pump()
    for _ in range(2):
        with pytest.raises(RemoteError) as raised:
            future.result(0)
        assert raised.value.code == "x"
    assert promise.exception() is not future.exception(0)


def test_a_future_is_done_when_the_session_ends(pair: Loopback) -> None:
    future = pair.api.later().future()
    pair.disconnect()
    pair.pump()
    assert isinstance(future.exception(0), RpcError)


def test_a_future_of_a_property_and_of_what_is_here_already(pair: Loopback) -> None:
    futures = [
        pair.api.echo({"a": 1}).a.future(),
        RpcPromise(2).future(),
        RpcPromise(Future()).future(),
    ]
    pair.pump()
    assert [future.done() for future in futures] == [True, True, False]
    assert [future.result(0) for future in futures[:2]] == [1, 2]


def test_a_promise_may_give_any_number_of_futures(api: Api, pair: Loopback) -> None:
    promise = pair.api.later()
    futures = [promise.future() for _ in range(3)]
    api._future.set_result(1)
    assert promise.result() == 1
    pair.pump()
    assert [future.result(0) for future in futures] == [1, 1, 1]
    assert len(set(futures)) == 3


def test_a_future_keeps_a_promise_that_nobody_holds(pair: Loopback) -> None:
    future = pair.api.target().future()
    gc.collect()
    pair.pump()
    with future.result(0) as target:
        assert target.echo(3).result() == 3
    assert pair.tables() == EMPTY


def test_callbacks_of_a_future_run_outside_of_every_step(pair: Loopback) -> None:
    seen: list[Any] = []

    def callback(future: "Future[Any]") -> None:
        # Waiting within a step fails the test.
        seen.append((future.result(0), pair.api.echo(2).result()))

    pair.api.echo(1).future().add_done_callback(callback)
    pair.pump()
    assert seen == [(1, 2)]


def test_cancelling_a_future_gives_the_promise_up(api: Api, pair: Loopback) -> None:
    promise = pair.api.later()
    future, other = promise.future(), promise.future()
    assert future.cancel()
    pair.pump()
    assert future.cancelled()
    error = other.exception(0)
    assert isinstance(error, RpcError)
    assert error.code == "disposed"
    assert ["release", 1, 1] in pair.client_transport.messages
    api._future.set_result(1)
    assert pair.tables() == EMPTY


def test_a_future_that_is_done_cannot_be_cancelled(pair: Loopback) -> None:
    promise = pair.api.target()
    future = promise.future()
    pair.pump()
    assert not future.cancel()
    assert promise.echo(1).result() == 1


def test_a_future_that_is_cancelled_when_the_answer_is_there_gives_it_up(pair: Loopback) -> None:
    promise = pair.api.target()
    future = promise.future()
    promise.result()
    assert not future.done()  # it is to be told yet
    assert future.cancel()
    assert pair.tables() == EMPTY


def test_waiting_for_futures_sees_the_cancelled_ones(pair: Loopback) -> None:
    futures = [pair.api.later().future(), pair.api.echo(1).future()]
    assert concurrent.futures.wait(futures, 0).done == set()
    futures[0].cancel()
    pair.pump()
    assert concurrent.futures.wait(futures, 0).not_done == set()
    assert set(concurrent.futures.as_completed(futures, 0)) == set(futures)


def test_a_served_call_may_return_a_future_of_a_promise(pair: Loopback) -> None:
    relay = Loopback({"get": lambda: pair.api.echo(7).future()}, beside=pair)
    assert relay.api.get().result() == 7


class ThreadedPair:
    """Two sessions in this process, on threads."""

    def __init__(self, main: Any) -> None:
        runtime = ThreadRuntime()

        class Wire(LoopbackTransport):
            other: RpcSession

            def __init__(self) -> None:
                super().__init__()
                self._messages = runtime.call_queue()

            def send(self, packed: bytes) -> None:
                self._messages.start(lambda: self.other.receive(packed))

        here, there = Wire(), Wire()
        there.other = RpcSession(here, runtime=runtime)
        here.other = RpcSession(there, main, runtime=runtime)
        self.client, self.server = there.other, here.other

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def threaded(api: Api) -> Iterator[ThreadedPair]:
    pair = ThreadedPair(api)
    yield pair
    pair.close()


def test_the_library_waits_for_futures_of_promises(threaded: ThreadedPair) -> None:
    main = threaded.client.main
    futures = [main.echo(number).future() for number in range(3)]
    assert concurrent.futures.wait(futures, DEADLINE).not_done == set()
    completed = concurrent.futures.as_completed([main.echo(7).future()], DEADLINE)
    assert [future.result(0) for future in completed] == [7]
    assert main.later().future().cancel()


def test_asyncio_waits_for_futures_of_promises(api: Api, threaded: ThreadedPair) -> None:
    async def gather() -> list[Any]:
        main = threaded.client.main
        waiting = asyncio.wrap_future(main.later().future())
        answers = [asyncio.wrap_future(main.echo(number).future()) for number in range(3)]
        results = await asyncio.wait_for(asyncio.gather(*answers), DEADLINE)
        waiting.cancel()
        return list(results)

    assert asyncio.run(gather()) == [0, 1, 2]


@pytest.mark.parametrize(
    "function",
    [
        lambda promise: concurrent.futures.wait([promise], 0),
        lambda promise: list(concurrent.futures.as_completed([promise], 0)),
    ],
    ids=["wait", "as_completed"],
)
def test_a_promise_in_place_of_a_future_is_a_type_error_that_says_so(
    pair: Loopback, function: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError, match=r"promise\.future\(\)"):
        function(pair.api.echo(1))
    pair.pump()
    assert len(pair.client_transport.sent) == 2  # the call and its release


# ---- Forgotten results

PLAIN: list[Any] = [
    None,
    undefined,
    0,
    1,
    True,
    2.5,
    1j,
    Decimal(1),
    BigInt(5),
    "text",
    b"bytes",
    bytearray(b"bytes"),
    [],
    {},
    date(2024, 1, 1),
    datetime.now(timezone.utc),
    JSDate(None),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "compare",
    [
        lambda promise, value: promise == value,
        lambda promise, value: value == promise,
        lambda promise, value: promise != value,
        lambda promise, value: value != promise,
    ],
    ids=["==", "reflected ==", "!=", "reflected !="],
)
def test_comparing_a_promise_with_a_plain_value_says_that_the_result_was_forgotten(
    pair: Loopback, compare: Callable[[Any, Any], Any], value: Any
) -> None:
    with pytest.raises(TypeError, match=r"result\(\)"):
        compare(pair.api.echo(1), value)


@pytest.mark.parametrize(
    "use",
    [
        bool,
        len,
        iter,
        list,
        lambda promise: not promise,
        lambda promise: 5 if promise else 6,
        lambda promise: [*promise],
        lambda promise: 1 in promise,
        lambda promise: any(item for item in promise),
    ],
    ids=["bool", "len", "iter", "list", "not", "if", "star", "in", "for"],
)
def test_using_a_promise_as_a_value_says_that_the_result_was_forgotten(
    pair: Loopback, use: Callable[[Any], Any]
) -> None:
    for promise in (pair.api.echo([1]), pair.api.name):
        with pytest.raises(TypeError, match=r"result\(\)"):
            use(promise)


def test_a_stub_is_true_and_may_be_compared(pair: Loopback) -> None:
    assert pair.api
    assert pair.api != 5
    assert pair.api != None  # noqa: E711 that is the question


def test_promises_are_told_apart_by_identity(pair: Loopback) -> None:
    one, two = pair.api.echo(1), pair.api.echo(1)
    assert one == one
    assert one != two
    assert one != object()
    assert (one == mock.ANY, one == mock.ANY) == (True, True)


def test_promises_stay_what_python_can_look_for(pair: Loopback) -> None:
    one, two, three = pair.api.echo(1), pair.api.echo(2), pair.api.other
    promises = [one, two]
    assert two in promises
    assert three not in promises
    assert promises.index(two) == 1
    promises.remove(two)
    assert promises == [one]
    names = {one: "one", two: "two", 5: "five", "text": "text"}
    assert (names[one], names[two]) == ("one", "two")
    assert three not in names
    assert {one, two} & {two, three} == {two}
    assert weakref.ref(one) == weakref.ref(one)


def test_promises_are_arguments_of_mocks(pair: Loopback) -> None:
    one, two = pair.api.echo(1), pair.api.echo(2)
    function = mock.Mock()
    function(one, key=two)
    function.assert_called_with(one, key=two)
    function.assert_called_once_with(one, key=mock.ANY)
    with pytest.raises(AssertionError):
        function.assert_called_with(two, key=one)
    assert function.call_args_list == [mock.call(one, key=two)]
