"""For tests that run greenlets in this process: waiting while the loop runs on, and connections
without a socket.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import gevent

from capnweb_sync import RpcSession, RpcStub
from chatserver.futures import wait
from tests.processes import DEADLINE, POLL_INTERVAL

T = TypeVar("T")


def eventually(condition: Callable[[], object], message: str = "") -> None:
    """Let the loop run until `condition` is true; AssertionError after DEADLINE seconds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {DEADLINE} seconds still not true: {message or condition}")
        gevent.sleep(POLL_INTERVAL)


def outcome(future: "Future[T]") -> T:
    """The result of `future`, or what it raises; the loop runs until it is there."""
    with gevent.Timeout(DEADLINE, AssertionError(f"no answer within {DEADLINE} seconds")):
        return wait(future)


class FakeConnection:
    """A connection, and the transport of its session, whose peer reads as the test wants it.

    Attributes:
        heard: the events that its callbacks were called with.
        most: the most bytes that ever waited to be sent.
        stuck: whether the peer has stopped reading.
    """

    def __init__(self) -> None:
        self.closed = False
        self.closed_on_purpose = False
        self.close_code = 0
        self.buffered = 0
        self.most = 0
        self.stuck = False
        self.heard: list[dict[str, Any]] = []
        self._callbacks: list[RpcStub] = []
        self._session = RpcSession(self, self._keep)

    def callback(self) -> RpcStub:
        """A stub for a function of the peer's."""
        self._session.receive('["push", ["pipeline", 0, [], [["export", -1]]]]')
        while not self._callbacks:
            gevent.sleep(0)
        return self._callbacks.pop()

    def _keep(self, callback: Any) -> None:
        self._callbacks.append(callback.dup())

    # As a transport.

    can_concatenate = False

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message

    def send(self, packed: bytes) -> None:
        message = json.loads(packed)
        if message[0] == "push":
            self.heard.append(message[1][3][0])
            self.buffered += len(packed)
            self.most = max(self.most, self.buffered)

    # As a connection.

    def close(self, code: int, reason: str) -> None:
        self.closed = True
        self.close_code = code

    def wait_drained(self, below: int, timeout: float) -> bool:
        gevent.sleep(0.001)
        if not self.stuck:
            self.buffered = 0
        return self.buffered < below
