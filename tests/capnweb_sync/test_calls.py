"""Calls: their order, pipelining on results that are not there, and Futures as answers."""

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import (
    RemoteError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    SessionClosed,
    undefined,
)

from .loopback import EMPTY, Loopback, RawPeer


class Counter(RpcTarget):
    def __init__(self, count: int = 0) -> None:
        self._count = count

    @property
    def value(self) -> int:
        return self._count

    def increment(self, by: int = 1) -> int:
        self._count += by
        return self._count


class Api(RpcTarget):
    def __init__(self) -> None:
        self._log: list[Any] = []
        self._later: list[Future[Any]] = []

    def counter(self, start: int = 0) -> Counter:
        return Counter(start)

    def log(self, entry: Any, extra: Any = None) -> Any:
        self._log.append(entry)
        return entry

    @property
    def logged(self) -> int:
        self._log.append("look")
        return len(self._log)

    def later(self) -> "Future[Any]":
        future: Future[Any] = Future()
        self._later.append(future)
        return future

    def bump(self, counter: RpcStub) -> Any:
        return counter.increment(10).result()

    def call_back(self, callback: Callable[..., Any], *args: Any) -> Any:
        return callback(*args).result()

    def nested(self) -> Any:
        return {"counters": [Counter(1), Counter(2)], "pair": (1, 2)}

    def fail(self, message: str) -> None:
        from capnweb_sync import RpcError

        raise RpcError(message)


def test_calls_start_in_the_order_sent_whatever_they_are_made_on() -> None:
    api = Api()
    pair = Loopback(api)
    log = pair.api.log
    function = log.result()
    pair.api.log(1)
    function(2)
    looked = pair.api.logged
    looked_at = looked["real"]  # not read yet: a look is sent when it is asked for
    looked.done()
    pair.api.log(3)
    pair.pump()
    assert api._log == [1, 2, "look", 3]
    assert looked.result() == 3
    assert looked_at.result() is undefined


def test_looks_at_properties_and_calls_start_in_one_order() -> None:
    api = Api()
    peer = RawPeer(api)
    for index in range(1, 6):
        peer.session.receive(f'["push",["pipeline",0,["log"],[{index}]]]')
        peer.session.receive('["push",["pipeline",0,["logged"]]]')
    peer.runtime.pump()
    assert api._log == [1, "look", 2, "look", 3, "look", 4, "look", 5, "look"]


def test_a_call_on_a_result_that_is_not_there_costs_no_round_trip() -> None:
    pair = Loopback(Api())
    count = pair.api.counter(4).increment().result()
    assert count == 5
    kinds = [message[0] for message in pair.client_transport.messages]
    assert kinds.count("push") == 2
    assert kinds.count("pull") == 1


def test_pipelining_goes_through_lists_and_objects() -> None:
    pair = Loopback(Api())
    nested = pair.api.nested()
    assert nested.counters[1].increment().result() == 3
    assert nested["counters"][0].value.result() == 1
    assert nested.pair[1].result() == 2
    nested.dispose()
    del nested
    assert pair.tables() == EMPTY


def test_a_long_chain_of_pipelined_calls_is_served() -> None:
    class Chain(RpcTarget):
        def next(self) -> "Chain":
            return self

        def end(self) -> str:
            return "the end"

    pair = Loopback(Chain())
    link = pair.api
    for _ in range(900):
        link = link.next()
    assert link.end().result() == "the end"
    del link
    assert pair.tables() == EMPTY
    assert pair.calls_under_way() == (0, 0)


def test_calls_on_a_promise_run_in_their_order_once_it_is_there() -> None:
    api = Api()
    pair = Loopback(api)
    later = pair.api.later()
    first = later.log(1)
    second = later.log(2)
    pair.pump()
    assert api._log == []
    api._later[0].set_result(api)
    third = later.log(3)
    assert [first.result(), second.result(), third.result()] == [1, 2, 3]
    assert api._log == [1, 2, 3]


def test_a_promise_in_arguments_arrives_as_its_value() -> None:
    pair = Loopback(Api())
    counter = pair.api.counter(1)
    assert pair.api.log([counter.value, {"x": counter.increment()}]).result() == [2, {"x": 2}]
    assert pair.api.bump(counter).result() == 12


def test_a_call_whose_argument_is_not_there_delays_nothing_else() -> None:
    api = Api()
    pair = Loopback(api)
    later = pair.api.later()
    waiting = pair.api.log(later)
    also_waiting = pair.api.log(later)
    assert pair.api.log("goes on").result() == "goes on"
    api._later[0].set_result("here")
    assert (waiting.result(), also_waiting.result()) == ("here", "here")
    assert api._log == ["goes on", "here", "here"]


