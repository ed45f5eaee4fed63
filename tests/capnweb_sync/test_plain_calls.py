"""Calls that are entry, call and result at once: the peer sees what it sees of all others."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import Limits, RpcError, RpcStub, RpcTarget
from capnweb_sync.core.served_calls import too_much
from capnweb_sync.session.plain_call import PlainCall
from tests.capnweb_sync.loopback import RawPeer


class Part(RpcTarget):
    """Something that a call may return."""

    def __init__(self) -> None:
        self.disposed = 0

    def size(self) -> int:
        return 3

    def _on_dispose(self) -> None:
        self.disposed += 1


class Disguised(RpcTarget):
    """Finds its attributes in its own way."""

    def one(self) -> str:
        return "the method"

    def __getattribute__(self, name: str) -> Any:
        if name == "one":
            return RpcStub(lambda value: f"a stub was called with {value}")
        return super().__getattribute__(name)


class Api(RpcTarget):
    """What the peer calls."""

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        self.parts: list[Part] = []
        self.calls: list[Any] = []
        self.made = 0

    def echo(self, value: Any) -> Any:
        self.calls.append(value)
        return value

    def part(self) -> Part:
        self.parts.append(Part())
        return self.parts[-1]

    def several(self) -> Any:
        return {"part": self.part(), "list": [1, [2]], "infinite": float("inf")}

    def big(self) -> int:
        return 2**60

    def later(self) -> Any:
        return self.future

    def fail(self, message: str) -> None:
        raise RpcError(message)

    def odd(self) -> Any:
        return object()


def call(method: str, *args: Any, on: int = 0) -> list[Any]:
    return ["push", ["pipeline", on, [method], list(args)]]


def plain(peer: RawPeer, export_id: int) -> bool:
    return type(peer.session.exports.entries[export_id]) is PlainCall


def test_a_plain_call_makes_nothing_but_its_entry() -> None:
    peer = RawPeer(Api())
    peer.says(call("echo", 5), ["pull", 1])
    assert peer.heard == [["resolve", 1, 5]]
    entry = peer.session.exports.entries[1]
    assert isinstance(entry, PlainCall)
    assert entry._hook is None
    peer.says(["release", 1, 1])
    assert peer.session.stats() == {"imports": 1, "exports": 1}
    assert peer.session.calls.under_way == 0


@pytest.mark.parametrize("here", [True, False])
def test_a_call_of_an_object_that_a_call_has_returned_is_plain_once_that_is_here(
    here: bool,
) -> None:
    api = Api()
    peer = RawPeer(api)
    peer.session.receive_all([json.dumps(call("part"))])
    if here:
        peer.runtime.pump()
    peer.session.receive_all([json.dumps(call("size", on=1)), '["pull",2]'])
    assert plain(peer, 2) is here
    peer.runtime.pump()
    assert peer.heard == [["resolve", 2, 3]]
    peer.says(["release", 1, 1], call("size", on=1), ["release", 2, 1])
    assert api.parts[0].disposed == 1


@pytest.mark.parametrize("value", [5, "text", None, True, 2.5])
@pytest.mark.parametrize("pulled", ["before", "after", "twice"])
def test_an_answer_is_sent_once_whenever_it_is_pulled(value: Any, pulled: str) -> None:
    peer = RawPeer(Api())
    peer.session.receive_all([f'["push",["pipeline",0,["echo"],[{text(value)}]]]'])
    if pulled == "after":
        peer.runtime.pump()
    peer.says(["pull", 1])
    if pulled == "twice":
        peer.says(["pull", 1])
    assert peer.heard == [["resolve", 1, value]]
    assert peer.session.drain(0)


def text(value: Any) -> str:
    return json.dumps(value)


def test_values_that_need_encoding_go_out_as_from_any_call() -> None:
    peer = RawPeer(Api())
    peer.says(call("several"), ["pull", 1], call("big"), ["pull", 2])
    assert peer.heard == [
        ["resolve", 1, {"part": ["export", -1], "list": [[1, [[2]]]], "infinite": ["inf"]}],
        ["resolve", 2, ["bigint", str(2**60)]],
    ]


def test_what_cannot_be_sent_is_rejected() -> None:
    peer = RawPeer(Api())
    peer.says(call("odd"), ["pull", 1])
    assert [message[:2] for message in peer.heard] == [["reject", 1]]
    assert not peer.session.closed


def test_a_failure_is_rejected_and_leaves_nothing_behind() -> None:
    peer = RawPeer(Api())
    gc.collect()
    gc.disable()
    try:
        peer.says(call("fail", "no"), ["pull", 1])
        assert peer.heard[0][:2] == ["reject", 1]
        assert peer.heard[0][2][2] == "no"
        peer.says(call("echo", 1), ["release", 1, 1])
        peer.heard.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_failure_that_was_used_leaves_nothing_behind_either() -> None:
    peer = RawPeer(Api())
    gc.collect()
    gc.disable()
    try:
        together(peer, call("fail", "no"), call("x", on=1), ["pull", 2])
        assert peer.heard[0][:2] == ["reject", 2]
        peer.says(["release", 2, 1], call("echo", 1), ["release", 1, 1])
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("done", [True, False])
def test_a_call_on_the_result_works_before_and_after_it_is_there(done: bool) -> None:
    api = Api()
    peer = RawPeer(api)
    if done:
        peer.says(call("part"))
    messages = [call("part")] if not done else []
    peer.says(*messages, call("size", on=1), ["pull", 2])
    assert peer.heard == [["resolve", 2, 3]]
    peer.says(["release", 2, 1], ["release", 1, 1])
    assert api.parts[0].disposed == 1


def test_the_answer_keeps_its_place_before_what_was_asked_for_later() -> None:
    api = Api()
    peer = RawPeer(api)
    together(
        peer,
        call("later"),
        ["pull", 1],
        ["push", ["pipeline", 1, []]],
        ["pull", 2],
        call("echo", 1),
        ["pull", 3],
    )
    assert peer.heard == [["resolve", 3, 1]]
    api.future.set_result("done")
    peer.runtime.pump()
    assert peer.heard[1:] == [["resolve", 1, "done"], ["resolve", 2, "done"]]


def together(peer: RawPeer, *messages: Any) -> None:
    peer.session.receive_all([text(message) for message in messages])
    peer.runtime.pump()


@pytest.mark.parametrize("end", ["release", "close", "lose"])
def test_a_result_that_comes_after_the_end_of_its_entry_is_disposed_of(end: str) -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(call("later"), ["pull", 1])
    ends: dict[str, Callable[[], None]] = {
        "release": lambda: peer.says(["release", 1, 1]),
        "close": peer.session.close,
        "lose": lambda: peer.session.connection_lost(1006, ""),
    }
    ends[end]()
    part = Part()
    api.future.set_result([part, 1])
    peer.runtime.pump()
    assert part.disposed == 1
    assert peer.heard == []
    assert peer.session.calls.under_way == 0


def test_a_result_that_was_never_used_is_disposed_of_with_its_entry() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(call("part"))
    assert plain(peer, 1)
    peer.says(["release", 1, 1])
    assert api.parts[0].disposed == 1


def test_an_attribute_of_the_object_stays_out_of_reach() -> None:
    class Made(Api):
        def made(self) -> int:  # type: ignore[override]  # hidden by the attribute
            return 1

    peer = RawPeer(Made())
    peer.says(call("made"), ["pull", 1])
    assert peer.heard[0][:2] == ["reject", 1]
    assert "attribute of the object" in peer.heard[0][2][2]


def test_an_object_that_finds_its_attributes_in_its_own_way_is_asked() -> None:
    peer = RawPeer(Disguised())
    peer.says(call("one", 7), ["pull", 1])
    peer.runtime.pump()
    assert peer.heard == [["resolve", 1, "a stub was called with 7"]]
    assert peer.session.calls.under_way == 0


def test_a_call_past_the_bound_is_refused_and_asks_only_once() -> None:
    api = Api()
    peer = RawPeer(api, limits=Limits(max_calls=1))
    asked: list[int] = []
    peer.session.calls.before_call = lambda: asked.append(1)
    together(peer, call("later"), call("echo", 2), ["pull", 2])
    assert peer.heard[0][:2] == ["reject", 2]
    assert asked == [1]
    assert api.calls == []
    api.future.set_result(None)
    peer.runtime.pump()
    peer.says(call("echo", 3), ["pull", 3])
    assert peer.heard[-1] == ["resolve", 3, 3]


def test_too_many_results_end_the_session() -> None:
    peer = RawPeer(Api(), limits=Limits(max_memory=20 * 1024))
    peer.says(*[call("echo", index) for index in range(30)])
    assert peer.aborted == too_much(20 * 1024)


def test_a_large_result_counts_until_it_is_released() -> None:
    class Large(RpcTarget):
        def text(self) -> str:
            return "x" * 100_000

    peer = RawPeer(Large())
    before = peer.session.ledger.held
    peer.says(call("text"))
    peer.runtime.pump()
    assert peer.session.ledger.held > before + 100_000
    peer.says(["release", 1, 1])
    assert peer.session.ledger.held == before


def test_plain_calls_and_others_start_in_one_order() -> None:
    api = Api()
    peer = RawPeer(api)
    together(peer, call("echo", 1), call("echo", [[2]]), call("echo", 3), call("echo", {"n": 4}))
    assert api.calls == [1, [2], 3, {"n": 4}]


def test_messages_that_came_together_are_taken_up_to_the_one_that_ends_the_session() -> None:
    api = Api()
    peer = RawPeer(api)
    together(peer, call("echo", 1), ["pull", 1], ["nonsense"], call("echo", 2))
    assert peer.aborted == 'bad RPC message: ["nonsense"]'
    assert api.calls == [1]


def test_each_of_the_messages_that_came_together_may_have_the_whole_size() -> None:
    peer = RawPeer(Api(), limits=Limits(max_message_size=80))
    together(peer, call("echo", "x" * 20), call("echo", "y" * 20), ["pull", 2])
    assert peer.heard == [["resolve", 2, "y" * 20]]
    together(peer, call("echo", "x" * 80))
    assert peer.aborted == "Incoming message exceeds maximum size of 80 bytes."
