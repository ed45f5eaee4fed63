"""What people get wrong first: the error says what to do instead."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from capnweb_sync import (
    Limits,
    RemoteError,
    RpcError,
    RpcTarget,
    SessionClosed,
    TypedPromise,
    batch,
)
from capnweb_sync.client.batch import BatchError, BatchSession
from capnweb_sync.testing import pair
from tests.capnweb_sync.loopback import Loopback


class Api(RpcTarget):
    def add(self, a: int, b: int) -> int:
        return a + b

    def text(self, size: int) -> str:
        return "x" * size

    def call_back(self, callback: Callable[[int], Any]) -> None:
        callback(1)

    def child(self) -> Api:
        return Api()


def test_keyword_arguments_are_refused_by_name_before_anything_is_sent() -> None:
    both = Loopback(Api())

    with pytest.raises(TypeError, match=r"no keyword arguments \(a=, b=\)\. .*in a dict"):
        both.api.add(a=1, b=2)
    child = both.api.child()
    with pytest.raises(TypeError, match=r"no keyword arguments \(a=\)"):
        child(a=1)

    both.pump()
    assert both.client_transport.sent == ['["push",["pipeline",0,["child"],[]]]']


def test_a_typed_api_refuses_keyword_arguments_likewise() -> None:
    class AdderApi:
        def add(self, a: int, b: int) -> TypedPromise[int]:
            raise NotImplementedError

    both = pair(Api, api=AdderApi)

    with pytest.raises(TypeError, match=r"no keyword arguments \(a=, b=\)"), both:
        both.main.add(a=1, b=2)


@pytest.mark.parametrize("use", [len, iter, list, lambda stub: 1 in stub])
def test_a_stub_is_no_list(use: Callable[[Any], Any]) -> None:
    both = Loopback(Api())

    with pytest.raises(TypeError, match=r"^A stub .*call a method of it, and result\(\)"):
        use(both.api)

    assert both.api  # though a stub is there, or not
    assert both.api != 5


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    "use",
    [
        len,
        iter,
        bool,
        *(
            partial(operator.eq, value)
            for value in (3, (3,), {3}, Colour.RED, Point(3), timedelta(3), UUID(int=3))
        ),
    ],
)
def test_a_promise_is_not_its_value(use: Callable[[Any], Any]) -> None:
    promise = Loopback(Api()).api.add(1, 2)

    with pytest.raises(TypeError, match=r"Call result\(\) for its value"):
        use(promise)


def test_a_call_after_close_says_who_has_closed_the_session() -> None:
    both = Loopback(Api())
    api = both.api
    both.client.close(1000, "Enough.")

    sentence = r"^This side has closed the session \(Enough\)\. Calls need a new one\.$"
    with pytest.raises(SessionClosed, match=sentence):
        api.add(1, 2).result()
    with pytest.raises(SessionClosed, match=sentence):
        _ = both.client.main


class Answers(BatchSession[Any]):
    """A batch that is answered with these messages."""

    answer = b""

    def _post(self, lines: bytes) -> bytes:
        return self.answer


@pytest.fixture
def in_batch() -> Answers:
    return Answers("http://127.0.0.1:9/")


def test_a_batch_says_where_it_goes_and_whether_it_has_been_sent(in_batch: Answers) -> None:
    assert repr(in_batch) == "<BatchSession with http://127.0.0.1:9/, not sent>"
    in_batch.send()
    assert repr(in_batch) == "<BatchSession with http://127.0.0.1:9/, sent>"


def test_a_batch_says_at_once_that_it_carries_no_stream(in_batch: Answers) -> None:
    with pytest.raises(RpcError, match=r"^A batch .*can't carry a stream.*connect\(\)"):
        in_batch.main.call_back(iter([b"a"]))


def test_a_stub_out_of_a_batch_says_that_the_batch_is_over(in_batch: Answers) -> None:
    in_batch.answer = b'["resolve",1,["export",-1]]'
    child = in_batch.main.child().result()

    with pytest.raises(SessionClosed, match=r"batch is over.*need a connection: connect\(\)"):
        child.add(1, 2).result()


def test_an_answer_to_a_batch_that_is_too_large_names_the_limit_and_where_to_raise_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Large:
        length = 0

        def __enter__(self) -> Large:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read(self, size: int) -> bytes:
            return b"x" * size

    class Opener:
        def open(self, *_: object, **__: object) -> Large:
            return Large()

    monkeypatch.setattr("capnweb_sync.client.batch.opener", Opener)
    session = batch("http://127.0.0.1:9/", limits=Limits(max_message_size=1000))

    with pytest.raises(BatchError, match=r"1000 bytes.*Limits\(max_message_size=…\)"):
        session.send()


async def number() -> int:
    return 1


class Hasty(RpcTarget):
    def __init__(self) -> None:
        self.begun = number()

    def later(self) -> object:
        """As an `async def` does."""
        return self.begun

    def unsendable(self) -> object:
        return object()


def test_a_method_is_no_coroutine_and_the_log_names_it(caplog: pytest.LogCaptureFixture) -> None:
    hasty = Hasty()
    with pair(hasty) as both:
        assert isinstance(both.main.later().exception(), RemoteError)
    hasty.begun.close()  # or Python tells that nobody has awaited it

    assert "A served call failed, later for pair://this-process" in caplog.text
    assert "type coroutine can't be sent, and nothing here awaits it" in caplog.text
    assert "def, without async" in caplog.text


def test_a_method_whose_result_cannot_be_sent_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hasty = Hasty()
    with pair(hasty) as both:
        assert isinstance(both.main.unsendable().exception(), RemoteError)
    hasty.begun.close()

    assert "A served call failed, unsendable for pair://this-process" in caplog.text