def test_a_call_whose_argument_fails_fails_with_it_and_does_not_run() -> None:
    api = Api()
    pair = Loopback(api)
    with pytest.raises(RemoteError, match="broken argument"):
        pair.api.log([1, pair.api.fail("broken argument")]).result()
    assert api._log == []
    assert pair.calls_under_way() == (0, 0)
    assert pair.tables() == EMPTY


def test_calls_on_a_failed_promise_fail_with_it() -> None:
    pair = Loopback(Api())
    failed = pair.api.fail("first")
    with pytest.raises(RemoteError, match="first"):
        failed.anything().at_all().result()


def test_a_future_is_answered_when_it_completes_and_holds_nothing_up() -> None:
    api = Api()
    pair = Loopback(api)
    answer = pair.api.later()
    assert pair.api.log("meanwhile").result() == "meanwhile"
    assert not answer.done()
    api._later[0].set_result({"done": True})
    assert answer.result() == {"done": True}


def test_a_future_may_fail_or_be_cancelled() -> None:
    api = Api()
    pair = Loopback(api)
    failing, cancelled = pair.api.later(), pair.api.later()
    pair.pump()
    api._later[0].set_exception(RemoteError("the backend is down"))
    api._later[1].cancel()
    with pytest.raises(RemoteError, match="backend"):
        failing.result()
    with pytest.raises(RemoteError, match="cancelled") as caught:
        cancelled.result()
    assert caught.value.code == "cancelled"
    assert pair.calls_under_way() == (0, 0)


def test_a_call_of_a_call_of_a_call_waits_three_levels_deep_in_both_directions() -> None:
    class Side(RpcTarget):
        def __init__(self) -> None:
            self._other: Any = None

        def descend(self, depth: int) -> list[int]:
            if depth == 0:
                return [0]
            below: list[int] = self._other.descend(depth - 1).result()
            return [depth, *below]

    server_main, client_main = Side(), Side()
    pair = Loopback(server_main, client_main)
    server_main._other, client_main._other = pair.server.main, pair.client.main
    assert pair.api.descend(6).result() == [6, 5, 4, 3, 2, 1, 0]


def test_wait_is_answered_by_a_later_set() -> None:
    class Box(RpcTarget):
        def __init__(self) -> None:
            self._future: Future[Any] = Future()

        def wait(self) -> "Future[Any]":
            return self._future

        def set(self, value: Any) -> None:
            self._future.set_result(value)

    pair = Loopback(Box())
    waiting = pair.api.wait()
    pair.api.set(7)
    assert waiting.result() == 7


def test_a_call_whose_result_nobody_asks_for_runs_and_is_never_pulled() -> None:
    api = Api()
    pair = Loopback(api)
    pair.api.log("unasked")
    pair.pump()
    assert api._log == ["unasked"]
    assert "pull" not in [message[0] for message in pair.client_transport.messages]
    assert pair.tables() == EMPTY


def test_a_push_that_is_released_at_once_still_runs() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.session.receive('["push",["pipeline",0,["log"],["kept"]]]')
    peer.session.receive('["release",1,1]')
    peer.runtime.pump()
    assert api._log == ["kept"]
    assert peer.session.stats() == {"imports": 1, "exports": 1}
    assert peer.session.calls.under_way == 0


def test_a_call_that_was_sent_before_its_target_was_disposed_of_is_served() -> None:
    pair = Loopback(Api())
    counter = pair.api.counter(1)
    answer = counter.increment()
    counter.dispose()
    assert answer.result() == 2
    assert pair.tables() == EMPTY


def test_after_its_resolution_calls_go_to_the_value() -> None:
    pair = Loopback({"home": lambda callback: callback})
    calls: list[Any] = []
    home = pair.api.home(calls.append)
    home.result()
    before = len(pair.client_transport.sent)
    home("local").result()
    assert calls == ["local"]
    pushes = [m for m in pair.client_transport.messages[before:] if m[0] == "push"]
    assert pushes == []


def test_our_own_function_coming_home_is_called_here() -> None:
    pair = Loopback(Api())
    seen: list[Any] = []

    def callback(*args: Any) -> int:
        seen.append(args)
        return len(seen)

    echoed = pair.api.log(callback)
    home = echoed.result()
    assert isinstance(home, RpcStub)
    assert home(1, [2]).result() == 1
    assert seen == [(1, [2])]
    home.dispose()
    echoed.dispose()
    del home, echoed
    assert pair.tables() == EMPTY


def test_a_stub_of_the_peer_goes_back_as_what_it_is() -> None:
    class Identity(RpcTarget):
        def make(self) -> Counter:
            return Counter(5)

        def read(self, counter: RpcStub) -> Any:
            return counter.value.result()

    pair = Loopback(Identity())
    with pair.api.make() as counter:
        assert pair.api.read(counter).result() == 5
        stub = counter.result()
        assert pair.api.read(stub).result() == 5
    assert ["import", 1] not in pair.client_transport.messages
    del counter, stub
    assert pair.tables() == EMPTY


