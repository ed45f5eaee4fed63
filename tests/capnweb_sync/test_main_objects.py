"""What may be a main object, or be passed by reference, and what is refused at once: a server of
something that nobody can call would start, and then fail each call."""

import types
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from werkzeug.test import Client

from capnweb_sync import (
    URL,
    BigInt,
    Blob,
    Observer,
    ReadableStream,
    Refused,
    RpcPromise,
    RpcSession,
    RpcStub,
    RpcTarget,
    connect,
    serve,
    undefined,
)
from tests.processes import free_port

from .loopback import LoopbackTransport


class Api(RpcTarget):
    def hello(self) -> str:
        return "hello"


class Forgotten:
    """A class whose base was forgotten."""

    def hello(self) -> str:
        return "hello"


class CallableOnly:
    def __call__(self) -> str:
        return "hello"


class Demanding(RpcTarget):
    def __init__(self, store: object) -> None:
        self._store = store


def session_of(main: Any) -> RpcSession:
    return RpcSession(LoopbackTransport(), main)


def connect_with(main: Any) -> None:
    connect(f"ws://127.0.0.1:{free_port()}/", main)


PLACES = [serve, session_of, connect_with, RpcStub, RpcPromise]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "value",
    [Forgotten, Forgotten(), CallableOnly(), object(), {1, 2}, types, int],
    ids=["class", "object", "callable", "bare", "set", "module", "type"],
)
def test_what_no_peer_could_use_is_refused_at_once(place: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(TypeError, match=r"can't be sent.*derive its class from RpcTarget"):
        place(value)


@pytest.mark.parametrize("place", [place for place in PLACES if place is not serve])
def test_a_class_is_taken_for_its_objects_only_where_each_session_gets_one(
    place: Callable[[Any], Any],
) -> None:
    with pytest.raises(TypeError, match="The class Api can't be sent, but an object of it can"):
        place(Api)


def test_a_class_whose_objects_need_arguments_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"a new Demanding, made without arguments.*'store'"):
        serve(Demanding)
    serve(Demanding(store=[]))


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda: serve(for_request=Api()), "for_request= takes a function"),  # type: ignore[arg-type]
        (lambda: serve(Api, max_connections=0), "max_connections= is a number from 1 on"),
        (lambda: serve(Api, observer=Observer), "observer= takes Observers"),  # type: ignore[arg-type]
        (lambda: Refused(200, "Fine."), "status from 300 to 599, not 200"),
        (lambda: Refused("401", "No."), "status from 300 to 599, not '401'"),  # type: ignore[arg-type]
        (lambda: connect("ws://[::1]:1", reconnect=True), "reconnect= takes the function"),  # type: ignore[call-overload]
    ],
    ids=["for_request", "max_connections", "observer", "status", "status as text", "reconnect"],
)
def test_what_no_connection_could_use_is_refused_at_once(
    mistake: Callable[[], Any], sentence: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        mistake()


def test_a_forgotten_return_of_for_request_is_told() -> None:
    def forgets(request: object) -> None:
        Api()

    with pytest.raises(TypeError, match=r"has returned None \(.*forgets.*raises Refused"):
        Client(serve(for_request=forgets)).post("/", data=b"")


@pytest.mark.parametrize("place", [serve, session_of, RpcStub, RpcPromise])
@pytest.mark.parametrize(
    "value",
    [
        Api(),
        RpcStub(Api()),
        lambda: 5,
        Api().hello,
        print,
        {"answer": lambda: 42},
        [1],
        (1,),
        "text",
        1.5,
        True,
        BigInt(5),
        b"bytes",
        undefined,
        datetime.now(timezone.utc),
        ValueError("an error as a value"),
        URL("https://example.com/"),
        Blob(b"abc"),
        ReadableStream(iter([1])),
        iter([1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_that_can_be_sent_may_be_served(place: Callable[[Any], Any], value: Any) -> None:
    place(value)
