"""Promises of the client's own as arguments of a batch, which is sent once."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import pytest
from werkzeug.test import Client

from capnweb_sync import RemoteError, RpcError, RpcPromise, RpcStub, RpcTarget, serve
from capnweb_sync.client.batch import BatchError, BatchSession


class Server(RpcTarget):
    def greet(self, name: str) -> str:
        return f"Hello, {name}!"


class Local(RpcTarget):
    def name(self) -> str:
        time.sleep(0.01)  # the thread that sends the batch would be first
        return "Ada"

    def child(self) -> Local:
        time.sleep(0.01)
        return Local()

    def fails(self) -> str:
        raise RpcError("There is no name.", code="nameless")


class Batch(BatchSession[Any]):
    """A batch that is answered by a server of this process."""

    def __init__(self, timeout: float = 30.0) -> None:
        super().__init__("http://127.0.0.1:9/", timeout=timeout)
        self.posted: list[bytes] = []

    def _post(self, lines: bytes) -> bytes:
        self.posted.append(lines)
        answer: bytes = Client(serve(Server)).post("/", data=lines).data
        return answer


def test_what_is_called_here_for_a_batch_is_done_before_it_is_sent() -> None:
    local = RpcStub(Local())

    with Batch() as server:
        greeting = server.greet(local.child().child().name())

    assert greeting.result() == "Hello, Ada!"


def test_what_fails_here_fails_the_call_that_has_got_it() -> None:
    local = RpcStub(Local())

    with Batch() as server:
        greeting = server.greet(local.fails())

    with pytest.raises(RemoteError, match="no name"):
        greeting.result()


def test_a_future_that_is_never_done_is_said_to_be_what_keeps_a_batch_from_being_sent() -> None:
    batch = Batch(timeout=0.05)
    greeting = batch.main.greet(RpcPromise(Future[str]()))

    with pytest.raises(BatchError, match=r"promise.*not settled within 0\.05 s.*connect\(\)"):
        greeting.result()

    assert batch.posted == []
