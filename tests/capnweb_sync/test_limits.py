"""A peer's input is bounded: past each bound a clear error, and the process unharmed."""

import gc
import json
import time
import tracemalloc
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import Limits, RemoteError, RpcError, RpcPromise, RpcStub, RpcTarget
from capnweb_sync.core.ledger import ENTRY_COST, PIPE_COST, size_of
from capnweb_sync.core.payload import Payload
from capnweb_sync.core.promise_hooks import PromiseHook

from .loopback import Loopback, RawPeer

MAIN_OBJECT = ENTRY_COST  # this side's; the peer's is not asked for
"""What a session keeps from its beginning."""


class Api(RpcTarget):
    def __init__(self) -> None:
        self.disposals = 0
        self._futures: list[Future[Any]] = []

    def echo(self, value: Any = None) -> Any:
        return value

    def wait(self) -> "Future[Any]":
        self._futures.append(Future())
        return self._futures[-1]

    def fail(self, target: Any) -> None:
        raise RpcError("no", code="no")

    @property
    def prop(self) -> int:
        return 5

    @property
    def me(self) -> "Api":
        return self

    def _on_dispose(self) -> None:
        self.disposals += 1


def call(*path: str | int, args: list[Any] | None = None, on: int = 0) -> list[Any]:
    """A push of a call, or of a look."""
    return ["push", ["pipeline", on, list(path), *([args] if args is not None else [])]]


def test_a_message_past_the_size_limit_ends_the_session() -> None:
    peer = RawPeer(Api(), limits=Limits(max_message_size=100))
    peer.says(call("echo", args=["x" * 50]), ["pull", 1])
    assert peer.heard[-1] == ["resolve", 1, "x" * 50]
    peer.says(call("echo", args=["x" * 100]))
    assert peer.aborted == "Incoming message exceeds maximum size of 100 bytes."
    assert peer.session.closed


@pytest.mark.parametrize(("brackets", "accepted"), [(124, True), (125, False), (200_000, False)])
def test_nesting_past_the_limit_ends_the_session(brackets: int, accepted: bool) -> None:
    peer = RawPeer(Api())
    value = "[[" * brackets + "]]" * brackets
    peer.says(f'["push",["pipeline",0,["echo"],[{value},{value}]]]', ["pull", 1])
    assert (peer.aborted is None) is (brackets <= 254)
    peer = RawPeer(Api())
    peer.says('["push",' + '{"a":' * brackets * 2 + "1" + "}" * brackets * 2 + "]")
    assert (peer.aborted is None) is accepted or brackets == 125
    if brackets > 1_000:
        assert peer.aborted == "Deserialization exceeded maximum allowed message depth of 256."


def test_calls_nested_in_arguments_past_the_limit_end_the_session() -> None:
    peer = RawPeer(Api())
    value: Any = 1
    for _ in range(200):
        value = ["pipeline", 0, ["echo"], [value]]
    peer.says(["push", value])
    assert peer.aborted is not None


def test_a_big_integer_past_the_digit_limit_ends_the_session() -> None:
    peer = RawPeer(Api())
    peer.says(["push", ["bigint", "9" * 16_384]])
    assert peer.aborted is None
    peer.says(["push", ["bigint", "9" * 16_385]])
    assert peer.aborted == "Deserialized bigint exceeds maximum length of 16384 digits."


def test_results_that_are_never_released_end_the_session_at_the_limit() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=11 * ENTRY_COST))
    peer.says(*[["push", index] for index in range(10)])
    assert peer.session.stats()["exports"] == 11
    peer.says(["push", 10])
    assert peer.aborted == "This side would keep more than 11264 bytes for its peer."
    assert peer.session.closed


PUSHED_LONG = [
    ["error", "Error", "x" * 10_000],
    ["error", "Error", "x", "y" * 10_000],
    ["error", "Error", "x", None, {"cause": ["error", "Error", "x" * 10_000]}],
    ["headers", [["name", "value"]] * 200],
    ["response", None, {"statusText": "x" * 10_000}],
    ["request", "http://example/" + "x" * 10_000, {}],
    ["url", "http://example/" + "x" * 10_000],
    ["bytes", "A" * 20_000, "Float64Array"],
    ["bigint", "9" * 16_000],
    ["pipeline", 0, ["nothing", *"x" * 1_000]],
    ["pipeline", 0, ["prop", *"x" * 1_000], []],
    ["pipeline", 0, ["y" * 10_000], []],
    ["pipeline", 0, ["fail"], [None]],
    ["pipeline", 0, ["echo"], [["error", "Error", "x" * 10_000]]],
]


