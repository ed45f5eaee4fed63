"""One call to many: encoded once, no result asked for, its releases gathered."""

import gc
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import Limits, RpcPromise, RpcStub, RpcTarget, broadcast, broadcast_all
from capnweb_sync.core.hooks import Hook
from capnweb_sync.core.ledger import ENTRY_COST

from .loopback import EMPTY, LineTransport, Loopback, LoopbackTransport, RawPeer

TRANSPORTS = pytest.mark.parametrize("transport", [LoopbackTransport, LineTransport])


class Callback(RpcTarget):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def onMessage(self, event: Any) -> None:
        self.events.append(event)


class Room(RpcTarget):
    def __init__(self) -> None:
        self.members: list[Any] = []

    def join(self, callback: RpcStub | dict[str, Any]) -> None:
        member = callback if isinstance(callback, RpcStub) else callback["onMessage"]
        self.members.append(member.dup())

    def leave(self) -> None:
        for member in self.members:
            member.dispose()
        self.members.clear()


class Crowd:
    """A room with members on connections of their own."""

    def __init__(self, size: int, transport: type[LoopbackTransport] = LoopbackTransport) -> None:
        self.room = Room()
        self.callbacks = [Callback() for _ in range(size)]
        self.pairs: list[Loopback] = []
        for callback in self.callbacks:
            beside = self.pairs[0] if self.pairs else None
            self.pairs.append(Loopback(self.room, beside=beside, transport=transport))
            self.pairs[-1].api.join(callback).result()

    def pump(self) -> None:
        self.pairs[0].pump()

    def tables(self) -> list[Any]:
        return [pair.tables() for pair in self.pairs]


def test_every_recipient_gets_the_call() -> None:
    crowd = Crowd(3)
    assert broadcast(crowd.room.members, "onMessage", {"id": 1, "text": "hi"}) == 3
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [[{"id": 1, "text": "hi"}]] * 3


@TRANSPORTS
def test_recipients_with_the_same_target_and_path_share_one_bytes_object(
    transport: type[LoopbackTransport],
) -> None:
    crowd = Crowd(3, transport)
    crowd.pump()
    broadcast(crowd.room.members, "onMessage", "same")
    pieces = [pair.server_transport.pieces[-1] for pair in crowd.pairs]
    assert pieces[0] is pieces[1] is pieces[2]


@TRANSPORTS
def test_several_calls_are_one_piece_where_the_transport_can_join_messages(
    transport: type[LoopbackTransport],
) -> None:
    crowd = Crowd(3, transport)
    crowd.pump()
    before = crowd.tables()
    sent = [len(pair.server_transport.pieces) for pair in crowd.pairs]
    assert broadcast_all(crowd.room.members, "onMessage", [(1,), (2,), (3,)]) == 9
    for pair, count in zip(crowd.pairs, sent, strict=True):
        assert len(pair.server_transport.pieces) - count == (1 if transport.can_concatenate else 3)
    assert broadcast_all(crowd.room.members, "onMessage", []) == 0
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [[1, 2, 3]] * 3
    assert crowd.tables() == before


@TRANSPORTS
def test_events_arrive_in_order_among_other_calls(transport: type[LoopbackTransport]) -> None:
    crowd = Crowd(2, transport)
    for index in range(200):
        broadcast(crowd.room.members, "onMessage", index)
        if index % 3 == 0:
            for member in crowd.room.members:
                member.onMessage(f"called {index}")
    crowd.pump()
    expected: list[Any] = []
    for index in range(200):
        expected += [index, f"called {index}"] if index % 3 == 0 else [index]
    assert [callback.events for callback in crowd.callbacks] == [expected] * 2


@TRANSPORTS
def test_results_are_released_so_that_both_tables_end_as_they_were(
    transport: type[LoopbackTransport],
) -> None:
    crowd = Crowd(2, transport)
    before = crowd.tables()
    for index in range(1_000):
        broadcast(crowd.room.members, "onMessage", index)
        if index % 7 == 0:
            crowd.room.members[0].onMessage("between")
    assert crowd.tables() == before
    crowd.room.leave()
    assert crowd.tables() == [EMPTY, EMPTY]
    kinds = {message[0] for message in crowd.pairs[0].server_transport.messages}
    assert "pull" not in kinds


def test_an_event_without_a_sequel_is_released_soon() -> None:
    crowd = Crowd(1)
    before = crowd.tables()
    broadcast(crowd.room.members, "onMessage", 1)
    assert crowd.tables() == before


def test_the_path_may_be_empty_for_a_function() -> None:
    pair = Loopback(Room())
    events: list[Any] = []
    room = Room()
    pair = Loopback(room)
    pair.api.join({"onMessage": events.append}).result()
    assert broadcast(room.members, None, "one") == 1
    assert broadcast(room.members, "", "two") == 1
    pair.pump()
    assert events == ["one", "two"]


def test_the_path_of_a_property_promise_comes_first() -> None:
    crowd = Crowd(2)
    stubs = [member.onMessage for member in crowd.room.members]
    assert broadcast(stubs, None, "x") == 2
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [["x"], ["x"]]


def test_recipients_whose_session_is_over_or_who_were_disposed_of_are_left_out() -> None:
    crowd = Crowd(4)
    crowd.pairs[0].disconnect()
    crowd.pairs[1].client.close()
    crowd.pairs[1].server.connection_lost(3000, "")
    crowd.room.members[2].dispose()
    assert broadcast(crowd.room.members, "onMessage", 1) == 1
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [[], [], [], [1]]


