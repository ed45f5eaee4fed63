"""`RpcPromise` and `RpcStub`, as the application sees them."""

import concurrent.futures
import copy
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import (
    RemoteError,
    RpcError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    SessionClosed,
    undefined,
)

from .loopback import EMPTY, Loopback


class Counter(RpcTarget):
    def __init__(self, count: int = 0) -> None:
        self._count = count
        self.reads = 0

    def increment(self, by: int = 1) -> int:
        self._count += by
        return self._count

    @property
    def value(self) -> int:
        self.reads += 1
        return self._count

    @property
    def done(self) -> str:
        return "a property called done"


class Api(RpcTarget):
    def __init__(self) -> None:
        self._future: Future[Any] = Future()

    def later(self) -> "Future[Any]":
        return self._future

    def counter(self, start: int = 0) -> Counter:
        return Counter(start)

    def fail(self) -> None:
        raise RpcError("failed", code="x")

    def echo(self, value: Any = None) -> Any:
        return value


def test_a_promise_has_the_interface_of_a_future() -> None:
    api = Api()
    pair = Loopback(api)
    promise = pair.api.later()
    assert not promise.done()
    api._future.set_result(5)
    pair.pump()
    assert promise.done()
    assert promise.result() == promise.result(timeout=1) == 5
    assert promise.exception() is None


OWN_NAMES = [
    "add_done_callback",
    "dispose",
    "done",
    "dup",
    "exception",
    "future",
    "map",
    "on_broken",
    "result",
]


def test_a_promise_has_these_names_of_its_own_and_no_more() -> None:
    assert [name for name in dir(RpcPromise) if not name.startswith("_")] == OWN_NAMES


@pytest.mark.parametrize("name", [*OWN_NAMES, 0, "cancel", "running", "set_result", "then"])
def test_brackets_reach_every_name_of_the_peers(name: str | int) -> None:
    names = {str(key): f"the peer's {key}" for key in [*OWN_NAMES, 0, "cancel", "running", "then"]}
    promise = Loopback({"get": lambda: {**names, "set_result": "the peer's set_result"}}).api.get()
    assert promise[name].result() == f"the peer's {name}"
    if name not in OWN_NAMES and isinstance(name, str):
        assert getattr(promise, name).result() == f"the peer's {name}"


def test_a_failed_promise_raises_and_gives_its_exception() -> None:
    promise = Loopback(Api()).api.fail()
    error = promise.exception()
    assert isinstance(error, RemoteError)
    assert error.code == "x"
    assert promise.exception() is error
    with pytest.raises(RemoteError) as caught:
        promise.result()
    assert caught.value.code == "x"
    assert promise.done()


def test_callbacks_run_as_jobs_once_the_result_is_there() -> None:
    api = Api()
    pair = Loopback(api)
    seen: list[Any] = []
    promise = pair.api.later()
    promise.add_done_callback(lambda p: seen.append(("first", p.result())))
    promise.add_done_callback(lambda p: seen.append(("second", p.result())))
    api._future.set_result(1)
    assert seen == []
    pair.pump()
    assert seen == [("first", 1), ("second", 1)]
    promise.add_done_callback(lambda p: seen.append(("late", p.result())))
    assert len(seen) == 2
    pair.pump()
    assert seen[2] == ("late", 1)


def test_a_callback_of_a_promise_that_nobody_holds_runs() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    pair.api.echo(5).add_done_callback(lambda promise: seen.append(promise.result()))
    pair.api.fail().add_done_callback(lambda promise: seen.append(promise.exception().code))
    pair.pump()
    assert seen == [5, "x"]
    assert pair.tables() == EMPTY


def test_a_callback_runs_when_the_promise_is_disposed_of() -> None:
    api = Api()
    pair = Loopback(api)
    seen: list[Any] = []
    promise = pair.api.later()
    promise.add_done_callback(lambda p: seen.append(p.exception().code))
    promise.dispose()
    pair.pump()
    assert seen == ["disposed"]


def test_a_callback_that_fails_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pair = Loopback(Api())
    promise = pair.api.echo(1)
    seen: list[int] = []
    promise.add_done_callback(lambda promise: 1 / 0)
    promise.add_done_callback(lambda promise: seen.append(1))
    pair.pump()
    assert seen == [1]
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_may_wait_for_another_call() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    pair.api.echo(1).add_done_callback(
        lambda promise: seen.append(pair.api.echo(promise.result() + 1).result())
    )
    pair.pump()
    assert seen == [2]