@pytest.mark.parametrize("pushed", PUSHED_LONG)
def test_what_is_kept_is_counted_with_about_what_it_takes(pushed: Any) -> None:
    assert_counted([["push", pushed]])


@pytest.mark.parametrize("error", [["error", "Error", "x" * 10_000]])
def test_what_a_peer_fails_with_is_counted(error: Any) -> None:
    assert_counted([["push", ["promise", "next"]], ["reject", "next", error]])
    assert_counted([["pipe"], ["push", ["pipeline", "last", ["abort"], [error]]]], pushes=2)


def test_the_kind_of_a_blob_and_what_it_has_become_are_counted() -> None:
    kind, chunk = "x" * 10_000, ["bytes", "A" * 20_000]
    readable = ["push", ["blob", kind, ["readable", "last"]]]
    assert_counted([["pipe"], readable], pushes=2)
    written = ["push", ["pipeline", "last", ["write"], [chunk]]]
    closed = ["push", ["pipeline", "last", ["close"], []]]
    assert_counted([["pipe"], readable, written, closed], pushes=4)


def assert_counted(messages: list[Any], pushes: int = 1) -> None:
    """Let a peer say `messages` time and again, and compare what the ledger says with what Python
    does. In them `last` is the id of the first push, `next` a new one of the peer's."""

    def said(turn: int) -> list[Any]:
        text = json.dumps(messages)
        text = text.replace('"last"', str(1 + turn * pushes)).replace('"next"', str(-1 - turn))
        return list(json.loads(text))

    turns = 30
    peer = RawPeer(Api())
    peer.says(*said(0))
    tracemalloc.start()
    try:
        counted, before = peer.session.ledger.held, tracemalloc.get_traced_memory()[0]
        for turn in range(1, turns):
            peer.says(*said(turn))
        peer.heard.clear()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert peer.aborted is None
    assert taken < 1.5 * (peer.session.ledger.held - counted) + 20_000


def test_capabilities_introduced_without_end_end_the_session_at_the_limit() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=40 * ENTRY_COST))
    peer.says(["push", [[["export", -index] for index in range(1, 10)]]])
    assert peer.session.stats()["imports"] == 10
    assert peer.aborted is None
    peer.says(["push", [[["export", -index] for index in range(10, 30)]]])
    assert peer.aborted is not None


def test_one_message_does_not_introduce_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=100 * ENTRY_COST))
    most = 0
    add = peer.session.imports._add

    def counting(*args: Any) -> Any:
        nonlocal most
        most += 1
        return add(*args)

    monkeypatch.setattr(type(peer.session.imports), "_add", lambda self, *args: counting(*args))
    peer.says(["push", [[["export", -index] for index in range(1, 10_000)]]])
    assert peer.aborted is not None
    assert most <= 100


def test_a_result_counts_until_it_is_released() -> None:
    peer = RawPeer({"history": lambda: ["x" * 1_000] * 60}, limits=Limits(max_memory=100_000))
    for index in range(1, 50):
        peer.says(call("history", args=[]), ["pull", index])
        assert peer.heard[-1][0] == "resolve"
        assert peer.session.ledger.held > 60_000
        peer.says(["release", index, 1])
        assert peer.session.ledger.held == MAIN_OBJECT
    peer.says(*[call("history", args=[])] * 2)
    assert peer.aborted is not None
    assert peer.session.ledger.held == 0


def test_a_part_keeps_the_whole_and_names_of_one_result_share_it() -> None:
    peer = RawPeer({"list": lambda: [["x" * 5_000], 2]}, limits=Limits(max_memory=150_000))
    peer.says(call("list", args=[]), *[call(1, on=1)] * 50)
    assert peer.aborted is None
    peer.says(["release", 1, 1])
    assert peer.session.ledger.held > 5_000
    peer.says(*[["release", index, 1] for index in range(2, 52)])
    assert peer.session.ledger.held == MAIN_OBJECT


