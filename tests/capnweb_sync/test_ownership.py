"""Who owns a stub, when it ends, and when a target learns of it (the reference's rules)."""

import gc
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from capnweb_sync import RpcError, RpcPromise, RpcStub, RpcTarget, SessionClosed

from .loopback import EMPTY, Loopback, RawPeer


class Disposable(RpcTarget):
    """Counts how often it learned of its disposal."""

    def __init__(self) -> None:
        self.disposals = 0

    def value(self) -> int:
        return 42

    def _on_dispose(self) -> None:
        self.disposals += 1


class Api(RpcTarget):
    """Gives and takes objects."""

    def __init__(self) -> None:
        self._made: list[Disposable] = []
        self._kept: list[Any] = []
        self._future: Future[Any] = Future()

    def make(self) -> Disposable:
        self._made.append(Disposable())
        return self._made[-1]

    def make_list(self) -> list[Disposable]:
        made = self.make()
        return [made, made, made]

    @property
    def prop(self) -> Disposable:
        return self.make()

    def use(self, target: RpcStub) -> Any:
        return target.value().result()

    def keep(self, target: Any) -> None:
        self._kept.append(target.dup())

    def keep_without_dup(self, target: Any) -> None:
        self._kept.append(target)

    def give_back(self, target: Any) -> Any:
        return target

    def later(self, target: Any) -> "Future[Any]":
        self._kept.append(target)
        return self._future

    def fail(self, *targets: Any) -> None:
        raise RpcError("no")


def test_a_returned_object_learns_when_its_stub_is_disposed_of() -> None:
    api = Api()
    pair = Loopback(api)
    with pair.api.make() as made:
        assert made.value().result() == 42
        pair.pump()
        assert api._made[0].disposals == 0
    pair.pump()
    assert api._made[0].disposals == 1
    del made
    assert pair.tables() == EMPTY


def test_an_object_in_several_places_of_a_result_learns_once_when_all_are_gone() -> None:
    api = Api()
    pair = Loopback(api)
    promise = pair.api.make_list()
    stubs = promise.result()
    for stub in stubs[:2]:
        stub.dispose()
    pair.pump()
    assert api._made[0].disposals == 0
    assert stubs[2].value().result() == 42
    promise.dispose()
    pair.pump()
    assert api._made[0].disposals == 1


def test_an_object_whose_result_nobody_asks_for_learns_all_the_same() -> None:
    api = Api()
    pair = Loopback(api)
    pair.api.make()
    pair.pump()
    assert api._made[0].disposals == 1
    assert pair.tables() == EMPTY


def test_a_result_that_is_disposed_of_before_it_is_there_is_released() -> None:
    api = Api()
    pair = Loopback(api)
    promise = pair.api.make()
    promise.done()
    promise.dispose()
    pair.pump()
    assert api._made[0].disposals == 1
    with pytest.raises(RpcError) as caught:
        promise.result()
    assert caught.value.code == "disposed"
    assert pair.tables() == EMPTY


def test_an_object_read_from_a_property_learns_when_it_is_disposed_of() -> None:
    api = Api()
    pair = Loopback(api)
    look = pair.api.prop
    assert look.result().value().result() == 42
    look.dispose()
    pair.pump()
    assert api._made[0].disposals == 1
    del look
    assert pair.tables() == EMPTY


def test_an_object_in_arguments_learns_when_the_call_is_done() -> None:
    pair = Loopback(Api())
    target = Disposable()
    assert pair.api.use(target).result() == 42
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_an_object_in_the_arguments_of_a_failing_call_learns_too() -> None:
    pair = Loopback(Api())
    target = Disposable()
    with pytest.raises(RpcError):
        pair.api.fail(target).result()
    pair.pump()
    assert target.disposals == 1


def test_an_object_passed_twice_learns_for_each_time() -> None:
    pair = Loopback(Api())
    target = Disposable()
    pair.api.fail(target, target).exception()
    pair.pump()
    assert target.disposals == 2