def test_an_attribute_is_read_once_and_only_when_it_is_asked_for() -> None:
    counter = Counter(5)
    pair = Loopback(counter)
    value = pair.api.value
    pair.pump()
    assert counter.reads == 0
    assert (value.result(), value.result(), value.done()) == (5, 5, True)
    assert counter.reads == 1


def test_names_that_python_hides_are_reached_with_brackets() -> None:
    pair = Loopback(Counter())
    assert pair.api["done"].result() == "a property called done"
    assert pair.api["increment"](2).result() == 2
    assert pair.api.counter["x"].exception() is not None


def test_dunder_names_are_not_sent() -> None:
    pair = Loopback(Api())
    for name in ("__int__", "__await__", "__deepcopy__", "__fspath__"):
        with pytest.raises(AttributeError):
            getattr(pair.api, name)
    with pytest.raises(TypeError):
        iter(pair.api)
    with pytest.raises(TypeError):
        _ = 1 in pair.api
    for key in (True, 1.5, None, b"x"):
        with pytest.raises(TypeError):
            _ = pair.api[key]
    pair.pump()
    assert pair.client_transport.sent == []


def test_a_stub_has_no_result() -> None:
    pair = Loopback(Api())
    stub = pair.api.counter().result()
    assert not isinstance(stub, RpcPromise)
    assert stub.result.result() is undefined


def test_disposing_of_a_property_promise_disposes_of_nothing() -> None:
    pair = Loopback(Api())
    counter = pair.api.counter(1)
    counter.value.dispose()
    with counter.increment:
        pass
    assert counter.increment().result() == 2


def test_dup_of_a_promise_is_a_promise_of_its_own() -> None:
    pair = Loopback(Api())
    promise = pair.api.counter(1)
    copy_ = promise.dup()
    promise.dispose()
    assert copy_.increment().result() == 2
    copy_.dispose()
    del promise, copy_
    assert pair.tables() == EMPTY


def test_a_promise_may_be_made_of_a_value_a_target_a_stub_or_a_promise() -> None:
    pair = Loopback(Api())
    assert RpcPromise({"a": [1]}).a[0].result() == 1
    assert RpcPromise({"a": [1]}).result() == {"a": [1]}
    assert RpcPromise(Counter(1)).increment().result() == 2
    assert RpcPromise(Counter(1)).result().increment().result() == 2
    assert RpcPromise(RpcStub(Counter(1))).result().increment().result() == 2
    assert RpcPromise(pair.api.counter(1)).increment().result() == 2
    assert RpcPromise(pair.api.echo(3)).result() == 3


def test_a_promise_may_be_made_of_a_future_for_any_of_these() -> None:
    pair = Loopback(Api())
    cases: list[tuple[Any, Callable[[Any], Any]]] = [
        ({"a": 1}, lambda promise: promise.a.result()),
        (Counter(0), lambda promise: promise.increment().result()),
        (Counter(0), lambda promise: promise.result().increment().result()),
        (pair.api.counter(0).result(), lambda promise: promise.increment().result()),
    ]
    for value, read in cases:
        future: Future[Any] = Future()
        promise = RpcPromise(future)
        early = promise.dup()
        future.set_result(value)
        assert read(promise) == 1
        early.dispose()
        promise.dispose()


def test_calls_on_a_promise_for_a_future_wait_in_their_order() -> None:
    Loopback()
    future: Future[Any] = Future()
    promise = RpcPromise(future)
    answers = [promise.increment() for _ in range(3)]
    future.set_result(Counter())
    assert [answer.result() for answer in answers] == [1, 2, 3]


def test_a_failed_or_cancelled_future_fails_the_promise() -> None:
    pair = Loopback()
    failed: Future[Any] = Future()
    failed.set_exception(KeyError("k"))
    seen: list[BaseException] = []
    promise = RpcPromise(failed)
    promise.on_broken(seen.append)
    with pytest.raises(KeyError):
        promise.result()
    with pytest.raises(KeyError):
        promise.anything().result()
    pair.pump()
    assert [type(error) for error in seen] == [KeyError]
    cancelled: Future[Any] = Future()
    cancelled.cancel()
    with pytest.raises(RpcError) as caught:
        RpcPromise(cancelled).result()
    assert caught.value.code == "cancelled"