def test_nested_lists_count_as_what_they_take() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=1024 * 1024))
    nested: Any = 0
    for _ in range(60):
        nested = [[nested]]
    message = json.dumps(["push", [[nested] * 100]])
    sent = 0
    while peer.aborted is None:
        peer.says(message)
        sent += len(message)
    assert sent < 1024 * 1024 // 2


def test_pipes_count() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=MAIN_OBJECT + 10 * (PIPE_COST + ENTRY_COST)))
    peer.says(*[["pipe"]] * 10, ["release", 1, 1])
    peer.says(["pipe"])
    assert not peer.session.closed
    peer.says(["pipe"])
    assert peer.aborted is not None


def test_arguments_that_wait_for_a_promise_count_until_the_call_is_done() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=200_000))
    for index in range(1, 50):
        peer.says(call("echo", args=[["promise", -index], "x" * 100_000]), ["release", index, 1])
        assert peer.session.ledger.held > 100_000
        peer.says(["resolve", -index, 1])
        assert peer.session.ledger.held == MAIN_OBJECT
    peer.says(*[call("echo", args=[["promise", -index], "x" * 100_000]) for index in (50, 51)])
    assert peer.aborted is not None


def test_what_a_promise_of_the_peer_brings_counts_where_it_stands() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=200_000))
    for index in range(1, 3):
        peer.says(["push", {"x": ["promise", -index]}], ["resolve", -index, "x" * 110_000])
    assert peer.aborted is not None


def test_a_call_refused_or_done_costs_nothing() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_calls=2))
    peer.says(*[call("wait", args=[])] * 2, call("echo", args=["x" * 1_000]), call("prop"))
    peer.says(*[["release", index, 1] for index in range(1, 5)])
    for future in api._futures:
        future.set_result("x" * 1_000)
    peer.runtime.pump()
    assert peer.session.ledger.held == MAIN_OBJECT


def test_the_size_of_a_value_is_about_what_it_takes() -> None:
    shared = ["x" * 1_000]
    endless: list[Any] = [1]
    endless.append(endless)
    assert size_of(None, 100) < 20
    assert 1_000 < size_of(shared, 10_000) < 1_300
    assert size_of([shared] * 100, 10_000) < 2_500
    assert size_of(endless, 10_000) < 200
    assert size_of({"k" * 500: True, 5: False}, 10_000) > 500
    assert size_of([[] for _ in range(1_000_000)], 1_000) < 20_000_000
    assert 9_100_000 > size_of(list(range(250_000)), 100_000_000) > 7_000_000


def test_a_result_with_too_many_capabilities_is_rejected_and_taken_back() -> None:
    peer = RawPeer(
        {"many": lambda: [print] * 20, "few": lambda: [print] * 5},
        limits=Limits(max_memory=MAIN_OBJECT + 2_000 + 20 * 1024 + 10 * ENTRY_COST),
    )
    peer.says(call("many", args=[]), ["pull", 1])
    assert peer.heard[-1][:2] == ["reject", 1]
    peer.says(["release", 1, 1], call("few", args=[]), ["pull", 2])
    assert peer.heard[-1][:2] == ["resolve", 2]


def test_the_application_may_refuse_calls_before_they_begin() -> None:
    api = Api()
    peer = RawPeer(api)
    allowed = iter([True, False, False, True])

    def refuse_some() -> None:
        if not next(allowed):
            raise RpcError("Not now.", code="busy")

    peer.session.calls.before_call = refuse_some
    peer.says(call("echo", args=[1]), call("echo", args=[2]), call("prop"), call("prop"))
    peer.says(*(["pull", number] for number in (1, 2, 3, 4)))

    kinds = {message[1]: message[0] for message in peer.heard}
    assert kinds == {1: "resolve", 2: "reject", 3: "reject", 4: "resolve"}
    assert peer.session.calls.under_way == 0


