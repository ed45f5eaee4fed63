"""Which stubs are live stubs of the peer's: what a call asks before it keeps a callback."""

from typing import Any

import pytest

from capnweb_sync import RemoteError, RpcPromise, RpcSession, RpcStub, RpcTarget
from capnweb_sync.values.javascript import undefined

from .loopback import Loopback, RawPeer


class Api(RpcTarget):
    """Says of each argument whether it is a stub of the caller's."""

    def __init__(self) -> None:
        self.session: RpcSession | None = None
        self.kept: list[Any] = []
        self.owned: list[bool] = []

    def _on_session(self, session: RpcSession) -> None:
        self.session = session

    def check(self, callback: Any) -> bool:
        assert self.session is not None
        self.owned.append(self.session.owns(callback))
        return self.owned[-1]

    def keep(self, callback: RpcStub) -> None:
        self.kept.append(callback.dup())

    def give(self) -> Any:
        return lambda: None


def test_functions_and_objects_of_the_caller_are_its_own() -> None:
    api = Loopback(Api()).api
    assert api.check(lambda: None).result() is True
    assert api.check(Api()).result() is True
    assert api.check(RpcStub(print)).result() is True


@pytest.mark.parametrize("value", [None, undefined, 5, "x", [], {}, {"onMessage": 1}, print])
def test_other_values_are_not(value: Any) -> None:
    assert Loopback().server.owns(value) is False


@pytest.mark.parametrize(
    "callback",
    [
        ["import", 0],
        ["import", 0, ["check"]],
        ["pipeline", 0, ["check"]],
        ["import", 1],
        ["import", 2],
        ["import", 3],
        ["pipeline", 3],
    ],
)
def test_references_to_what_this_side_has_are_not(callback: Any) -> None:
    """The main object and its methods, a result of the caller's own that wraps a stub, one that
    does not, and a function of this side."""
    api = Api()
    peer = RawPeer(api)
    peer.says(["push", ["export", -1]], ["push", 7], ["push", ["pipeline", 0, ["give"], []]])
    peer.says(["push", ["pipeline", 0, ["check"], [callback]]], ["pull", 4])
    assert api.owned == [False]


def test_a_promise_is_not_and_neither_is_a_stub_of_one() -> None:
    pair = Loopback(None, Api())
    promise = pair.server.main.give()
    with promise.dup() as twin:
        assert pair.server.owns(twin) is False
    assert pair.server.owns(promise) is False
    assert pair.server.owns(promise.x) is False
    assert pair.server.owns(RpcPromise(1)) is False
    assert pair.server.owns(promise.result()) is True


def test_a_stub_of_another_session_is_not() -> None:
    api = Api()
    pair, other = Loopback(api), Loopback()
    pair.api.keep(print).result()
    assert pair.server.owns(api.kept[0]) is True
    assert pair.client.owns(api.kept[0]) is False
    assert other.server.owns(api.kept[0]) is False
    assert other.server.owns(RpcStub(print)) is False


def test_a_stub_is_not_once_it_or_the_session_has_ended() -> None:
    api = Api()
    pair = Loopback(api)
    for _ in range(2):
        pair.api.keep(print).result()
    first, second = api.kept
    first.dispose()
    assert (pair.server.owns(first), pair.server.owns(second)) == (False, True)
    pair.disconnect()
    assert pair.server.owns(second) is False


def test_a_peer_cannot_give_a_main_object_another_session() -> None:
    api = Api()
    pair = Loopback(api)
    with pytest.raises(RemoteError, match="not a function"):
        pair.api["_on_session"](1).result()
    assert api.session is pair.server