def test_a_stub_made_for_an_object_stays_the_callers_when_it_is_passed() -> None:
    pair = Loopback(Api())
    target = Disposable()
    stub = RpcStub(target)
    assert pair.api.use(stub).result() == 42
    assert pair.api.use(stub).result() == 42
    pair.pump()
    assert target.disposals == 0
    stub.dispose()
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_dup_keeps_an_argument_beyond_the_call() -> None:
    api = Api()
    pair = Loopback(api)
    target = Disposable()
    pair.api.keep(target).result()
    pair.pump()
    assert target.disposals == 0
    assert api._kept[0].value().result() == 42
    api._kept.pop().dispose()
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


class Shared(Disposable):
    """Has a duplicate of its own take part in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.duplicates: list[Disposable] = []

    def dup(self) -> Disposable:
        self.duplicates.append(Disposable())
        return self.duplicates[-1]


@pytest.mark.parametrize("local", [False, True], ids=["sent", "here"])
def test_an_object_that_makes_duplicates_stays_the_callers(local: bool) -> None:
    pair = Loopback(Api())
    api = RpcStub(Api()) if local else pair.api
    target = Shared()
    assert [api.use(target).result(), api.use(target).result()] == [42, 42]
    pair.pump()

    assert target.disposals == 0
    assert [made.disposals for made in target.duplicates] == [1, 1]
    assert pair.tables() == EMPTY


def test_a_result_is_not_duplicated() -> None:
    made = Shared()
    pair = Loopback(lambda: made)
    pair.api().result().dispose()
    pair.pump()

    assert (made.disposals, made.duplicates) == (1, [])


def test_a_duplicate_that_is_no_object_is_refused() -> None:
    class Business(RpcTarget):
        def dup(self) -> str:
            return "twice the money"

    pair = Loopback(Api())
    with pytest.raises(
        TypeError, match=r"Business\.dup\(\) is called .* has to return an RpcTarget"
    ):
        pair.api.use(Business())
    assert pair.tables() == EMPTY


def test_an_argument_that_was_not_duplicated_ends_with_the_call() -> None:
    api = Api()
    pair = Loopback(api)
    target = Disposable()
    pair.api.keep_without_dup(target).result()
    pair.pump()
    assert target.disposals == 1
    with pytest.raises(RpcError, match="disposed"):
        api._kept[0].value()


def test_the_error_for_an_ended_argument_names_the_call_and_says_what_keeps_one() -> None:
    kept: list[Any] = []

    class Keeper(RpcTarget):
        def subscribe(self, options: dict[str, Any]) -> None:
            kept.append(options["callback"])

    pair = Loopback({"room": Keeper(), "function": kept.append})
    pair.api.room.subscribe({"callback": print}).result()
    pair.api.function(print).result()
    # What comes back to where it is from, too: there it is no import.
    pair.api.function(pair.server.main).result()
    pair.pump()
    calls = ["subscribe()", "the function", "the function"]
    for stub, call in zip(kept, calls, strict=True):
        for use in (stub, stub.dup, stub.name.result, lambda stub=stub: stub.map(lambda x: x)):
            with pytest.raises(RpcError) as raised:
                use()
            assert f"in an argument of {call} and ended with that call" in str(raised.value)
            assert "dup()" in str(raised.value)


def test_the_error_for_a_disposed_stub_says_what_makes_another_one() -> None:
    pair = Loopback(Api())
    for stub in (pair.api.dup(), RpcStub(Api()), RpcStub({"a": 1})):
        stub.dispose()
        with pytest.raises(RpcError, match=r"disposed of\. .*dup\(\)"):
            stub.dup()


def test_disposing_of_an_ended_argument_is_harmless() -> None:
    api = Api()
    pair = Loopback(api)
    pair.api.keep_without_dup(Disposable()).result()
    pair.pump()
    api._kept[0].dispose()
    api._kept[0].on_broken(print)
    repr(api._kept[0])
    assert pair.tables() == EMPTY


def test_an_argument_lives_until_a_returned_future_is_done() -> None:
    api = Api()
    pair = Loopback(api)
    target = Disposable()
    answer = pair.api.later(target)
    pair.pump()
    assert target.disposals == 0
    value = api._kept[0].value()
    api._future.set_result(value)
    assert answer.result() == 42
    pair.pump()
    assert target.disposals == 1
    del value
    api._kept.clear()
    answer.dispose()
    assert pair.tables() == EMPTY


def test_an_argument_given_back_as_result_is_the_callers() -> None:
    pair = Loopback(Api())
    target = Disposable()
    promise = pair.api.give_back([target])
    (back,) = promise.result()
    pair.pump()
    assert target.disposals == 0
    assert back.value().result() == 42
    promise.dispose()
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_an_argument_given_back_and_never_asked_for_is_released() -> None:
    pair = Loopback(Api())
    target = Disposable()
    pair.api.give_back(target)
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_a_pipelined_call_on_what_was_given_back_arrives() -> None:
    pair = Loopback(Api())
    target = Disposable()
    assert pair.api.give_back(target).value().result() == 42
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_all_duplicates_count_together() -> None:
    api = Api()
    pair = Loopback(api)
    promise = pair.api.make()
    stub = promise.result()
    copies = [stub.dup(), stub.dup(), stub.dup().dup()]
    gc.collect()
    promise.dispose()
    for copy in copies:
        assert copy.value().result() == 42
        assert api._made[0].disposals == 0
        copy.dispose()
        copy.dispose()
    pair.pump()
    assert api._made[0].disposals == 1


def test_a_stub_that_is_dropped_is_released_like_one_that_is_disposed_of() -> None:
    api = Api()
    pair = Loopback(api)
    promise = pair.api.make()
    stub = promise.result()
    del promise
    assert stub.value().result() == 42
    pair.pump()
    assert api._made[0].disposals == 0
    del stub
    pair.pump()
    assert api._made[0].disposals == 1
    assert pair.tables() == EMPTY


def test_local_duplicates_count_together() -> None:
    pair = Loopback()
    target = Disposable()
    stub = RpcStub(target)
    copies = [stub, stub.dup(), stub.dup()]
    for copy in copies:
        pair.pump()
        assert target.disposals == 0
        copy.dispose()
        copy.dispose()
    pair.pump()
    assert target.disposals == 1


def test_disposing_of_a_wrapped_value_disposes_of_what_is_in_it() -> None:
    pair = Loopback()
    inner, bare = Disposable(), Disposable()
    stub = RpcStub({"stub": RpcStub(inner), "list": [bare], "value": 42})
    stub.dispose()
    pair.pump()
    assert (inner.disposals, bare.disposals) == (1, 1)


def test_disposing_of_a_value_that_contains_itself_ends() -> None:
    pair = Loopback()
    target = Disposable()
    value: list[Any] = [target]
    for _ in range(100_000):
        value = [value]
    value.append(value)
    RpcStub(value).dispose()
    pair.pump()
    assert target.disposals == 1


def test_stubs_held_by_a_target_stay_its_own() -> None:
    class Holder(RpcTarget):
        def __init__(self, inner: RpcStub) -> None:
            self._inner = inner
            self.disposed = False

        @property
        def inner(self) -> RpcStub:
            return self._inner

        def _on_dispose(self) -> None:
            self.disposed = True

    pair = Loopback()
    target = Disposable()
    holder = Holder(RpcStub(target))
    stub = RpcStub(holder)
    with stub.inner.dup() as inner:
        assert inner.value().result() == 42
    stub.dispose()
    pair.pump()
    assert holder.disposed
    assert target.disposals == 0


def test_an_encoding_that_fails_takes_its_exports_back() -> None:
    pair = Loopback(Api())
    target = Disposable()
    with pytest.raises(TypeError):
        pair.api.use([target, RpcPromise(target), lambda: None, object()])
    pair.pump()
    assert target.disposals >= 1
    assert pair.tables() == EMPTY
    assert pair.api.use(Disposable()).result() == 42


def test_a_result_that_cannot_be_sent_takes_its_exports_back() -> None:
    target = Disposable()
    pair = Loopback({"bad": lambda: [target, object()]})
    promise = pair.api.bad()
    with pytest.raises(RpcError):
        promise.result()
    del promise
    pair.pump()
    assert target.disposals == 1
    assert pair.tables() == EMPTY


def test_a_disposed_stub_says_so() -> None:
    pair = Loopback(Api())
    stub = pair.api.make().result()
    stub.dispose()
    for use in (stub.value, stub.dup, lambda: pair.api.use(stub), lambda: stub.value.result()):
        with pytest.raises(RpcError, match="disposed"):
            use()
    assert repr(stub) == "<RpcStub disposed>"


def test_a_promise_for_a_future_disposes_of_what_comes_after_it_was_disposed_of() -> None:
    pair = Loopback()
    future: Future[Any] = Future()
    target = Disposable()
    promise = RpcPromise(future)
    promise.dispose()
    future.set_result(target)
    pair.pump()
    assert target.disposals == 1


def test_a_call_made_before_a_local_promise_was_disposed_of_is_served_first() -> None:
    pair = Loopback()
    target = Disposable()
    promise = RpcPromise(target)
    answer = promise.value()
    promise.dispose()
    assert answer.result() == 42
    pair.pump()
    assert target.disposals == 1


def test_a_disconnect_disposes_of_everything_that_was_exported() -> None:
    api, main, kept = Api(), Disposable(), Disposable()
    pair = Loopback(api, main)
    made = pair.api.make().result()
    pair.api.keep(kept).result()
    pair.disconnect()
    pair.pump()
    assert [api._made[0].disposals, main.disposals, kept.disposals] == [1, 1, 1]
    with pytest.raises(SessionClosed):
        made.value().result()


def test_arguments_of_calls_that_still_wait_are_released_by_a_disconnect() -> None:
    api = Api()
    pair = Loopback(api)
    target = Disposable()
    waiting = pair.api.use(pair.api.later(target))
    pair.pump()
    pair.disconnect()
    with pytest.raises(SessionClosed):
        waiting.result()
    pair.pump()
    assert target.disposals == 1


def test_the_call_that_waits_for_a_promise_of_a_lost_peer_is_given_up() -> None:
    api = Api()
    peer = RawPeer(api)
    peer.says(["push", ["pipeline", 0, ["give_back"], [["promise", -1], ["import", 0]]]])
    assert peer.session.calls.under_way == 1
    peer.session.connection_lost(1006, "")
    peer.runtime.pump()
    assert peer.session.calls.under_way == 0


def test_the_disposer_runs_once_when_the_session_ends_twice() -> None:
    main = Disposable()
    pair = Loopback(main)
    pair.server.close()
    pair.server.close()
    pair.disconnect()
    pair.pump()
    assert main.disposals == 1


def test_a_disposer_that_fails_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(RpcTarget):
        def _on_dispose(self) -> None:
            raise ValueError("in the disposer")

    pair = Loopback({"make": Bad, "bad": lambda: Bad()})
    pair.api.bad()
    pair.pump()
    assert "in the disposer" in caplog.text
    assert pair.tables() == EMPTY


def test_after_any_conversation_both_tables_are_as_they_were() -> None:
    api = Api()
    pair = Loopback(api)

    def converse(callback: Callable[..., Any]) -> None:
        with pair.api.make() as made, pair.api.give_back({"f": callback}) as back:
            made.value().result()
            back.f(made).result()
            pair.api.use(made).result()
            pair.api.fail(made, callback, back.f).exception()
            pair.api.keep(made).result()
            api._kept.pop().dispose()

    for _ in range(50):
        converse(lambda stub: stub.value())
    assert pair.tables() == EMPTY
    assert pair.calls_under_way() == (0, 0)
    assert {made.disposals for made in api._made} == {1}