def test_a_main_object_and_local_objects_can_be_recipients() -> None:
    local, behind, remote = Callback(), Callback(), Callback()
    pair = Loopback(remote)
    stubs = [pair.api, RpcStub(local), RpcPromise(behind), RpcStub({"onMessage": local.onMessage})]
    assert broadcast(stubs, "onMessage", 5) == 4
    pair.pump()
    assert (local.events, behind.events, remote.events) == ([5, 5], [5], [5])
    assert pair.tables() == EMPTY


def test_a_promise_that_was_resolved_is_reached_at_its_value() -> None:
    class Api(RpcTarget):
        def make(self) -> Any:
            return callback

    callback = Callback()
    pair = Loopback(Api())
    early = pair.api.make()
    broadcast([early], "onMessage", 1)
    early.result()
    broadcast([early], "onMessage", 2)
    pair.pump()
    assert callback.events == [1, 2]


def test_capabilities_cannot_be_broadcast() -> None:
    crowd = Crowd(1)
    for value in (lambda: None, Callback(), crowd.room.members[0], [RpcPromise(1)]):
        with pytest.raises(TypeError):
            broadcast(crowd.room.members, "onMessage", value)
    crowd.pump()
    assert crowd.callbacks[0].events == []


def test_recipients_may_come_from_a_generator_which_runs_outside_of_a_step() -> None:
    crowd = Crowd(2)
    in_step: list[bool] = []

    def recipients() -> Iterator[RpcStub]:
        for member in crowd.room.members:
            in_step.append(crowd.pairs[0].runtime.step.is_mine())
            yield member

    assert broadcast(recipients(), "onMessage", 1) == 2
    assert in_step == [False, False]


def test_what_a_recipient_raises_is_its_own_affair(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    pair = Loopback(room)

    def fail(event: Any) -> None:
        raise ValueError("in the callback")

    pair.api.join({"onMessage": fail}).result()
    before = pair.tables()
    broadcast(room.members, None, 1)
    assert pair.tables() == before
    assert "in the callback" in caplog.text


class BreakingHook(Hook):
    """Has a bug, or meets one."""

    def call(self, path: Any, args: Any, calls: Any) -> Hook:
        raise ZeroDivisionError("in the hook")


class Handler(RpcTarget):
    """Keeps what peers pass as callbacks, whatever it is."""

    def __init__(self) -> None:
        self.members: list[Any] = []
        self.never: Future[Any] = Future()

    def join(self, callback: Any) -> None:
        self.members.append(callback.dup())

    def wait(self) -> "Future[Any]":
        return self.never


def test_a_recipient_that_fails_in_any_way_keeps_the_call_from_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crowd = Crowd(2)
    first, last = crowd.room.members
    no_stub: Any = {"onMessage": print}
    recipients = [first, RpcStub._of(BreakingHook()), no_stub, last]
    assert broadcast_all(recipients, "onMessage", [(1,), (2,)]) == 4
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [[1, 2], [1, 2]]
    assert caplog.text.count("A recipient of a broadcast failed") == 2


def test_a_result_that_wraps_a_stub_of_a_full_table_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Calls of it go through the import table one by one; the peer has filled that."""
    crowd = Crowd(1)
    handler = Handler()
    peer = RawPeer(
        handler, limits=Limits(max_memory=13 * ENTRY_COST + 9 * 1024 + 300), beside=crowd.pairs[0]
    )
    peer.says(["push", ["export", -1]], ["push", ["pipeline", 0, ["join"], [["import", 1]]]])
    peer.says(["push", [[["export", -index] for index in range(2, 10)]]])
    assert peer.session.stats()["imports"] == 10
    members = [*handler.members, *crowd.room.members]
    assert broadcast(members, "onMessage", "x") == 1
    crowd.pump()
    assert crowd.callbacks[0].events == ["x"]
    assert peer.aborted is None
    assert caplog.text == ""


def test_what_waits_behind_a_promise_that_never_settles_is_bounded() -> None:
    crowd = Crowd(1)
    handler = Handler()
    peer = RawPeer(handler, limits=Limits(max_calls=10), beside=crowd.pairs[0])
    peer.says(["push", ["pipeline", 0, ["wait"], []]])
    peer.says(["push", ["pipeline", 0, ["join"], [["import", 1]]]])
    for index in range(100):
        broadcast([*handler.members, *crowd.room.members], "onMessage", ["kept", index])
    crowd.pump()
    assert len(crowd.callbacks[0].events) == 100
    gc.collect()
    kept = sum(type(known) is list and known[:1] == ["kept"] for known in gc.get_objects())
    assert kept <= 100 + 10  # what has arrived, and what waits
    handler.never.set_result(None)
    peer.runtime.pump()
    assert peer.session.calls.under_way == 0


def test_a_transport_that_fails_ends_its_session_and_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(3)
    broken = crowd.pairs[1].server

    def fail(packed: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(broken, "_send_packed", fail)
    for index in range(2):
        assert broadcast(crowd.room.members, "onMessage", index) == 2
    crowd.pump()
    assert [callback.events for callback in crowd.callbacks] == [[0, 1], [], [0, 1]]
    assert broken.closed
    assert caplog.text.count("A transport failed") == 1
