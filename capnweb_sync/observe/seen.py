"""What one session tells its observers. Everything here is called under the step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from ..errors import SessionClosed
from ..runtimes.interface import Runtime, Transport
from .events import FLUSH_SECONDS, EventQueue, Source, Told, queue_of
from .logs import listening
from .observer import Call, Conversation, Observer, Path

Observers: TypeAlias = Observer | Iterable[Observer] | None
"""What `observer=` takes: one, several, or none."""

Listeners: TypeAlias = tuple[tuple[EventQueue, Told], ...]
"""The queues and methods of those who have a use for an event."""


class Seen:
    """The observers of one session, and what is known of it for them."""

    __slots__ = (
        "_begins",
        "_calls",
        "_closes",
        "_conversation",
        "_ends",
        "_in",
        "_opens",
        "_out",
        "_queues",
        "_source",
        "sees_calls",
        "sees_messages_out",
    )

    def __init__(
        self, observers: list[Observer], runtime: Runtime, conversation: Conversation
    ) -> None:
        self._conversation = conversation
        self._source = Source(runtime)
        self._queues = [queue_of(observer, runtime.step) for observer in observers]
        pairs = list(zip(observers, self._queues, strict=True))

        def listeners(event: str) -> Listeners:
            plain = getattr(Observer, event)
            return tuple(
                (queue, getattr(observer, event))
                for observer, queue in pairs
                if getattr(type(observer), event) is not plain or event in vars(observer)
            )

        self._opens = listeners("connection_opens")
        self._closes = listeners("connection_closes")
        self._begins = listeners("call_begins")
        self._ends = listeners("call_ends")
        self._in = listeners("message_in")
        self._out = listeners("message_out")
        self.sees_calls = bool(self._begins or self._ends)
        """Whether anybody has a use for calls."""
        self.sees_messages_out = bool(self._out)
        """Likewise for messages that go out."""
        self._calls: dict[object, Call] = {}
        """Served calls that are under way, by what serves them."""

    def opened(self) -> None:
        """The session is made."""
        for queue, told in self._opens:
            queue.add(self._source, told, (self._conversation,))

    def closed(self, error: SessionClosed, calls_made: int, calls_served: int) -> None:
        """The session is over."""
        self._conversation.end(calls_made, calls_served)
        for queue, told in self._closes:
            queue.add(self._source, told, (self._conversation, error))

    def arriving(self, messages: Iterable[str | bytes]) -> Iterable[str | bytes]:
        """`messages`, each of which is told when it is about to be taken, if anybody has a use for
        that."""
        return self._telling(messages) if self._in else messages

    def _telling(self, messages: Iterable[str | bytes]) -> Iterator[str | bytes]:
        for message in messages:
            for queue, told in self._in:
                queue.add(self._source, told, (self._conversation, message), len(message))
            yield message

    def packing(self, pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """`pack`, which tells of each message, if anybody has a use for that. One of its own for
        each session, so that a message to many is told for each of them."""
        if not self._out:
            return pack

        def pack_seen(message: bytes) -> bytes:
            for queue, told in self._out:
                queue.add(self._source, told, (self._conversation, message), len(message))
            return pack(message)

        return pack_seen

    def calling(self, path: Path, reading: bool) -> Call:
        """This side calls the peer."""
        return self._begin(path, True, reading)

    def serving(self, job: object, path: Path, reading: bool) -> None:
        """The peer calls this side, which `job` will serve."""
        self._calls[job] = self._begin(path, False, reading)

    def _begin(self, path: Path, outgoing: bool, reading: bool) -> Call:
        # Some paths are lists, as they came in the message.
        call = Call(self._conversation, tuple(path), outgoing, reading)
        for queue, told in self._begins:
            queue.add(self._source, told, (call,))
        return call

    def moved(self, job: object, to: object) -> None:
        """Another job serves the call."""
        call = self._calls.pop(job, None)
        if call is not None:
            self._calls[to] = call

    def failed(self, job: object, error: BaseException) -> None:
        """Application code has raised `error` in a call; not within the step. It ends soon."""
        call = self._calls.get(job)
        if call is not None:
            call.error = error

    def served(self, job: object, error: BaseException | None) -> None:
        """A call of the peer's is done."""
        call = self._calls.pop(job, None)
        if call is not None:
            self.ended(call, call.error or error)

    def ended(self, call: Call, error: BaseException | None) -> None:
        """A call is done."""
        call.error = None
        seconds = call.seconds()
        for queue, told in self._ends:
            queue.add(self._source, told, (call, seconds, error))

    def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """Wait until observers have been told what has happened, `timeout` seconds at most. Not
        within the step."""
        for queue in self._queues:
            queue.flush(self._source, timeout)


def seen_by(observers: Observers, runtime: Runtime, transport: Transport) -> Seen | None:
    """What a new session tells `observers` and the loggers that somebody listens to; None if nobody
    sees it. Raises TypeError for what is no observer."""
    everybody = [*observers_of(observers), *listening()]
    if not everybody:
        return None
    conversation = Conversation(
        peer_of(transport), batch=not getattr(transport, "carries_streams", True)
    )
    return runtime.step.run(Seen, everybody, runtime, conversation)


def observers_of(observers: Observers) -> list[Observer]:
    """Those that were given. Raises TypeError for what is no observer."""
    if observers is None:
        return []
    given = list(observers) if isinstance(observers, Iterable) else [observers]
    for observer in given:
        if not isinstance(observer, Observer):
            raise TypeError(f"observer= takes Observers, not {observer!r:.50}.")
    return given


def peer_of(transport: Any) -> str:
    """Who is at the other end of a transport, for people: what it says itself (`peer`), or the
    address that it has (`remote_address`)."""
    peer = getattr(transport, "peer", None)
    return (
        peer if isinstance(peer, str) else address_text(getattr(transport, "remote_address", None))
    )


def address_text(address: Any) -> str:
    """The address of a peer, as one writes it."""
    if isinstance(address, tuple) and address:
        host, port = str(address[0]), address[1] if len(address) > 1 else 0
        if not port:  # not told, behind a proxy
            return host or "an unknown peer"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, bytes):
        address = address.decode(errors="replace")
    if isinstance(address, str):
        return address or "a local socket"
    return "an unknown peer"
