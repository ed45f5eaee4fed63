"""A client that speaks the wire by hand, over the package `websockets`: what the server is asked
and what it answers is seen as it travels, and the connection can end in every way there is.
"""

import json
import socket
import struct
import threading
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.processes import DEADLINE, wait_until

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

#: How a client passes an object by reference, and a plain object with a function, as its export -1.
OBJECT = ["export", -1]
FUNCTION = {"onMessage": ["export", -1]}


class Rejected(Exception):
    """The server has rejected a call. `name` is the class of the error in JavaScript."""

    def __init__(self, expression: list[Any]) -> None:
        _, self.name, message, *rest = expression
        super().__init__(message)
        properties = next((part for part in rest if isinstance(part, dict)), {})
        self.properties = properties
        self.code = properties.get("code")


class WireClient:
    """One connection. A thread reads; everything that arrived is kept.

    Attributes:
        events: what `onMessage` got, decoded, in order, whichever callback it was for.
        released: the ids of our exports that the server has released.
        resume: the secrets by name.
        pushes: how many calls went out.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._stack = ExitStack()
        self._socket: ClientConnection = self._stack.enter_context(
            connect(url, max_size=None, **options)
        )
        self.pushes = 0
        self._exports = 0
        self._answers: dict[int, Any] = {}
        self._news = threading.Condition()
        self.events: list[dict[str, Any]] = []
        self.paths: list[list[str]] = []
        self.released: list[int] = []
        self.resume: dict[str, str] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for text in self._socket:
                with self._news:
                    self._take(json.loads(text))
                    self._news.notify_all()
        except ConnectionClosed:
            pass  # `closed` tells how.
        with self._news:
            self._news.notify_all()

    def _take(self, message: list[Any]) -> None:
        kind = message[0]
        if kind in ("resolve", "reject"):
            self._answers[message[1]] = message
        elif kind == "push":
            _, _, path, arguments = message[1]
            self.paths.append(path)
            self.events.append(decoded(arguments[0]))
        elif kind == "release":
            self.released.append(message[1])

    def push(self, method: str, *arguments: Any) -> int:
        """Send a call and ask for its answer; its number, for `answer`."""
        self._socket.send(json.dumps(["push", ["pipeline", 0, [method], list(arguments)]]))
        return self.ask()

    def get(self, name: str) -> Any:
        """The value of a property."""
        self._socket.send(json.dumps(["push", ["pipeline", 0, [name]]]))
        return self.answer(self.ask())

    def ask(self) -> int:
        """Ask for the answer to what was pushed last; its number, for `answer`."""
        self.pushes += 1
        self._socket.send(json.dumps(["pull", self.pushes]))
        return self.pushes

    def count_push(self) -> None:
        """Another push went out by `send`; nobody asks for its answer."""
        self.pushes += 1

    def raw_answer(self, number: int) -> Any:
        """The message that answers a call; None if the connection ended before."""
        with self._news:
            arrived = self._news.wait_for(
                lambda: number in self._answers or not self._reader.is_alive(), DEADLINE
            )
            assert arrived, f"no answer to call {number}"
            return self._answers.pop(number, None)

    def answer(self, number: int) -> Any:
        """The answer to a call. Raises Rejected."""
        message = self.raw_answer(number)
        assert message is not None, f"the connection ended before call {number} was answered"
        if message[0] == "reject":
            raise Rejected(message[2])
        return decoded(message[2])

    def call(self, method: str, *arguments: Any) -> Any:
        """Call and wait for the answer. Raises Rejected."""
        return self.answer(self.push(method, *arguments))

    def callback(self) -> list[Any]:
        """Another object of ours, to be passed by reference."""
        self._exports -= 1
        return ["export", self._exports]

    def join(self, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Join and remember the secret."""
        joined: dict[str, Any] = self.call("join", name, self.callback(), options)
        self.resume[name] = joined["resume"]
        return joined

    def say(self, name: str, text: str) -> int:
        """Send a message; the id of its event."""
        sent: int = self.call("sendMessage", name, text)["id"]
        return sent

    @property
    def texts(self) -> list[str]:
        """The texts of all events so far."""
        return [event["text"] for event in self.events]

    def wait_for(self, text: str) -> None:
        """Wait until an event with this text has come."""
        wait_until(lambda: text in self.texts, message=f"{text!r} in {self.texts}")

    def send(self, text: str) -> None:
        """Send a frame as it is."""
        self._socket.send(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close politely; idempotent."""
        self._socket.close(code, reason)
        self._stack.close()

    def close_without_code(self) -> None:
        """Send a close frame that has no code, which the peer sees as 1005."""
        with self._socket.send_context():
            self._socket.protocol.send_close()

    def lose(self) -> None:
        """End TCP without a close frame."""
        self._socket.socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset TCP."""
        self._socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.socket.shutdown(socket.SHUT_RD)
        self._socket.socket.close()

    def closed(self) -> int | None:
        """Wait for the end; the close code that the server sent."""
        self._reader.join(DEADLINE)
        assert not self._reader.is_alive(), "the connection is still open"
        received = self._socket.protocol.close_rcvd
        return None if received is None else received.code

    @property
    def open(self) -> bool:
        """Whether the connection is still there."""
        return self._reader.is_alive()


def decoded(expression: Any) -> Any:
    """The value of an expression, as far as the chat uses them."""
    if isinstance(expression, dict):
        return {name: decoded(value) for name, value in expression.items()}
    if not isinstance(expression, list):
        return expression
    if isinstance(expression[0], list):
        return [decoded(value) for value in expression[0]]
    if expression[0] == "date":
        return EPOCH + timedelta(milliseconds=expression[1])
    if expression[0] == "undefined":
        return None
    raise AssertionError(f"an unexpected expression: {expression}")
