"""A TCP proxy between clients and a server that does to connections what networks do.

It runs on one thread of its own and touches sockets only there. What a test asks for is done when
the call returns.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tests.processes import DEADLINE
from tests.proxy.link import (
    BLACK_HOLE,
    DOWN,
    HEALTHY,
    RESET_ON_CLOSE,
    UP,
    Direction,
    Flow,
    Impairment,
    Inspector,
    Link,
)

Address = tuple[str, int]

SOCKET_BUFFER = 64 * 1024
"""Bytes of the kernel's buffers on the proxy's side: small, so that a sender soon feels a stall."""

BACKLOG = 1024
"""Connections that may wait to be accepted: a crowd that comes back at once."""


class Proxy:
    """Forwards connections to `target`, and is told what to do to them.

    Attributes:
        target: where new connections lead; may be changed.
        url: where clients of the chat connect to.
        address: the same, for plain sockets.
        accepted: when each connection came (`time.monotonic`), refused ones included.
        refusing: reset new connections at once.
        selector, waiting, inspector: for its links.
    """

    def __init__(self, target: Address, inspector: Inspector | None = None) -> None:
        """Listen on a free port.

        Args:
            target: host and port of the server.
            inspector: sees every message of every connection, and decides what is passed on.
        """
        self.target = target
        self.inspector = inspector
        self.accepted: list[float] = []
        self.refusing = False
        self.waiting: set[Flow] = set()
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._links: dict[Link, None] = {}
        self._impairments = dict.fromkeys(Direction, HEALTHY)
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._running = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            # Accepted connections inherit it.
            self._listener.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()[:2]
        self.url = f"ws://127.0.0.1:{self.address[1]}/rpc/ws"
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    @property
    def links(self) -> list[Link]:
        """The connections that are open, the oldest first."""
        found: list[Link] = []
        self.run(lambda: found.extend(self._links))
        return found

    def impair(self, impairment: Impairment, *directions: Direction) -> None:
        """Make all connections so, also those to come; both directions if none is named."""

        def change() -> None:
            for direction in directions or Direction:
                self._impairments[direction] = impairment
            for link in list(self._links):
                link.impair(impairment, *directions)

        self.run(change)

    @property
    def deaf(self) -> bool:
        """Drop what clients send, for the rest of each connection, which stays open."""
        return self._impairments[UP] == BLACK_HOLE

    @deaf.setter
    def deaf(self, deaf: bool) -> None:
        self.impair(BLACK_HOLE if deaf else HEALTHY, UP)

    @property
    def mute(self) -> bool:
        """Drop what the server sends, for the rest of each connection, which stays open."""
        return self._impairments[DOWN] == BLACK_HOLE

    @mute.setter
    def mute(self, mute: bool) -> None:
        self.impair(BLACK_HOLE if mute else HEALTHY, DOWN)

    def go_down(self) -> None:
        """End all connections in order, and reset new ones as soon as they are made."""
        self.refusing = True
        self.cut_all()

    def come_up(self) -> None:
        """Let connections be made again."""
        self.refusing = False

    def cut_all(self) -> None:
        """End all connections in order; new ones can be made."""
        self.run(lambda: self._end_all(reset=False))

    def reset_all(self) -> None:
        """Reset all connections; new ones can be made."""
        self.run(lambda: self._end_all(reset=True))

    def run(self, function: Callable[[], object]) -> None:
        """Run `function` on the proxy's thread, and wait until it is done; at once if this is it.

        What it raises is raised here.
        """
        if threading.current_thread() is self._thread:
            function()
            return
        done = threading.Event()
        failures: list[Exception] = []

        def request() -> None:
            try:
                function()
            except Exception as error:
                failures.append(error)
            done.set()

        self._requests.put(request)
        self._button.send(b"\0")
        assert done.wait(DEADLINE), "the proxy does not answer"
        if failures:
            raise failures[0]

    def forget(self, link: Link) -> None:
        """The link is over."""
        del self._links[link]

    def close(self) -> None:
        """End everything."""
        self.reset_all()
        self._running = False
        self._button.send(b"\0")
        self._thread.join(DEADLINE)
        self.selector.close()
        for sock in (self._listener, self._bell, self._button):
            sock.close()

    # --- on the proxy's thread

    def _serve(self) -> None:
        while self._running:
            for key, events in self.selector.select(self._timeout()):
                if isinstance(key.data, Link):
                    # One that an earlier event of this turn has ended has no business left.
                    if not key.data.over:
                        assert isinstance(key.fileobj, socket.socket)
                        key.data.ready(key.fileobj, events)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._answer_requests()
            now = time.monotonic()
            for flow in [flow for flow in self.waiting if (flow.due_at or now) <= now]:
                flow.link.turn()

    def _end_all(self, *, reset: bool) -> None:
        for link in list(self._links):
            link.end_now(reset=reset)

    def _timeout(self) -> float | None:
        moments = [flow.due_at for flow in self.waiting]
        due = [moment for moment in moments if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _answer_requests(self) -> None:
        self._bell.recv(4096)
        while not self._requests.empty():
            self._requests.get()()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return  # It has gone again.
        self.accepted.append(time.monotonic())
        if self.refusing:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.close()
            return
        server = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            server.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.connect_ex(self.target)  # How it went is seen when the socket can be written.
        link = Link(self, client, server)
        self._links[link] = None
        for direction, impairment in self._impairments.items():
            link.impair(impairment, direction)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