def test_a_call_too_many_is_rejected_and_reading_goes_on() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_calls=3))
    peer.says(*[call("wait", args=[])] * 3)
    peer.says(call("echo", args=[1]), ["pull", 4])
    assert peer.heard[-1][:2] == ["reject", 4]
    assert peer.heard[-1][2][4]["code"] == "too_many"
    peer.says(call("prop"), ["pull", 5])
    assert peer.heard[-1][2][4]["code"] == "too_many"
    api._futures[0].set_result(None)
    peer.says(call("echo", args=[2]), ["pull", 6])
    assert peer.heard[-1] == ["resolve", 6, 2]
    assert peer.aborted is None


def test_looks_that_wait_for_their_turn_count_as_calls_under_way() -> None:
    peer = RawPeer(Api(), limits=Limits(max_calls=3))
    for _ in range(5):
        peer.session.receive('["push",["pipeline",0,["prop"]]]')
    assert peer.session.calls.under_way == 3
    peer.says(["pull", 3], ["pull", 4])
    assert peer.session.calls.under_way == 0
    assert peer.heard[-2] == ["reject", 4, peer.heard[-2][2]] or peer.heard[-1][0] == "resolve"


class Keeper(Api):
    """Keeps what a peer passes, as something to be called later."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def keep(self, callback: Any) -> None:
        self.kept.append(callback.dup())

    def get(self) -> Any:
        return lambda: self.wait()


@pytest.mark.parametrize(
    ("pushes", "callback"),
    [
        ([call("wait", args=[])], ["import", 1]),
        ([["push", {"x": ["promise", -1]}]], ["import", 1]),
        ([call("echo", args=[["promise", -1]])], ["import", 1]),
        ([call("wait", args=[])], ["import", 1, ["x"]]),
        ([["push", 1]], ["import", 0, ["wait"]]),
        ([call("get", args=[])], ["import", 1]),
        ([call("get", args=[])], ["pipeline", 1]),
        ([["pipe"]], ["import", 1]),
    ],
)
def test_calls_of_the_application_that_a_peer_lets_wait_are_bounded(
    pushes: list[Any], callback: Any
) -> None:
    """A promise that is not settled, of ours or of the peer's; a function of ours that takes
    its time; a stream that nobody reads."""
    api = Keeper()
    peer = RawPeer(api, limits=Limits(max_calls=10, max_memory=50_000))
    peer.says(*pushes, call("keep", args=[callback]))
    (kept,) = api.kept
    calls = [kept.x, kept.write, kept]
    promises: list[RpcPromise] = []
    failures: list[Any] = []
    for index in range(200):
        for attempted in calls:
            try:
                promises.append(attempted({"id": index}))
            except RpcError as error:
                failures.append(error)
            peer.runtime.pump()
    failures += [promise.exception() for promise in promises if promise.done()]
    assert peer.session.calls.under_way <= 10
    assert peer.session.stats()["imports"] <= 100
    assert peer.session.ledger.held <= 50_000
    assert any(isinstance(error, RpcError) and error.code == "too_many" for error in failures)
    for future in api._futures:
        future.set_result(None)
    peer.session.connection_lost(1006, "")
    peer.runtime.pump()
    assert peer.session.calls.under_way == 0


@pytest.mark.parametrize(
    ("wait", "ends"),
    [
        (["push", ["pipeline", 1, ["x"]]], True),
        (["push", ["import", 1]], True),
        (["push", ["remap", 1, [], [], [["pipeline", 0]]]], False),  # counted like a call
    ],
)
def test_what_is_set_aside_for_a_promise_and_released_is_bounded(wait: Any, ends: bool) -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_calls=10, max_memory=60_000))
    peer.says(call("wait", args=[]))
    for index in range(2, 22):
        peer.says(wait, ["release", index, 1])
    assert peer.aborted is None
    assert peer.session.ledger.held > 5_000
    api._futures[0].set_result({"x": 1})
    peer.runtime.pump()
    assert peer.session.calls.under_way == 0
    assert peer.session.ledger.held < MAIN_OBJECT + 2 * ENTRY_COST
    peer.says(call("wait", args=[]))
    wait[1][1] = 22
    for index in range(23, 123):
        peer.says(wait, ["release", index, 1])
    assert (peer.aborted is not None) is ends


def test_arguments_of_a_call_too_many_are_released() -> None:
    pair = Loopback(Api(), limits=Limits(max_calls=1))
    waiting = pair.api.wait()
    waiting.done()
    with pytest.raises(RemoteError) as caught:
        pair.api.echo(lambda: None).result()
    assert caught.value.code == "too_many"
    assert pair.tables()[0] == {"imports": 2, "exports": 1}


def test_arguments_of_a_call_that_cannot_wait_any_more_are_released() -> None:
    peer = RawPeer(Api(), limits=Limits(max_calls=10, max_memory=MAIN_OBJECT + 2_500))
    calls = peer.session.calls
    promise = PromiseHook(calls)
    waiting = [promise.get((), calls) for _ in range(3)]
    argument = Api()
    with pytest.raises(RpcError, match="would keep more"):
        promise.call(("echo",), Payload([argument], "params"), calls)
    peer.runtime.pump()
    assert (len(waiting), calls.under_way, argument.disposals) == (3, 0, 1)


def test_a_failed_call_whose_result_is_kept_does_not_keep_its_arguments() -> None:
    class Large:
        pass

    kept: list[weakref.ref[Large]] = []

    def fail() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        try:
            raise KeyError
        except KeyError:
            raise RpcError("no")  # noqa: B904 the context is the point

    peer = RawPeer(fail)
    peer.says(call(args=[]), ["pull", 1])
    assert peer.session.stats()["exports"] == 2
    assert peer.heard[-1][:2] == ["reject", 1]
    assert [large() for large in kept] == [None]


def test_every_way_for_a_call_to_end_gives_its_place_back() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_calls=100))
    pushes: list[Any] = [
        call("echo", args=[1]),
        call("echo", args=[["export", -1]]),
        call("nothing", args=[]),
        call("prop", args=[]),
        call("prop", "x", "y"),
        call("prop", "x", "y", args=[]),
        call("echo", args=[["pipeline", 0, ["nothing"], []]]),
        call("echo", args=[["pipeline", 0, ["prop"]]]),
        call("echo", args=[["pipeline", 0, ["prop", "x", "y"]]]),
        call("echo", "x", args=[["pipeline", 1, ["x"]]]),
        call("x", args=[], on=1),
        call("x", args=[], on=3),
        ["push", ["import", 0, ["echo"], [1]]],
        ["push", [[["import", 0, ["echo"], [1]], ["pipeline", 0, ["echo"], [2]]]]],
        call("echo", args=[["promise", -2]]),
        call("x", args=[["export", -3]], on=15),
        ["resolve", -2, ["error", "Error", "x"]],
        call("echo", args=[["promise", -4]]),
        ["reject", -4, ["error", "Error", "x"]],
        call("f", args=[1], on=2),
        call(args=[], on=2),
    ]
    peer.says(*pushes)
    assert peer.aborted is None
    assert peer.session.calls.under_way == 0


def test_a_chain_of_looks_at_what_is_not_there_is_as_long_as_the_table() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(call("wait", args=[]))
    peer.says(*[call("x", on=index) for index in range(1, 5_000)])
    peer.says(["pull", 5_000])
    value: dict[str, Any] = {}
    value["x"] = value
    api._futures[0].set_result({"x": {}})
    peer.runtime.pump()
    assert peer.heard[-1][:2] == ["reject", 5_000]
    assert peer.aborted is None
    peer.session.connection_lost(1006, "")


def test_a_chain_of_calls_on_what_is_not_there_costs_each_call_once() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(call("wait", args=[]))
    peer.says(*[call("me", on=index) for index in range(1, 500)])
    peer.says(*[call("echo", args=[index], on=499 + index) for index in range(1, 500)])
    peer.says(["pull", 999])
    api._futures[0].set_result(api)
    peer.runtime.pump()
    assert peer.session.calls.under_way == 0
    assert peer.aborted is None
    peer.session.connection_lost(1006, "")


def test_a_chain_of_promises_may_be_long() -> None:
    """Each resolution is a promise again, and the last one the value."""
    peer = RawPeer(Api())
    peer.says(call("echo", args=[["promise", -1]]), ["pull", 1])
    for index in range(1, 5_000):
        peer.says(["resolve", -index, ["promise", -index - 1]])
    peer.says(["resolve", -5_000, "the end"])
    assert ["resolve", 1, "the end"] in peer.heard
    assert peer.session.calls.under_way == 0
    peer.says(["release", 1, 1])
    assert peer.session.stats() == {"imports": 1, "exports": 1}


def test_a_chain_that_was_resolved_before_it_is_used_is_followed_and_released() -> None:
    peer = RawPeer(Api())
    peer.says(["push", ["promise", -1]])
    for index in range(1, 5_000):
        peer.says(["resolve", -index, ["promise", -index - 1]])
    peer.says(["resolve", -5_000, ["export", -1]])
    peer.says(["pull", 1], ["release", 1, 1])
    assert peer.session.stats() == {"imports": 1, "exports": 1}
    assert peer.aborted is None


@pytest.mark.parametrize(
    "use",
    [
        ["push", ["pipeline", 1, ["x"]]],
        ["push", ["pipeline", 1, ["x"], [["import", 0]]]],
        ["push", ["pipeline", 0, ["echo"], [["pipeline", 1]]]],
        ["push", ["import", 1]],
        "not JSON",
    ],
)
def test_a_long_chain_of_promises_ends_nothing_but_itself(use: Any) -> None:
    """The way through it may be longer than Python's stack: that is an error for whoever goes it,
    and what was passed along is released."""
    api = Api()
    peer = RawPeer(api)
    peer.says(["push", ["promise", -1]])
    for index in range(1, 2_000):
        peer.says(["resolve", -index, ["promise", -index - 1]])
    peer.says(use)
    if peer.aborted is None:
        assert peer.session.calls.under_way == 0
    peer.session.connection_lost(1006, "")
    peer.runtime.pump()
    assert api.disposals == 1
    assert peer.session.calls.under_way == 0


def test_a_capability_that_was_resolved_to_itself_harms_nothing() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(
        call("echo", args=[["export", -1]]),
        ["resolve", -1, ["import", 1]],
        call("x", args=[["import", 0]], on=1),
        call("x", on=1),
        ["pull", 1],
        ["pull", 2],
        ["pull", 3],
    )
    peer.session.connection_lost(1006, "")
    peer.runtime.pump()
    assert api.disposals == 1
    assert peer.session.calls.under_way == 0


def test_a_long_path_through_properties_costs_its_length() -> None:
    peer = RawPeer(Api())
    peer.says(call(*["me"] * 100_000, "prop"), ["pull", 1])
    assert peer.heard[-1] == ["resolve", 1, 5]


def test_a_large_result_named_many_times_in_a_short_message_is_not_copied_each_time() -> None:
    peer = RawPeer({"large": lambda: [[0] * 1_000] * 100})
    peer.says(call("large", args=[]))
    peer.says(["push", [[["pipeline", 1]] * 20_000]])
    assert peer.aborted is None


MANY = 20_000
"""More copies than one message may want."""


def test_what_a_message_may_have_copied_is_no_bound_on_the_applications_own_reads() -> None:
    """Not on those that wait for a result, nor on those of one that is there."""
    api = Api()
    pair = Loopback()
    result = RpcStub(api).wait()
    pair.pump()
    early = [result[1] for _ in range(MANY)]
    for read in early:
        assert not read.done()
    api._futures[0].set_result([print, [print]])
    late = [result[1] for _ in range(MANY)]
    assert [len(read.result()) for read in early + late] == [1] * MANY * 2


def test_a_step_that_fails_leaves_no_bound_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    own = RpcStub(Api())
    value = RpcStub([print, [print]])
    with monkeypatch.context() as patched:
        patched.setattr(PromiseHook, "resolve", lambda promise, hook: 1 / 0)
        peer = RawPeer(Api())
        with pytest.raises(ZeroDivisionError):
            peer.says(call("echo", args=[[[1]]]))
    assert [len(value[1].result()) for _ in range(MANY)] == [1] * MANY
    assert own.echo(1).result() == 1


def test_what_peers_want_of_one_promise_is_paid_for_by_each() -> None:
    """It is copied when the promise settles, in one step for all of them."""
    shared: Future[Any] = Future()
    promise = RpcPromise(shared)
    pair = Loopback()
    greedy, modest = (RawPeer(lambda: promise.dup(), beside=pair) for _ in range(2))
    for peer in (greedy, modest):
        peer.says(call(args=[]))
    greedy.says(*[call(1, on=1)] * MANY)
    modest.says(call(1, on=1), ["pull", 2])
    shared.set_result([print, [print]])
    greedy.says(["pull", 2], ["pull", MANY])
    assert modest.heard[-1][:2] == ["resolve", 2]
    assert greedy.heard[-2][:2] == ["resolve", 2]
    assert greedy.heard[-1][2][4]["code"] == "too_many"


def test_a_large_result_named_many_times_in_arguments_is_a_call_too_many() -> None:
    api = Api()
    large = list(range(1_000))
    peer = RawPeer(api, limits=Limits(max_memory=1_000_000))
    peer.says(call("echo", args=[[large]]), call("wait", args=[]))
    for index in range(3, 103):
        peer.says(call("echo", args=[["pipeline", 1]]), ["pull", index])
        assert peer.heard[-1] == ["resolve", index, [large]]
        peer.says(["release", index, 1])
    assert peer.session.calls.under_way == 1
    peer.says(call("echo", args=[["pipeline", 1]] * 100))
    assert peer.aborted is not None
    peer = RawPeer(api, limits=Limits(max_memory=1_000_000))
    peer.says(call("wait", args=[]), call("echo", args=[["pipeline", 1]] * 100))
    assert peer.aborted is None
    api._futures[-1].set_result(large)
    peer.runtime.pump()
    assert peer.aborted is not None


def test_an_argument_is_a_copy_that_the_method_may_change() -> None:
    class Lists(RpcTarget):
        def __init__(self) -> None:
            self._kept = [1, [2]]

        def get(self) -> Any:
            return self._kept

        def clear(self, items: list[Any]) -> Any:
            items[1].clear()
            items.clear()

    lists = Lists()
    api = Loopback(lists).api
    promise = api.get()
    for _ in range(2):
        api.clear(promise).result()
        assert lists._kept == [1, [2]]
        assert promise.result() == [1, [2]]
    promise.result().clear()
    assert lists._kept == [1, [2]]
    stub = RpcStub([1, [2]])
    stub[1].result().append(3)
    assert stub.dup()[1].result() == [2]


def test_maps_are_paid_for_by_the_message_and_by_their_size() -> None:
    items = list(range(1_000))
    peer = RawPeer({"items": lambda: items}, limits=Limits(max_map_steps=10_000))
    peer.says(call("items", args=[]))
    peer.says(["push", ["remap", 1, [], [], [5]]], ["pull", 2])
    assert peer.heard[-1] == ["resolve", 2, [[5] * 1_000]]
    large = [[0] * 100]
    peer.says(["push", ["remap", 1, [], [], [large]]], ["pull", 3])
    assert peer.heard[-1][2][4]["code"] == "too_many"
    peer.says(["push", [[["remap", 1, [], [], [5]]] * 1_000]], ["pull", 4])
    assert sum(message[0] == "reject" for message in peer.heard) > 900


SECONDS = 0.5
"""Of processor time; a third of it on a machine without other work, and minutes without a bound."""


def bomb(*function: Any, items: list[Any]) -> list[Any]:
    """Pushes: a list, and what maps over it."""
    return [["push", [items]], ["push", ["remap", 1, [], [["import", 0]], list(function)]]]


@pytest.mark.parametrize(
    ("once", "times"),
    [
        (bomb(None, items=[0] * 130_000), 250),
        (bomb(None, items=[0] * 9_000), 250),
        (bomb(["pipeline", 0], items=[0] * 4_900), 250),
        (bomb(["pipeline", -1, ["echo"], [["pipeline", 0]]], items=[0] * 1_000), 150),
        (bomb(["remap", 0, [], [], [None]], items=[0] * 1_900), 200),
        (bomb(["bigint", "9" * 9_000], items=[0] * 500), 1),
        (bomb(["bytes", "A" * 9_000], items=[0] * 9_000), 1),
        (bomb([[["pipeline", 0]] * 20], items=[[[0] * 130_000]]), 30),
    ],
    ids=["issue", "null", "get", "call", "map", "bigint", "bytes", "large item"],
)
def test_ten_kilobytes_of_maps_take_no_time_to_speak_of(once: list[Any], times: int) -> None:
    peer = RawPeer(Api())
    value, attack = once
    peer.says(value)
    text = json.dumps(attack)
    started = time.process_time()
    for _ in range(times):
        peer.session.receive(text)
    peer.runtime.pump()
    assert time.process_time() - started < SECONDS
    assert peer.aborted is None
    assert peer.session.calls.under_way == 0


def test_maps_one_after_another_are_bounded_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("capnweb_sync.codec.map_work.time.monotonic", lambda: now)
    peer = RawPeer(limits=Limits(max_map_steps=500, max_map_steps_per_second=1_000))
    value, attack = bomb(None, items=[0] * 400)
    peer.says(value, attack, attack, attack)

    def answers(*indices: int) -> list[str]:
        peer.says(*[["pull", index] for index in indices])
        return [message[0] for message in peer.heard[-len(indices) :]]

    assert answers(2, 3, 4) == ["resolve", "resolve", "reject"]
    assert peer.heard[-1][2][4]["code"] == "too_many"
    now += 0.3
    peer.says(attack, attack)
    assert answers(5, 6) == ["resolve", "reject"]
    now += 3_600
    peer.says(attack, attack, attack)
    assert answers(7, 8, 9) == ["resolve", "resolve", "reject"]


def test_maps_that_wait_for_one_promise_share_what_a_second_allows() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(call("wait", args=[]))
    peer.says(*[["push", ["remap", 1, [], [], [None]]]] * 250)
    started = time.process_time()
    api._futures[0].set_result([0] * 9_000)
    peer.runtime.pump()
    assert time.process_time() - started < SECONDS
    peer.says(["pull", 2], ["pull", 251])
    assert [message[0] for message in peer.heard] == ["resolve", "reject"]


def test_the_applications_own_maps_are_as_long_as_it_likes() -> None:
    api = Loopback(Api()).api
    promise = api.echo([0] * 20_000)
    promise.result()
    assert promise.map(lambda item: [item, 1]).result() == [[0, 1]] * 20_000


def test_values_nested_one_in_another_by_many_calls_are_released() -> None:
    peer = RawPeer(Api())
    peer.says(call("echo", args=[["export", -1]]))
    for index in range(1, 600):
        peer.says(call("echo", args=[["import", index]]))
    assert peer.session.calls.under_way == 0
    peer.says(*[["release", index, 1] for index in range(1, 601)])
    if peer.aborted is None:
        assert peer.session.stats() == {"imports": 1, "exports": 1}


def test_sessions_that_were_ended_by_nonsense_leave_nothing_behind() -> None:
    def attack(message: Any) -> "weakref.ref[Any]":
        peer = RawPeer(Api())
        peer.says(call("echo", args=[["export", -1], ["promise", -2]]), call("wait", args=[]))
        peer.says(call("echo", args=[["pipeline", 1]]), ["pull", 1], ["pull", 2], ["pull", 3])
        peer.says(call("x", on=2), call("fail", args=[["import", 0]]), ["pull", 4], ["pull", 5])
        peer.says(message)
        assert peer.session.closed
        return weakref.ref(peer.session)

    gc.collect()
    gc.disable()
    try:
        for message in ("{", "[]", ["push"], ["pull", 77], ["release", 1, 2], ["abort", "why"]):
            assert attack(message)() is None, message
    finally:
        gc.enable()


def test_a_promise_that_is_a_promise_that_is_a_promise_can_be_sent() -> None:
    promise: Any = 7
    for _ in range(300):
        promise = RpcPromise(promise)
    assert Loopback(Api()).api.echo([promise]).result() == [7]


def test_a_stream_message_that_is_released_early_gives_its_bytes_back() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_memory=60_000))
    for index in range(1, 21):
        peer.says(["stream", ["pipeline", 0, ["wait"], []]], ["release", index, 1])
        assert peer.aborted is None
    peer.says(["stream", ["pipeline", 0, ["echo"], ["taken"]]])
    assert peer.heard[-1] == ["resolve", 21, "taken"]
    for future in api._futures:
        future.set_result(None)
    peer.runtime.pump()
    assert len(api._futures) == 20
    assert peer.session.stats() == {"imports": 1, "exports": 1}
