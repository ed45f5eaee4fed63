"""Two sessions that talk to each other in memory, step by step, without sockets or threads.

Nothing happens by itself: `Loopback.pump()` delivers what was sent and runs what was started,
until nothing is left to do. Waiting for a promise pumps, so tests read like blocking code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from capnweb_sync import Limits, RpcSession
from capnweb_sync.deferred import Deferred


class LoopbackRuntime:
    """A runtime without threads: jobs run when they are pumped, waiting pumps."""

    def __init__(self, pump: Callable[[], bool]) -> None:
        self._pump = pump
        self.jobs: deque[Callable[[], None]] = deque()
        self.tidying: list[Callable[[], None]] = []
        self.depth = 0

    @property
    @contextmanager
    def step(self) -> Iterator[None]:
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def call_queue(self) -> LoopbackRuntime:
        return self

    def start(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def run_one(self) -> bool:
        if not self.jobs:
            return False
        assert self.depth == 0, "application code ran inside a step"
        self.jobs.popleft()()
        return True

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        assert self.depth == 0, "waited inside a step"
        while not deferred.settled:
            if not self._pump():
                return False
        return True

    def enter(self, function: Callable[[], None]) -> None:
        function()

    def tidy_later(self, function: Callable[[], None]) -> None:
        self.tidying.append(function)

    def collect(self, function: Callable[[], None]) -> None:
        self.jobs.append(function)


class LoopbackTransport:
    """Keeps what was sent until it is delivered."""

    def __init__(self) -> None:
        self.outgoing: deque[bytes] = deque()
        self.sent: list[str] = []
        self.closed: tuple[int, str] | None = None

    @staticmethod
    def pack(message: bytes) -> bytes:
        return message

    def send(self, packed: bytes) -> None:
        if self.closed is None:
            self.outgoing.append(packed)
            self.sent.append(packed.decode())

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)


class Loopback:
    """A client session and a server session, connected."""

    def __init__(
        self, server_main: Any = None, client_main: Any = None, limits: Limits | None = None
    ) -> None:
        self.runtime = LoopbackRuntime(self.pump_one)
        self.client_transport, self.server_transport = LoopbackTransport(), LoopbackTransport()
        self.client = RpcSession(self.client_transport, client_main, runtime=self.runtime)
        self.server = RpcSession(
            self.server_transport, server_main, runtime=self.runtime, limits=limits or Limits()
        )

    @property
    def api(self) -> Any:
        """The client's stub for the server's main object."""
        return self.client.main

    def pump_one(self) -> bool:
        """Do one thing; False if nothing is left to do."""
        for source, sink in (
            (self.client_transport, self.server),
            (self.server_transport, self.client),
        ):
            if source.outgoing:
                sink.receive(source.outgoing.popleft())
                return True
        return self.runtime.run_one()

    def pump(self) -> None:
        """Do everything that there is to do."""
        while self.pump_one():
            pass

    def tables(self) -> tuple[dict[str, int], dict[str, int]]:
        """The statistics of both sides, once everything has been done."""
        self.pump()
        for function in self.runtime.tidying:
            function()
        self.runtime.tidying.clear()
        self.pump()
        return self.client.stats(), self.server.stats()


EMPTY = ({"imports": 1, "exports": 1}, {"imports": 1, "exports": 1})
"""What `tables()` gives when nothing but the main objects is left."""
