"""The load generator: a crowd of members in one process, cheap enough not to be the limit.

All members hear the same, so what arrives for one is nearly always, byte for byte, what arrived for
the one before. What starts on a frame boundary is compared with the last such chunk of its length
(one memcmp); only new bytes are cut into frames and looked at. Nothing is estimated: every delivery
is counted, a missing one is waited for, and one too many is an error.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.frames import CLOSE, PING, PONG, masked, split, upgrade_request
from bench.protocols import TOKEN, PeerError, Speech, text_of

_BUFFER_BYTES = 256 * 1024  # one recv takes all that waits, up to this
_JOINS_UNDER_WAY = 32  # below the shortest listen backlog among the peers (100, asyncio)
_MEMBERS_PER_ADDRESS = 20_000  # a source address has some 28,000 ports (ip_local_port_range)
_STALLED_AFTER = 30.0  # seconds without any progress: the measurement has failed
_BIND_ADDRESS_NO_PORT = 24  # Linux: choose the port at connect, when the whole 4-tuple is known
_SENDER_STRIDE = 7919  # a prime: senders follow each other all over the crowd
_POLL_RESOLUTION = 0.002  # seconds; epoll counts in milliseconds, below that spin


@dataclass(slots=True)
class _Chunk:
    """Bytes as received, whole frames, and how many deliveries they are."""

    data: bytes
    deliveries: int


class _Member:
    """One connection."""

    __slots__ = ("heard", "joined", "name", "receive_into", "rest", "sent", "socket", "upgraded")

    def __init__(self, name: str, connection: socket.socket) -> None:
        self.name = name
        self.socket = connection
        self.receive_into: Callable[[bytearray], int] = connection.recv_into
        self.rest = b""
        self.upgraded = self.joined = False
        self.sent = 0
        self.heard = 0


class Crowd:
    """Members of one room on one server.

    Args:
        speech: the protocol of the server.
        port: where it listens on 127.0.0.1.
        name: what the names of its members begin with.
    """

    def __init__(self, speech: Speech, port: int, name: str = "member") -> None:
        self._name = name
        self._speech = speech
        self._port = port
        self._poll = select.epoll()
        self._members: list[_Member] = []
        self._by_descriptor: dict[int, _Member] = {}
        self._joined = 0
        self._buffer = bytearray(_BUFFER_BYTES)
        self._known: dict[int, _Chunk] = {}  # by length
        self._sent = 0
        self._heard_by_all = 0
        self._members_at = [0]  # by number of deliveries heard: how many members are there
        self._chunks = 0  # received so far

    def join(self, count: int) -> float:
        """Let `count` more members join; returns the seconds until the last one has its answer."""
        if self._sent != self._heard_by_all:
            raise PeerError("members join while messages are under way")
        started = time.perf_counter()
        goal = self._joined + count
        while self._joined < goal:
            while len(self._members) < goal and (
                len(self._members) - self._joined < _JOINS_UNDER_WAY
            ):
                self._connect()
            before = self._chunks
            self._turn(_STALLED_AFTER)
            if self._chunks == before:
                raise PeerError(f"nobody joined for {_STALLED_AFTER:.0f} s")
        elapsed = time.perf_counter() - started
        for member in self._members[-count:]:
            member.heard = self._sent
        self._members_at[self._sent] += count
        return elapsed

    def settle(self, quiet: float, limit: float = _STALLED_AFTER) -> None:
        """Answer whatever comes until nothing came for `quiet` seconds, or for `limit` at most."""
        deadline = time.perf_counter() + limit
        while time.perf_counter() < deadline:
            before = self._chunks
            self._turn(quiet)
            if self._chunks == before:
                return

    def closed_loop(self, seconds: float, under_way: int) -> int:
        """Keep `under_way` messages on their way for `seconds`, then wait for the last of them.

        A message is on its way until every member has heard it. Returns the number of deliveries.
        """
        start = self._sent
        deadline = time.perf_counter() + seconds
        for _ in range(under_way):
            self._send()
        while self._heard_by_all < self._sent:
            before = self._heard_by_all
            self._progress()
            if time.perf_counter() < deadline:
                for _ in range(self._heard_by_all - before):
                    self._send()
        return (self._sent - start) * len(self._members)

    @property
    def under_way(self) -> int:
        """Messages that not all members have heard."""
        return self._sent - self._heard_by_all

    @property
    def deliveries(self) -> int:
        """Deliveries of messages that all members have heard."""
        return self._heard_by_all * len(self._members)

    def begin(self, messages: int) -> None:
        """Send so many, and wait for nothing."""
        for _ in range(messages):
            self._send()

    def pump(self, *, more: bool) -> None:
        """Take what has arrived; with `more`, send one for each that was heard by all."""
        before = self._heard_by_all
        self._turn(0)
        if more:
            self.begin(self._heard_by_all - before)

    def open_loop(self, rate: float, seconds: float) -> list[float]:
        """Send `rate` messages a second for `seconds`, whatever comes back.

        Returns for each message the seconds from the instant when it was due to be sent until the
        last member has heard it. Due, not sent: whoever falls behind pays for it in full. Raises
        PeerError if the server does not keep up.
        """
        first = self._heard_by_all
        count = round(rate * seconds)
        started = time.perf_counter()
        latencies: list[float] = []
        sent = 0
        while len(latencies) < count:
            now = time.perf_counter()
            while sent < count and now >= started + sent / rate:
                self._send()
                sent += 1
            wait = started + sent / rate - now if sent < count else _STALLED_AFTER
            before = self._heard_by_all
            self._turn(wait if wait > 2 * _POLL_RESOLUTION else 0)
            now = time.perf_counter()
            latencies.extend(
                now - started - (number - first) / rate
                for number in range(before, self._heard_by_all)
            )
            if now - started > 2 * seconds + 1:
                raise PeerError(f"cannot keep up with {rate:.0f} messages a second")
        return latencies

    def close(self) -> None:
        """Drop all connections."""
        for member in self._members:
            member.socket.close()
        self._poll.close()

    def _connect(self) -> None:
        number = len(self._members)
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{1 + number // _MEMBERS_PER_ADDRESS}", 0))
        connection.connect(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        member = _Member(f"{self._name}{number}", connection)
        self._members.append(member)
        self._by_descriptor[connection.fileno()] = member
        self._poll.register(connection, select.EPOLLIN)
        connection.sendall(upgrade_request(self._speech.path, self._port))

    def _send(self) -> None:
        sender = self._members[self._sent * _SENDER_STRIDE % len(self._members)]
        frames = self._speech.message(sender.name, sender.sent, text_of(self._sent))
        sender.sent += 1
        self._sent += 1
        self._members_at.append(0)
        sender.socket.sendall(frames)

    def _progress(self) -> None:
        """Take turns until one more message was heard by all."""
        before = self._heard_by_all
        while self._heard_by_all == before:
            chunks = self._chunks
            self._turn(_STALLED_AFTER)
            if self._chunks == chunks:
                missing = self._members_at[before]
                raise PeerError(
                    f"{missing} members wait for a message since {_STALLED_AFTER:.0f} s"
                )

    def _turn(self, timeout: float) -> None:
        """Wait up to `timeout` seconds and read what is there, once from each connection."""
        members, buffer, known = self._by_descriptor, self._buffer, self._known
        members_at, acknowledges = self._members_at, self._speech.acknowledges
        for descriptor, _ in self._poll.poll(timeout, len(members) + 1):
            member = members[descriptor]
            length = member.receive_into(buffer)
            self._chunks += 1
            chunk = known.get(length)
            if chunk is not None and not member.rest and buffer.startswith(chunk.data):
                deliveries = chunk.deliveries
            else:
                deliveries = self._read(member, bytes(memoryview(buffer)[:length]))
            if deliveries:
                before = member.heard
                member.heard = after = before + deliveries
                members_at[before] -= 1
                try:
                    members_at[after] += 1
                except IndexError:
                    raise PeerError(f"{member.name} heard more than was sent") from None
                while self._heard_by_all < self._sent and not members_at[self._heard_by_all]:
                    self._heard_by_all += 1
                if acknowledges:
                    answer = self._speech.acknowledgement(before + 1, deliveries)
                    member.socket.sendall(answer)

    def _read(self, member: _Member, data: bytes) -> int:
        """Look at bytes not seen before, answer what wants an answer, and count deliveries."""
        if not data:
            raise PeerError(f"the server closed the connection of {member.name}")
        at_boundary = not member.rest
        data = member.rest + data
        if not member.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                member.rest = head
                return 0
            if not head.startswith(b"HTTP/1.1 101 "):
                raise PeerError(f"refused: {(head + end + data)[:500]!r}")
            member.upgraded = True
            at_boundary = False
            member.socket.sendall(self._speech.opening(member.name))
        frames, member.rest = split(data)
        deliveries = 0
        answers = b""
        for opcode, payload in frames:
            if opcode == PING:
                answers += masked(payload, PONG)
            elif opcode == CLOSE:
                raise PeerError(f"the server closed {member.name}: {payload!r}")
            elif TOKEN in payload:
                deliveries += 1
            else:
                answer, joined = self._speech.answer(payload, member.name)
                answers += answer
                if joined:
                    member.joined = True
                    self._joined += 1
                    at_boundary = False
        if answers:
            member.socket.sendall(answers)
        elif at_boundary and not member.rest:
            self._known[len(data)] = _Chunk(data, deliveries)
        return deliveries


def quiet_collector() -> None:
    """Keep the garbage collector out of the measured time; nothing here makes cycles."""
    gc.disable()
    gc.freeze()
