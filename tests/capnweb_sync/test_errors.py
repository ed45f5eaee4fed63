"""Errors: what the peer learns of one, and what stays in the log of this process."""

import logging
import traceback
from typing import Any

import pytest

from capnweb_sync import (
    RemoteError,
    RemoteRangeError,
    RemoteTypeError,
    RpcError,
    RpcRangeError,
    RpcStub,
    RpcTarget,
    RpcTypeError,
    SessionClosed,
)

from .loopback import EMPTY, Loopback, RawPeer


class NotJoined(RpcError):
    """An error of an application with a constructor of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has not joined.", code="not_joined", name_of=name)


def raising(error: BaseException, cause: BaseException | None = None) -> Loopback:
    """A connection whose main object is a function that raises `error`."""

    def fail(*args: Any) -> None:
        raise error from cause

    return Loopback(fail)


def failure(pair: Loopback) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        pair.api().result()
    return caught.value


def test_an_error_meant_for_the_peer_arrives_with_its_properties() -> None:
    error = failure(raising(RpcError("taken", code="username_taken", wait=5, names=["a"])))
    assert (error.name, error.message, str(error)) == ("Error", "taken", "taken")
    assert error.code == "username_taken"
    assert error.properties == {"code": "username_taken", "wait": 5, "names": ["a"]}


@pytest.mark.parametrize(
    ("raised", "arrives"),
    [
        (RpcTypeError("m"), RemoteTypeError),
        (RpcRangeError("m"), RemoteRangeError),
        (NotJoined("Bob"), RemoteError),
        (RemoteError("m", name="SyntaxError"), RemoteError),
    ],
)
def test_an_error_arrives_as_its_nearest_class(
    raised: RpcError, arrives: type[RemoteError]
) -> None:
    error = failure(raising(raised))
    assert type(error) is arrives
    assert error.message == raised.message
    assert isinstance(error, TypeError) == isinstance(raised, TypeError)
    assert isinstance(error, ValueError) == isinstance(raised, ValueError)


@pytest.mark.parametrize(
    "bug",
    [
        ValueError("password=hunter2"),
        KeyError("hunter2"),
        TypeError("hunter2"),
        AssertionError(),
        SystemExit("hunter2"),
        RecursionError("hunter2"),
    ],
    ids=lambda bug: type(bug).__name__,
)
def test_a_bug_stays_in_the_log_and_the_peer_gets_a_reference_to_it(
    bug: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    pair = raising(bug)
    error = failure(pair)
    assert error.code == "internal"
    assert "hunter2" not in repr(error.properties) + str(error)
    assert "hunter2" not in "".join(pair.server_transport.sent)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("capnweb_sync", logging.ERROR)
    assert error.properties["reference"] in record.getMessage()
    assert error.properties["reference"] in error.message
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


def test_a_bug_is_logged_once_however_many_calls_depend_on_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = raising(ValueError("bug"))
    promise = pair.api()
    references = {
        dependent.exception().properties["reference"]
        for dependent in (promise, promise.x, promise.y(), pair.api(promise), pair.api([promise]))
    }
    assert len(references) == 1
    assert len(caplog.records) == 1


def test_a_bug_in_a_call_that_nobody_waits_for_is_logged_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = raising(ValueError("unseen bug"))
    pair.api()
    pair.pump()
    assert "unseen bug" in caplog.text


def test_the_cause_of_an_error_is_redacted_like_the_error() -> None:
    pair = raising(RpcError("for you", code="x"), cause=OSError("/secret/path"))
    error = failure(pair)
    assert (error.message, error.code) == ("for you", "x")
    cause = error.properties["cause"]
    assert isinstance(cause, RemoteError)
    assert cause.code == "internal"
    assert "secret" not in "".join(pair.server_transport.sent)
    assert failure(raising(RpcError("a"), cause=RpcError("b"))).properties["cause"].message == "b"


def test_the_context_of_an_error_does_not_travel() -> None:
    def fail() -> None:
        try:
            raise OSError("/secret/path")
        except OSError:
            raise RpcError("for you")  # noqa: B904 that is the point

    pair = Loopback(fail)
    assert failure(pair).properties == {}
    assert "secret" not in "".join(pair.server_transport.sent)


def test_stack_traces_stay_here_unless_asked_for() -> None:
    def fail() -> None:
        raise RpcError("traced")

    assert failure(Loopback(fail)).stack is None
    stack = failure(Loopback(fail, send_stack_traces=True)).stack
    assert stack is not None
    assert "in fail" in stack


def test_a_result_that_cannot_be_sent_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    pair = Loopback({"bad": lambda: object(), "naive": lambda: [1, {2: 3}]})
    for name in ("bad", "naive"):
        with pytest.raises(RemoteError) as caught:
            pair.api[name]().result()
        assert caught.value.code == "internal"
    assert "can't be sent" in caplog.text


def test_a_property_that_cannot_be_sent_is_left_out_and_the_error_arrives() -> None:
    loop: list[Any] = []
    loop.append(loop)
    error = failure(
        raising(RpcError("m", code="c", bad=object(), loop=loop, half=[lambda: 0, object()]))
    )
    assert error.properties == {"code": "c"}


def test_capabilities_in_an_error_are_left_out_and_nothing_is_exported() -> None:
    class Disposable(RpcTarget):
        pass

    pair = raising(RpcError("m", stub=RpcStub(Disposable()), function=print, fine=1))
    assert failure(pair).properties == {"fine": 1}
    assert pair.tables() == EMPTY


def test_a_message_that_is_no_text_is_made_one() -> None:
    error: Any = OSError("disk")
    assert failure(raising(RpcError(error))).message == "disk"
    number: Any = 5
    assert failure(raising(RpcError(number))).message == "5"


def test_a_lone_surrogate_in_an_error_travels() -> None:
    assert failure(raising(RpcError("\ud83d", at="\ud83d"))).message == "\ud83d"


def test_an_error_that_a_value_stands_in_is_not_an_error_that_is_raised() -> None:
    pair = Loopback({"get": lambda: {"error": RpcError("as a value", code="v")}})
    value = pair.api.get().result()
    assert value["error"].code == "v"


def test_a_promise_in_the_properties_of_an_error_arrives_as_its_value() -> None:
    peer = RawPeer({"take": lambda error: error.properties["late"]})
    error = ["error", "Error", "m", None, {"late": ["promise", -1]}]
    peer.says(["push", ["pipeline", 0, ["take"], [error]]], ["pull", 1], ["resolve", -1, 7])
    assert peer.heard[-1] == ["resolve", 1, 7]


def test_javascript_may_throw_what_is_no_error() -> None:
    peer = RawPeer()
    promise = peer.session.main.f()
    promise.done()
    peer.says(["reject", 1, {"a": [[["import", 0], 1]]}])
    with pytest.raises(RpcError, match="no error"):
        promise.result()


def test_each_time_a_result_is_asked_for_the_error_is_raised_afresh() -> None:
    pair = raising(NotJoined("Bob"))
    promise = pair.api()
    lengths = []
    for _ in range(3):
        with pytest.raises(RemoteError) as caught:
            promise.result()
        assert caught.value.properties == {"code": "not_joined", "name_of": "Bob"}
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(lengths)) == 1


def test_an_error_of_a_local_call_arrives_as_it_was_raised() -> None:
    pair = Loopback()

    def fail(bug: bool) -> None:
        raise KeyError("local") if bug else NotJoined("Eve")

    with pytest.raises(KeyError):
        RpcStub(fail)(True).result()
    with pytest.raises(NotJoined) as caught:
        RpcStub(fail)(False).result()
    assert caught.value.code == "not_joined"
    assert "in fail" in "".join(traceback.format_exception(caught.value))
    pair.pump()


def test_the_use_of_disposed_stubs_leaves_no_traces_behind() -> None:
    pair = Loopback(lambda: 5)
    stub = RpcStub(print)
    stub.dispose()
    lengths = []
    for _ in range(3):
        with pytest.raises(RpcError) as caught:
            stub.dup()
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(lengths)) == 1
    pair.server.close()
    pair.client.connection_lost(1001, "bye")
    for _ in range(3):
        with pytest.raises(SessionClosed) as closed:
            _ = pair.client.main
        lengths.append(len(traceback.extract_tb(closed.value.__traceback__)))
    assert len(set(lengths[3:])) == 1
    assert (closed.value.close_code, closed.value.reason, closed.value.code) == (
        1001,
        "bye",
        "closed",
    )


def test_every_error_class_keeps_its_facts() -> None:
    error = SessionClosed("over", close_code=4001, reason="elsewhere")
    assert (error.code, error.close_code, error.reason) == ("closed", 4001, "elsewhere")
    assert RpcError("m", code="c", extra=1).properties == {"code": "c", "extra": 1}
    assert RpcError("m", code="c").code == "c"
    assert RpcError("m").code is None
    assert isinstance(RpcTypeError("m"), TypeError)
    assert isinstance(RpcRangeError("m"), ValueError)
