"""A client and a server in one process, connected without a socket.

What each of them sends is encoded, arrives as text and is decoded, as on a real connection, and
their served calls run as they do there: on threads, or in greenlets. Only what lies in between is
left out: messages of both arrive one after another in the order in which they were sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic

from ..client.session import ClientSession
from ..close_codes import CloseCode
from ..deferred import Deferred
from ..limits import DEFAULT_LIMITS, Limits
from ..observe.seen import Observers
from ..runtimes.interface import Runtime
from ..runtimes.threads import thread_runtime
from ..session.session import RpcSession
from ..typed import MainApi
from ..wsgi import Service, serve
from .settling import SettlingRuntime

if TYPE_CHECKING:
    from typing_extensions import Self

SETTLE_SECONDS: Final = 10.0
"""How long settling may take before a test fails. One that passes never waits for it."""

PLACE: Final = "pair://this-process"
"""Where the server of a pair is, for people."""


class Pair(Generic[MainApi]):
    """Two connected sessions. `with` closes them; see `pair`."""

    client: ClientSession[MainApi]
    """The client's session, of the same class as that of `connect`."""
    server: RpcSession
    """The server's session. `server.main` is the client's main object."""

    def __init__(
        self,
        service: Service,
        main: Any,
        limits: Limits,
        runtime: Runtime,
        api: Callable[..., MainApi] | None,
        observer: Observers,
    ) -> None:
        """For `pair`.

        Args:
            service: what is served.
            main: the client's main object.
            limits: of the client.
            runtime: how both run their calls.
            api: the class that describes the server's main object.
            observer: of the client's session.
        """
        self._runtime = SettlingRuntime(runtime)
        wire = Wire(self._runtime)
        near, far = End(wire), End(wire)
        self.server = service.session(far, self._runtime)
        client = RpcSession(near, main, runtime=self._runtime, limits=limits, observer=observer)
        near.other, far.other = self.server, client
        self._wire = wire
        self._sessions = (client, self.server)
        self.client = ClientSession(client, near, PLACE, api)

    @property
    def main(self) -> MainApi:
        """The client's stub for the server's main object."""
        return self.client.main

    def settle(self, timeout: float = SETTLE_SECONDS) -> None:
        """Wait until everything that was sent has arrived, and whatever it set off on both sides,
        releases of stubs included, is done, or waits for a promise.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: something is still under way.
            RuntimeError: a served call or a callback would wait for its own end.
        """
        self._runtime.settle(timeout)

    def disconnect(self, code: int = CloseCode.ABNORMAL, reason: str = "") -> None:
        """Break the connection: what is on its way never arrives, and both sides are told.

        Args:
            code: the WebSocket close code that both see.
            reason: a sentence that both see.
        """
        self._wire.cut()
        for session in self._sessions:
            session.connection_lost(code, reason)

    def close(self) -> None:
        """End both sessions. Idempotent."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Wire:
    """What both ends have sent and what has not arrived yet, in one order for both."""

    def __init__(self, runtime: SettlingRuntime) -> None:
        self.runtime = runtime
        self._arrivals: deque[Callable[[], None]] = deque()
        self._delivering = False
        self.over: Deferred[None] = Deferred()
        """Settled when nothing will arrive any more."""

    def send(self, arrival: Callable[[], None]) -> None:
        """Run `arrival` after what was sent before; never within this call."""
        self.runtime.step.run(self._add, arrival)

    def _add(self, arrival: Callable[[], None]) -> None:
        if self.over.settled:
            return
        self._arrivals.append(arrival)
        if not self._delivering:
            self._delivering = True
            self.runtime.spawn(self._deliver)

    def _deliver(self) -> None:
        while (arrival := self.runtime.step.run(self._next)) is not None:
            arrival()

    def _next(self) -> Callable[[], None] | None:
        if self._arrivals:
            return self._arrivals.popleft()
        self._delivering = False
        return None

    def cut(self) -> None:
        """Drop what has not arrived, and whatever is sent from now on."""
        self._arrivals.clear()
        self.runtime.step.run(self.over.resolve, None)


class End:
    """The transport of one side; `other` is the session on the other."""

    can_concatenate = False
    peer = PLACE
    other: RpcSession

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @staticmethod
    def pack(message: bytes) -> bytes:
        """A message as it is."""
        return message

    def send(self, packed: bytes) -> None:
        """Have the other side take the message, after what was sent before."""
        text = packed.decode()
        self._wire.send(lambda: self.other.receive(text))

    def close(self, code: int, reason: str) -> None:
        """Have the other side learn of the end, after what was sent before."""

        def arrive() -> None:
            self.other.connection_lost(code, reason)
            self._wire.cut()

        self._wire.send(arrive)

    def join(self) -> None:
        """Wait until the other side knows of the end."""
        self._wire.runtime.wait(self._wire.over, SETTLE_SECONDS)


def pair(
    served: Any,
    main: Any = None,
    *,
    api: Callable[..., MainApi] | None = None,
    check: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    runtime: Runtime | None = None,
    observer: Observers = None,
) -> Pair[MainApi]:
    """A server that serves `served` and a client that is connected to it, in this process.

    Args:
        served: what `serve` takes, a class of which this client gets an object of its own
            included, or what it returns.
        main: what the server gets as the client's main object, as in `connect`.
        api: as in `connect`, like `check`.
        check: false leaves results as they come.
        limits: what the client accepts from the server; those of the server are `serve`'s.
        runtime: how both run their calls: on threads by default, which are greenlets in a process
            that gevent has patched; `gevent_runtime()` runs them as a gevent server does.
        observer: told what happens on the client's session, as in `connect`; that of the server is
            `serve`'s.

    Returns:
        Both ends, connected; `with` closes them.
    """
    service = served if isinstance(served, Service) else serve(served)
    typed = api if check else None
    return Pair(service, main, limits, runtime or thread_runtime(), typed, observer)
