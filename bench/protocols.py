"""What a member says and hears, for each of the protocols that the peers speak.

A chat message is known by `TOKEN` in its text, whatever the protocol wraps around it. Everything
here is bytes in, bytes out.
"""

from __future__ import annotations

import itertools
import json
from typing import Protocol

from bench.frames import masked

TOKEN = b"benchmark"
TEXT_LENGTH = 100  # characters, which are bytes here: the messages of the comparison


class PeerError(Exception):
    """The server said or did something that a measurement cannot go on from."""


def text_of(number: int) -> str:
    """The text of message `number`: TEXT_LENGTH characters, no two alike."""
    return f"{TOKEN.decode()} {number} ".ljust(TEXT_LENGTH, "x")


class Speech(Protocol):
    """One protocol, from the member's side."""

    path: str
    """Where the WebSocket is opened."""
    acknowledges: bool
    """Whether each delivery has to be answered, with `acknowledgement`."""

    def opening(self, name: str) -> bytes:
        """Frames to send as soon as the WebSocket is open."""
        ...

    def answer(self, payload: bytes, name: str) -> tuple[bytes, bool]:
        """What follows a payload that is no delivery: frames to send; whether `name` has joined."""
        ...

    def message(self, name: str, earlier: int, text: str) -> bytes:
        """Frames that send `text`; this member has sent `earlier` messages before."""
        ...

    def acknowledgement(self, first: int, count: int) -> bytes:
        """Frames that answer a connection's deliveries number `first` (from 1) and following."""
        ...


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class PlainSpeech:
    """JSON in text frames: {"type": "join"} and {"type": "chat"}."""

    path = "/"
    acknowledges = False

    def opening(self, name: str) -> bytes:
        return masked(_compact({"type": "join", "user": name}))

    def answer(self, payload: bytes, name: str) -> tuple[bytes, bool]:
        return b"", json.loads(payload)["type"] == "welcome"

    def message(self, name: str, earlier: int, text: str) -> bytes:
        return masked(_compact({"type": "chat", "text": text}))

    def acknowledgement(self, first: int, count: int) -> bytes:
        raise NotImplementedError


class SocketIoSpeech:
    """Socket.IO 5 in engine.io 4, opened as a WebSocket at once (no polling first).

    Args:
        room: the one that members are in; "" for that of everybody.
    """

    def __init__(self, room: str = "") -> None:
        self._room = room

    path = "/socket.io/?EIO=4&transport=websocket"
    acknowledges = False

    def opening(self, name: str) -> bytes:
        return b""  # the server opens the conversation

    def answer(self, payload: bytes, name: str) -> tuple[bytes, bool]:
        if payload == b"2":  # engine.io ping
            return masked(b"3"), False
        if payload.startswith(b"0"):  # engine.io open
            return masked(b"40"), False
        if payload.startswith(b"40"):  # Socket.IO connected
            return masked(b"42" + _compact(["join", name, *filter(None, [self._room])])), False
        if payload.startswith(b'42["welcome"'):
            return b"", True
        raise PeerError(f"unexpected: {payload[:200]!r}")

    def message(self, name: str, earlier: int, text: str) -> bytes:
        return masked(b"42" + _compact(["chat", text]))

    def acknowledgement(self, first: int, count: int) -> bytes:
        raise NotImplementedError


class CapnWebSpeech:
    """Cap'n Web as the npm package's client speaks it: results are pulled, then released.

    Args:
        path: where the server expects the WebSocket.
        acknowledges: whether the server pulls the result of each `onMessage`.
    """

    def __init__(self, path: str, acknowledges: bool) -> None:
        self.path = path
        self.acknowledges = acknowledges
        self._acknowledgements: list[bytes] = [b""]  # by delivery number; equal on all connections

    def opening(self, name: str) -> bytes:
        return self._call(1, "join", [name, ["export", -1]])

    def answer(self, payload: bytes, name: str) -> tuple[bytes, bool]:
        kind, *rest = json.loads(payload)
        if kind == "resolve":
            return masked(_compact(["release", rest[0], 1])), rest[0] == 1
        if kind in ("push", "pull", "release"):  # a join event; what belongs to a delivery
            return b"", False
        raise PeerError(f"unexpected: {payload[:500]!r}")

    def message(self, name: str, earlier: int, text: str) -> bytes:
        return self._call(earlier + 2, "sendMessage", [name, text])  # 1 was the join

    def acknowledgement(self, first: int, count: int) -> bytes:
        known = self._acknowledgements
        for number in range(len(known), first + count):
            known.append(masked(_compact(["resolve", number, ["undefined"]])))
        return b"".join(itertools.islice(known, first, first + count))

    def _call(self, number: int, method: str, arguments: list[object]) -> bytes:
        push = ["push", ["pipeline", 0, [method], arguments]]
        return masked(_compact(push)) + masked(_compact(["pull", number]))


class CapnWebRoomsSpeech:
    """Cap'n Web for who logs in, enters rooms and speaks in the first of them.

    Args:
        rooms: their names.
    """

    path = "/rpc/ws"
    acknowledges = False

    def __init__(self, rooms: list[str]) -> None:
        self._rooms = rooms

    def opening(self, name: str) -> bytes:
        """Log in, and enter each room; asked for are what the last one gives."""
        frames: list[object] = [
            ["push", ["pipeline", 0, ["login"], [["export", -1], {"name": name}]]]
        ]
        frames += [["push", ["pipeline", 1, ["enter"], [room]]] for room in self._rooms]
        frames.append(["pull", self._last])
        return b"".join(masked(_compact(frame)) for frame in frames)

    def answer(self, payload: bytes, name: str) -> tuple[bytes, bool]:
        """Whether the last room was entered; the answers to messages are released."""
        kind, *rest = json.loads(payload)
        if kind == "resolve":
            joined = rest[0] == self._last
            return b"" if joined else masked(_compact(["release", rest[0], 1])), joined
        if kind in ("push", "pull", "release"):
            return b"", False
        raise PeerError(f"unexpected: {payload[:500]!r}")

    def message(self, name: str, earlier: int, text: str) -> bytes:
        """Say something in the first room."""
        push = ["push", ["pipeline", 2, ["say"], [text]]]
        return masked(_compact(push)) + masked(_compact(["pull", self._last + 1 + earlier]))

    def acknowledgement(self, first: int, count: int) -> bytes:
        raise NotImplementedError

    @property
    def _last(self) -> int:
        return 1 + len(self._rooms)
