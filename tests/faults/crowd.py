"""Many members in one thread, cheap enough that the server is what is slow.

They speak the wire by hand and look at no more of an event than its id, which for all of them has
to be above that of the event before.
"""

import json
import re
import selectors
import socket
import time
from collections.abc import Callable
from types import TracebackType

from tests.processes import DEADLINE
from tests.proxy.frames import TEXT

REQUEST = (
    b"GET /rpc/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

ID = re.compile(rb'"id":(\d+)')
"""In an event, which begins with it."""

PING, PONG = 0x9, 0xA
"""Opcodes (RFC 6455, section 5.2)."""

RECEIVE_BYTES = 256 * 1024
JOINS_UNDER_WAY = 50
"""Connections that are made at a time, below any listen backlog."""


class CrowdMember:
    """One connection with one name.

    Attributes:
        heard: the id of the last event.
        answered: how many of its messages are.
    """

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.name = name
        self.socket = socket.create_connection(address, DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(REQUEST)
        self.joined = False
        self.heard = 0
        self.answered = 0
        self.said = 0
        self._calls = 0
        self._upgraded = False
        self._rest = b""

    def say(self, text: str) -> None:
        """Send a message and ask for its answer."""
        self.said += 1
        self._call("sendMessage", self.name, text)

    def _call(self, method: str, *arguments: object) -> None:
        self._calls += 1
        self._send(["push", ["pipeline", 0, [method], list(arguments)]])
        self._send(["pull", self._calls])

    def _send(self, message: object) -> None:
        self.socket.sendall(masked(TEXT, json.dumps(message).encode()))

    def receive(self) -> None:
        """Take what has arrived."""
        data = self.socket.recv(RECEIVE_BYTES)
        assert data, f"the server has ended the connection of {self.name}"
        data = self._rest + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            assert end, "the answer to the handshake comes in one piece"
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            self._call("join", self.name, ["export", -1])
        start = 0
        while len(data) >= start + 4:
            length, body = data[start + 1], start + 2
            if length >= 126:
                body += 2 if length == 126 else 8
                length = int.from_bytes(data[start + 2 : body], "big")
            if body + length > len(data):
                break
            self._take(data[start] & 0x0F, data[body : body + length])
            start = body + length
        self._rest = data[start:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.socket.sendall(masked(PONG, payload))
        elif payload.startswith(b'["push"'):
            match = ID.search(payload)
            assert match is not None, payload
            heard, self.heard = self.heard, int(match[1])
            assert heard < self.heard, f"{self.name} heard {self.heard} after {heard}"
        elif payload.startswith(b'["resolve"'):
            if self.joined:
                self.answered += 1
            self.joined = True
            # Otherwise the server keeps the answer.
            self._send(["release", json.loads(payload)[1], 1])
        elif not payload.startswith(b'["release"'):
            raise AssertionError(f"{self.name} received {payload!r}")


class Crowd:
    """Members of one server, driven by the thread that calls."""

    def __init__(self, address: tuple[str, int], size: int, name: str = "crowd") -> None:
        """Let `size` members join, named `name` and a number."""
        self.members: list[CrowdMember] = []
        self._selector = selectors.DefaultSelector()
        while len(self.members) < size:
            batch = [
                CrowdMember(f"{name} {number}", address)
                for number in range(
                    len(self.members), min(size, len(self.members) + JOINS_UNDER_WAY)
                )
            ]
            self.members += batch
            for member in batch:
                self._selector.register(member.socket, selectors.EVENT_READ, member)
            self.run_until(lambda batch=batch: all(member.joined for member in batch))  # type: ignore[misc]

    def run_until(self, condition: Callable[[], bool], timeout: float = DEADLINE) -> None:
        """Receive until `condition` is true. Raises AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"the crowd waits for {timeout} s"
            for key, _ in self._selector.select(0.05):
                key.data.receive()

    def chat(self, enough: Callable[[], bool], text: str, speakers: int | None = None) -> None:
        """Let the first `speakers` members, or all, talk at full rate: each says `text` again when
        it is answered, until it is `enough`. Then wait for the answers."""
        talking = self.members[:speakers]

        def go_on() -> bool:
            if enough():
                return True
            for member in talking:
                if member.answered == member.said:
                    member.say(text)
            return False

        self.run_until(go_on)
        self.run_until(lambda: all(member.answered == member.said for member in talking))

    @property
    def said(self) -> int:
        """How many messages all have sent."""
        return sum(member.said for member in self.members)

    def wait_for(self, event_id: int) -> None:
        """Wait until everybody has heard this event."""
        self.run_until(lambda: all(member.heard >= event_id for member in self.members))

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for member in self.members:
            member.socket.close()
        self._selector.close()


def masked(opcode: int, payload: bytes) -> bytes:
    """One frame as clients send it (RFC 6455, section 5.2), under a mask of zeros."""
    length = len(payload)
    if length < 126:
        header = bytes([0x80 | opcode, 0x80 | length])
    else:
        header = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big")
    return header + bytes(4) + payload
