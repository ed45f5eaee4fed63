"""`on_send_error` decides what the peer learns of exceptions, as the reference's `onSendError`."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest

from capnweb_sync import RemoteError, RpcError, RpcTarget
from tests.capnweb_sync.loopback import Loopback


class Api(RpcTarget):
    def fail(self) -> None:
        raise ValueError("the secret") from KeyError("another")

    def refuse(self) -> None:
        raise RpcError("No.", code="no")

    def later(self) -> concurrent.futures.Future[None]:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        future.set_exception(ValueError("the secret"))
        return future

    def errors(self) -> list[Any]:
        return [ValueError("as a value")]

    def unsendable(self) -> Any:
        return object()


def learned(both: Loopback, method: str) -> RemoteError:
    error = both.api[method]().exception()
    assert isinstance(error, RemoteError)
    return error


@pytest.mark.parametrize("method", ["fail", "later"])
def test_what_it_returns_is_sent_with_its_class_and_message(method: str) -> None:
    seen: list[BaseException] = []

    def decide(error: BaseException) -> BaseException:
        seen.append(error)
        return LookupError(f"about {error}")

    error = learned(Loopback(Api(), on_send_error=decide), method)

    assert (error.name, error.message) == ("RangeError", "about the secret")
    assert [repr(one) for one in seen] == ["ValueError('the secret')"]


def test_returning_the_error_shows_it_and_nothing_of_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = learned(Loopback(Api(), on_send_error=lambda error: error), "fail")

    assert (error.name, error.message) == ("RangeError", "the secret")
    assert error.properties["cause"].code == "internal"


def test_an_rpc_error_travels_with_its_code() -> None:
    error = learned(
        Loopback(Api(), on_send_error=lambda _: RpcError("Try later.", code="later")), "refuse"
    )

    assert (error.message, error.code) == ("Try later.", "later")


def test_with_none_the_peer_learns_what_it_does_without_it() -> None:
    both = Loopback(Api(), on_send_error=lambda _: None)

    assert learned(both, "fail").code == "internal"
    assert learned(both, "refuse").code == "no"


def test_it_is_asked_of_errors_that_stand_in_values_and_of_what_cannot_be_sent() -> None:
    both = Loopback(Api(), on_send_error=lambda error: RpcError(type(error).__name__))

    (value,) = both.api.errors().result()

    assert value.message == "ValueError"
    assert learned(both, "unsendable").message == "TypeError"


def test_what_it_returns_is_an_exception_or_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def returns_text(error: BaseException) -> Any:
        return "text"

    both = Loopback(Api(), on_send_error=returns_text)

    assert learned(both, "fail").code == "internal"
    assert learned(both, "fail").code == "internal"  # the session has survived it

    assert "on_send_error has returned 'text', which is no exception" in caplog.text


def test_when_it_fails_the_log_says_so_and_the_peer_learns_nothing_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(error: BaseException) -> BaseException:
        raise ZeroDivisionError

    error = learned(Loopback(Api(), on_send_error=fail), "fail")

    assert error.code == "internal"
    assert "on_send_error failed" in caplog.text