def test_a_capability_of_one_session_works_through_another() -> None:
    class Shelf(RpcTarget):
        def __init__(self) -> None:
            self._stub: Any = None

        def put(self, stub: RpcStub) -> None:
            self._stub = stub.dup()

        def take(self) -> Any:
            stub, self._stub = self._stub, None
            return stub

    first = Loopback(Shelf())
    second = Loopback(Shelf(), beside=first)
    first.api.put(Counter(1)).result()
    carried = first.api.take().result()
    second.api.put(carried).result()
    carried.dispose()
    back = second.api.take().result()
    assert back.increment(4).result() == 5
    assert back.value.result() == 5
    back.dispose()
    del carried, back
    assert first.tables() == EMPTY
    assert second.tables() == EMPTY


def test_a_foreign_capability_fails_when_its_own_session_ends() -> None:
    first = Loopback(Api())
    second = Loopback(Api(), beside=first)
    counter = first.api.counter(1).result()
    foreign = second.api.log(counter)
    foreign.increment().result()
    first.disconnect()
    with pytest.raises(RemoteError) as caught:
        second.api.bump(counter).result()
    assert caught.value.code == "closed"
    with pytest.raises(SessionClosed):
        counter.increment().result()
    assert second.api.log("goes on").result() == "goes on"


def test_a_method_may_return_a_promise_of_the_peer() -> None:
    class Proxy(RpcTarget):
        def ask(self, callback: Callable[..., Any]) -> Any:
            return callback("question")

        def look(self, target: RpcStub) -> Any:
            return target.value

        def inside(self, callback: Callable[..., Any]) -> Any:
            return [callback(1), {"two": callback(2)}]

    pair = Loopback(Proxy())
    assert pair.api.ask(lambda text: text + "!").result() == "question!"
    assert pair.api.look(Counter(8)).result() == 8
    assert pair.api.inside(lambda number: number * 10).result() == [10, {"two": 20}]
    assert pair.tables() == EMPTY
    assert pair.calls_under_way() == (0, 0)


def test_a_method_may_return_a_promise_of_a_local_object() -> None:
    class Proxy(RpcTarget):
        def __init__(self) -> None:
            self._counter = RpcStub(Counter(3))

        def count(self) -> Any:
            return self._counter.increment()

        def value(self) -> Any:
            return self._counter.value

        def both(self) -> Any:
            return {"count": self._counter.increment(), "value": self._counter.value}

    pair = Loopback(Proxy())
    assert pair.api.count().result() == 4
    assert pair.api.value().result() == 4
    assert pair.api.both().result() == {"count": 5, "value": 5}
    assert pair.tables() == EMPTY


def test_a_promise_that_is_there_can_be_sent() -> None:
    pair = Loopback(Api())
    assert pair.api.log(RpcPromise(5)).result() == 5
    assert pair.api.log({"a": RpcPromise([1, RpcPromise(2)])}).result() == {"a": [1, 2]}
    assert pair.tables() == EMPTY


def test_a_promise_for_a_future_can_be_sent_and_is_followed() -> None:
    pair = Loopback(Api())
    future: Future[Any] = Future()
    answer = pair.api.log(RpcPromise(future))
    pair.pump()
    assert not answer.done()
    future.set_result("there")
    assert answer.result() == "there"
    assert pair.tables() == EMPTY


def test_an_exported_promise_that_is_released_before_it_resolves_is_forgotten() -> None:
    future: Future[Any] = Future()
    peer = RawPeer({"get": lambda: {"promise": RpcPromise(future)}})
    peer.says(["push", ["pipeline", 0, ["get"], []]], ["pull", 1])
    assert peer.heard[-1] == ["resolve", 1, {"promise": ["promise", -1]}]
    peer.says(["release", -1, 1], ["release", 1, 1])
    future.set_result(5)
    peer.runtime.pump()
    assert peer.heard[-1][:2] == ["resolve", 1]
    assert peer.session.stats() == {"imports": 1, "exports": 1}


def test_the_answer_of_a_timed_out_wait_can_still_be_had() -> None:
    api = Api()
    pair = Loopback(api)
    answer = pair.api.later()
    with pytest.raises(concurrent.futures.TimeoutError):
        answer.result(timeout=0)
    api._later[0].set_result(1)
    assert answer.result() == 1


def test_any_number_of_promises_can_be_sent_in_one_message() -> None:
    pair = Loopback(Api())
    promises = [RpcPromise(index) for index in range(3_000)]
    assert pair.api.log(promises).result() == list(range(3_000))
    assert pair.tables() == EMPTY