def test_time_runs_out_as_for_a_future() -> None:
    promise = Loopback(Api()).api.later()
    for ask in (promise.result, promise.exception):
        with pytest.raises(concurrent.futures.TimeoutError):
            ask(0)


def test_on_broken_tells_of_a_lost_connection_in_a_job_of_its_session() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    pair.api.on_broken(lambda error: seen.append(("main", type(error))))
    promise = pair.api.counter()
    promise.on_broken(lambda error: seen.append(("promise", type(error))))
    counter = pair.api.counter().result()
    counter.on_broken(lambda error: seen.append(("stub", type(error))))
    pair.pump()
    pair.disconnect()
    assert seen == []
    jobs = pair.client.calls._queue.jobs  # type: ignore[attr-defined]
    assert len(jobs) == 3
    pair.pump()
    assert sorted(seen) == [
        ("main", SessionClosed),
        ("promise", SessionClosed),
        ("stub", SessionClosed),
    ]
    counter.on_broken(lambda error: seen.append("late"))
    pair.pump()
    assert seen[-1] == "late"


def test_on_broken_tells_of_a_rejection_in_a_job_of_its_session() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    promise = pair.api.fail()
    promise.on_broken(lambda error: seen.append(error.code))
    promise.done()
    while not promise.done():
        pair.runtime.pump_one()
    assert len(pair.client.calls._queue.jobs) == 1  # type: ignore[attr-defined]
    pair.pump()
    assert seen == ["x"]


def test_on_broken_is_silent_about_what_ends_well() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []
    promise = pair.api.echo(5)
    promise.on_broken(seen.append)
    promise.result()
    disposed = pair.api.counter().result()
    disposed.on_broken(seen.append)
    disposed.dispose()
    pair.pump()
    pair.disconnect()
    pair.pump()
    assert seen == []


def behind_a_promise(pair: Loopback) -> RpcStub:
    return RpcPromise(pair.api.counter().result())


def behind_a_future(pair: Loopback) -> RpcStub:
    future: Future[Any] = Future()
    promise = RpcPromise(future)
    future.set_result(pair.api.counter().result())
    return promise


def behind_a_future_that_never_comes(pair: Loopback) -> RpcStub:
    return RpcPromise(Future())


BREAKABLE: list[Callable[[Loopback], RpcStub]] = [
    lambda pair: pair.api.dup(),
    lambda pair: pair.api.counter(),
    lambda pair: pair.api.counter().dup(),
    lambda pair: pair.api.counter().result(),
    lambda pair: pair.api.counter().result().dup(),
    lambda pair: pair.api.later(),
    behind_a_promise,
    behind_a_future,
    behind_a_future_that_never_comes,
]
"""Stubs and promises of every kind that an end of the connection can break, or be told by."""


