"""Sessions that talk to each other in memory, step by step, without sockets or threads.

Nothing happens by itself: `LoopbackRuntime.pump()` delivers what was sent and runs what was
started, until nothing is left to do. Waiting for a promise pumps, so tests read like blocking code.
Application code that runs inside a step fails the test.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from capnweb_sync import Limits, RpcSession
from capnweb_sync.core.served_calls import OnSendError
from capnweb_sync.deferred import Deferred
from capnweb_sync.observe.seen import Observers
from capnweb_sync.runtimes.interface import set_default_runtime
from capnweb_sync.runtimes.steps import Step


class LoopbackQueue:
    """The jobs of one session, in order."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], None]] = deque()

    def start(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)


class LoopbackRuntime:
    """A runtime without threads: jobs run when they are pumped, waiting pumps.

    Jobs of one queue run in order, those of the youngest queue first: nothing may rely on an order
    between queues.
    """

    def __init__(self) -> None:
        self.step = Step()
        self.queues: list[LoopbackQueue] = []
        self.tidying: list[Callable[[], None]] = []
        self.wires: list[tuple[LoopbackTransport, RpcSession]] = []
        self._beside = self.call_queue()

    def call_queue(self) -> LoopbackQueue:
        queue = LoopbackQueue()
        self.queues.append(queue)
        return queue

    def spawn(self, function: Callable[[], None]) -> None:
        self._beside.start(function)

    def enter(self, function: Callable[[], None]) -> None:
        function()

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        for _ in pieces:
            pass
        return Deferred.of(None)

    def tidy_later(self, function: Callable[[], None]) -> None:
        self.tidying.append(function)

    def collect(self, function: Callable[[], None]) -> None:
        if self.step.is_mine():
            self._beside.start(function)
        else:
            function()

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Pump until `deferred` is settled; False, as if time had run out, if that never comes."""
        assert not self.step.is_mine(), "waited inside a step"
        while not deferred.settled:
            if not self.pump_one():
                return False
        return True

    def pump_one(self) -> bool:
        """Do one thing; False if nothing is left to do."""
        for source, sink in self.wires:
            if source.outgoing:
                message = source.outgoing.popleft()
                try:
                    sink.receive(message)
                except BaseException:  # only what a test has raised in there
                    sink.connection_lost(1006, "Reading failed.")
                    raise
                return True
        for queue in reversed(self.queues):
            if queue.jobs:
                assert not self.step.is_mine(), "application code would run inside a step"
                queue.jobs.popleft()()
                return True
        return False

    def pump(self) -> None:
        """Do everything that there is to do, the tidying included."""
        while self.pump_one() or self.tidying:
            functions, self.tidying = self.tidying, []
            for function in functions:
                function()


class LoopbackTransport:
    """Keeps what was sent until it is delivered, each piece a message."""

    can_concatenate = False

    def __init__(self) -> None:
        self.outgoing: deque[bytes] = deque()
        self.pieces: list[bytes] = []
        self.sent: list[str] = []
        self.closed: tuple[int, str] | None = None

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message

    @staticmethod
    def unpack(piece: bytes) -> list[bytes]:
        return [piece]

    def send(self, packed: bytes) -> None:
        if self.closed is None:
            messages = self.unpack(packed)
            self.pieces.append(packed)
            self.outgoing += messages
            self.sent += [message.decode() for message in messages]

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    @property
    def messages(self) -> list[Any]:
        """What was sent so far, as JSON values."""
        return [json.loads(text) for text in self.sent]


class LineTransport(LoopbackTransport):
    """Like a stream of bytes: each message is a line, and a piece is any number of lines."""

    can_concatenate = True

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message + b"\n"

    @staticmethod
    def unpack(piece: bytes) -> list[bytes]:
        return piece.splitlines()


class Loopback:
    """A client session and a server session, connected.

    It makes its runtime the default one, so that stubs which belong to no session use it, too
    (`conftest.py` puts the old one back). Several share the runtime of the first: `beside`.
    """

    def __init__(
        self,
        server_main: Any = None,
        client_main: Any = None,
        *,
        limits: Limits | None = None,
        beside: Loopback | None = None,
        send_stack_traces: bool = False,
        observer: Observers = None,
        client_observer: Observers = None,
        on_send_error: OnSendError | None = None,
        transport: type[LoopbackTransport] = LoopbackTransport,
    ) -> None:
        self.runtime: LoopbackRuntime = beside.runtime if beside is not None else LoopbackRuntime()
        set_default_runtime(self.runtime)
        self.client_transport, self.server_transport = transport(), transport()
        self.client = RpcSession(
            self.client_transport, client_main, runtime=self.runtime, observer=client_observer
        )
        self.server = RpcSession(
            self.server_transport,
            server_main,
            runtime=self.runtime,
            limits=limits or Limits(),
            send_stack_traces=send_stack_traces,
            observer=observer,
            on_send_error=on_send_error,
        )
        self.runtime.wires += [
            (self.client_transport, self.server),
            (self.server_transport, self.client),
        ]

    @property
    def api(self) -> Any:
        """The client's stub for the server's main object."""
        return self.client.main

    def pump(self) -> None:
        """Do everything that there is to do."""
        self.runtime.pump()

    def tables(self) -> tuple[dict[str, int], dict[str, int]]:
        """The statistics of both sides, once everything has been done."""
        self.pump()
        return self.client.stats(), self.server.stats()

    def calls_under_way(self) -> tuple[int, int]:
        """How many served calls both sides count, once everything has been done."""
        self.pump()
        return self.client.calls.under_way, self.server.calls.under_way

    def disconnect(self, code: int = 1006, reason: str = "") -> None:
        """The connection breaks: nothing more arrives, both sides are told."""
        for transport in (self.client_transport, self.server_transport):
            transport.outgoing.clear()
            transport.closed = transport.closed or (code, reason)
        self.client.connection_lost(code, reason)
        self.server.connection_lost(code, reason)


EMPTY = ({"imports": 1, "exports": 1}, {"imports": 1, "exports": 1})
"""What `tables()` gives when nothing but the main objects is left."""


class RawPeer:
    """A session of ours, and a peer that writes its messages by hand."""

    def __init__(
        self, main: Any = None, *, limits: Limits | None = None, beside: Loopback | None = None
    ) -> None:
        self.runtime: LoopbackRuntime = beside.runtime if beside is not None else LoopbackRuntime()
        set_default_runtime(self.runtime)
        self.transport = LoopbackTransport()
        self.session = RpcSession(
            self.transport, main, runtime=self.runtime, limits=limits or Limits()
        )

    def says(self, *messages: Any) -> None:
        """Let each message arrive, text as it stands, anything else as JSON; then do what there
        is to do."""
        for message in messages:
            text = message if isinstance(message, (str, bytes)) else json.dumps(message)
            self.session.receive(text)
        self.runtime.pump()

    @property
    def heard(self) -> list[Any]:
        """What the session has sent, as JSON values."""
        return self.transport.messages

    @property
    def aborted(self) -> str | None:
        """The sentence of the abort message that the session sent; None if it sent none."""
        aborts = [message for message in self.heard if message[0] == "abort"]
        return aborts[0][1][2] if aborts else None
