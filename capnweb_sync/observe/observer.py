"""What observers are told of, and the methods by which they are.

class Slow(Observer):
    def call_ends(self, call, seconds, error):
        if seconds > 1:
            print(f"{call.method} of {call.conversation.peer} took {seconds:.1f} s")

connect(url, observer=Slow())
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import SessionClosed

Path = tuple[str | int, ...]


class Conversation:
    """One session, as observers see it; the same object in all that is told of it.

    Attributes:
        peer: who is at the other end: the URL of a server, or the address of a client.
        batch: whether it is one HTTP request rather than a connection.
        began: when it was made, in seconds of `time.time()`.
        seconds: how long it has lasted, once it is over.
        calls_made: calls that this side has sent, broadcasts included, once it is over.
        calls_served: calls that the peer has sent, likewise.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "batch",
        "began",
        "calls_made",
        "calls_served",
        "peer",
        "seconds",
    )

    def __init__(self, peer: str, *, batch: bool) -> None:
        self.peer = peer
        self.batch = batch
        self.began = time()
        self._clock = perf_counter()
        self.seconds = 0.0
        self.calls_made = 0
        self.calls_served = 0

    def end(self, calls_made: int, calls_served: int) -> None:
        """It is over; for the session."""
        self.seconds = perf_counter() - self._clock
        self.calls_made = calls_made
        self.calls_served = calls_served

    def __repr__(self) -> str:
        return f"<Conversation with {self.peer}>"


class Call:
    """One call, or one look at a property, in either direction.

    Attributes:
        conversation: on which session.
        path: what is called, from the object that the caller refers to: the names that lead there.
            Empty for a function.
        outgoing: whether this side calls the peer.
        reading: whether a property is read, and nothing is called.
        began: when it began, in seconds of `time.time()`.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "began",
        "conversation",
        "error",
        "outgoing",
        "path",
        "reading",
    )

    def __init__(
        self, conversation: Conversation, path: Path, outgoing: bool, reading: bool
    ) -> None:
        self.conversation = conversation
        self.path = path
        self.outgoing = outgoing
        self.reading = reading
        self.began = time()
        self._clock = perf_counter()
        self.error: BaseException | None = None
        """What application code has raised, before it was decided what the peer learns of it."""

    @property
    def method(self) -> str:
        """The path, as one writes it: `room.history`. For a function `()`."""
        return method_name(self.path)

    def seconds(self) -> float:
        """How long ago it began."""
        return perf_counter() - self._clock

    def __repr__(self) -> str:
        direction = "to" if self.outgoing else "from"
        return f"<Call {self.method} {direction} {self.conversation.peer}>"


def method_name(path: Path) -> str:
    """A path, as one writes it."""
    return ".".join(map(str, path)) or "()"


class Observer:
    """Is told what happens on the sessions that it is given to (`observer=` of `connect`, `batch`,
    `serve` and `RpcSession`).

    Derive from it, and define those of its methods that you have a use for; what the others would
    be told of is not even computed. They are called one after another, in the order of what has
    happened, soon after it, on a thread (or greenlet) that does nothing else: they may block, and
    may use sessions. What one raises goes to the log, the first time. An observer that is so slow
    that many megabytes wait for it is told by `missed` how many events it was not told of.
    """

    _queues: dict[Any, Any] | None = None
    """An `EventQueue` for each step, which is one as a rule: that of the process's runtime."""

    def connection_opens(self, conversation: Conversation) -> None:
        """A session begins.

        Args:
            conversation: what is known of it.
        """

    def connection_closes(self, conversation: Conversation, error: SessionClosed) -> None:
        """A session is over. Calls that are under way end after that.

        Args:
            conversation: what is known of it, and how much it was.
            error: why, with the close code and the reason.
        """

    def call_begins(self, call: Call) -> None:
        """A call begins: of the peer's, when its arguments are there and it is its turn to wait for
        a thread; of this side's, when it is sent. A broadcast is no call here.

        Args:
            call: what is known of it.
        """

    def call_ends(self, call: Call, seconds: float, error: BaseException | None) -> None:
        """A call is done: of the peer's, when its result is there; of this side's, when the answer
        is there, or nobody wants it any more.

        Args:
            call: the object that it began with.
            seconds: since it began.
            error: what it failed with; of the peer's calls what application code has raised, not
                what the peer learns of that. None if it did not fail.
        """

    def message_in(self, conversation: Conversation, message: str | bytes) -> None:
        """A message has arrived.

        Args:
            conversation: on which session.
            message: JSON, as it came.
        """

    def message_out(self, conversation: Conversation, message: bytes) -> None:
        """A message goes out. One to many is told for each of them, and made for each of them.

        Args:
            conversation: on which session.
            message: JSON.
        """

    def missed(self, count: int) -> None:
        """This observer was too slow: the log says so, too.

        Args:
            count: of events that it was not told of.
        """