class Callback:
    """Given to `on_broken`; can be looked at weakly."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def __call__(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("make", BREAKABLE)
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "among others"])
@pytest.mark.parametrize("arrived", [False, True], ids=["early", "late"])
def test_a_disposed_stub_takes_its_on_broken_along(
    make: Callable[[Loopback], RpcStub], others: int, arrived: bool
) -> None:
    pair = Loopback(Api())
    stub = make(pair)
    kept = [stub.dup() for _ in range(others)]
    if arrived:
        pair.pump()
    callback, other = Callback(), Callback()
    gone = weakref.ref(callback)
    for duplicate in kept:
        duplicate.on_broken(other)
    stub.on_broken(callback)
    del callback
    pair.pump()
    stub.dispose()
    pair.pump()
    assert gone() is None
    pair.disconnect()
    pair.pump()
    assert len(other.errors) == (others if make is not behind_a_future_that_never_comes else 0)


@pytest.mark.parametrize("make", BREAKABLE)
@pytest.mark.parametrize("arrived", [False, True], ids=["early", "late"])
def test_on_broken_can_be_taken_back(make: Callable[[Loopback], RpcStub], arrived: bool) -> None:
    pair = Loopback(Api())
    stub = make(pair)
    callback, other = Callback(), Callback()
    gone = weakref.ref(callback)
    take_back = stub.on_broken(callback)
    stub.on_broken(other)
    del callback
    if arrived:
        pair.pump()
    take_back()
    take_back()
    assert gone() is None
    pair.disconnect()
    pair.pump()
    assert len(other.errors) == (make is not behind_a_future_that_never_comes)


def test_on_broken_can_be_taken_back_when_it_is_about_to_run() -> None:
    pair = Loopback(Api())
    callback = Callback()
    take_back = pair.api.on_broken(callback)
    pair.disconnect()
    take_back()
    pair.pump()
    assert callback.errors == []


def test_on_broken_that_has_run_is_forgotten() -> None:
    pair = Loopback(Api())
    promise = pair.api.fail()
    callback = Callback()
    gone = weakref.ref(callback)
    promise.on_broken(callback)
    promise.exception()
    pair.pump()
    assert [type(error) for error in callback.errors] == [RemoteError]
    del callback
    assert gone() is None


def test_a_dropped_duplicate_takes_its_on_broken_along() -> None:
    pair = Loopback(Api())
    callback = Callback()
    gone = weakref.ref(callback)
    pair.api.dup().on_broken(callback)
    del callback
    pair.pump()
    assert gone() is None


def test_on_broken_of_a_property_is_that_of_what_it_belongs_to() -> None:
    pair = Loopback(Api())
    callback = Callback()
    pair.api.some.name.on_broken(callback)
    pair.disconnect()
    pair.pump()
    assert len(callback.errors) == 1


def test_many_callbacks_of_one_stub_run_in_their_order() -> None:
    pair = Loopback(Api())
    seen: list[int] = []
    taken_back = [
        pair.api.on_broken(lambda _, number=number: seen.append(number)) for number in range(6)
    ]
    for number in (4, 0):
        taken_back[number]()
    pair.disconnect()
    pair.pump()
    assert seen == [1, 2, 3, 5]


def test_disposing_of_the_main_stub_ends_the_session() -> None:
    pair = Loopback(Api())
    counter = pair.api.counter().result()
    pair.api.dispose()
    assert pair.client.closed
    assert pair.client_transport.closed == (
        3000,
        "RPC session was shut down by disposing the main stub",
    )
    with pytest.raises(SessionClosed, match="shut down"):
        counter.increment().result()
    with pytest.raises(SessionClosed):
        _ = pair.client.main


def test_a_copied_or_pickled_stub_makes_no_call() -> None:
    pair = Loopback(Api())
    for attempt in (copy.copy, copy.deepcopy):
        with pytest.raises((TypeError, AttributeError)):
            attempt(pair.api)
    pair.pump()
    assert pair.client_transport.sent == []


def test_stubs_say_what_they_are() -> None:
    pair = Loopback(Api())
    main = "main object of an unknown peer"
    assert repr(pair.api) == f"<RpcStub {main}>"
    assert repr(pair.api.echo["x"][0]) == f"<RpcPromise echo.x.0 of {main}>"
    promise = pair.api.echo(1)
    assert repr(promise) == "<RpcPromise echo(), import 1 of an unknown peer, not asked for>"
    promise.done()
    assert repr(promise) == "<RpcPromise echo(), import 1 of an unknown peer, under way>"
    promise.result()
    assert repr(promise) == "<RpcPromise echo(), import 1 of an unknown peer, a value of type int>"
    read = pair.api.echo["name"]
    read.done()
    assert repr(read).startswith("<RpcPromise echo.name, import 2 of an unknown peer, ")
    failed = pair.api.fail()
    failed.exception()
    assert "an unknown peer, failed: Remote" in repr(failed)
    assert repr(pair.client) == "<RpcSession with an unknown peer, 1 imports, 1 exports>"
    pair.client.close(3000, "Bye.")
    assert repr(pair.client).startswith("<RpcSession with an unknown peer, over: ")


def test_many_threads_may_share_a_property_promise() -> None:
    """Asking one for its result must not send another to the wrong place."""
    from capnweb_sync.runtimes.threads import ThreadRuntime

    runtime = ThreadRuntime()
    wrong: list[Any] = []
    stub = RpcStub({"counter": Counter(7)})

    def ask(promise: Any) -> None:
        value = promise.value.result()
        if value != 7:
            wrong.append(value)

    pair = Loopback()
    del pair
    from capnweb_sync.runtimes.interface import set_default_runtime

    set_default_runtime(runtime)
    for _ in range(50):
        promise = stub.counter
        threads = [threading.Thread(target=ask, args=(promise,)) for _ in range(2)]
        threads.append(threading.Thread(target=promise.done))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert wrong == []
