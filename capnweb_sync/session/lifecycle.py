"""How a session begins, changes and ends.

What changes it is a step (`steps.py`): `change` names it to the step before the first change, and
`interrupted` is what the step calls when an exception has cut one. The end comes once, whoever
brings it (`close`, `connection_lost`, a message against the protocol, a cut change), and all that
waits for something is told with the same `SessionClosed`. Where there is much to end, it is done in
pieces, in turns with other work.

Sending comes on the floors above: `unneeded.py`, `outgoing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final
from weakref import WeakSet

from ..close_codes import CLOSED_BY_US, CloseCode
from ..core.ledger import Ledger
from ..core.served_calls import SeenCalls, ServedCalls
from ..core.stubs import RpcStub
from ..deferred import Deferred
from ..errors import SessionClosed, SessionOfParent
from ..limits import Limits
from ..observe.seen import Seen, peer_of
from ..runtimes.interface import Runtime, Transport
from ..streams.pipe import Pipe
from .export_table import ExportTable
from .import_table import Import, ImportTable

INTERRUPTED: Final = int(CloseCode.INTERNAL_ERROR)
"""The close code of a session that an exception has cut in the middle of a change."""

ENDED_AT_ONCE: Final = 256
BYTES_ENDED_AT_ONCE: Final = 32 * 1024
"""What ends in one piece: so many entries of the tables, or so much of what is kept, whichever is
less. Where there is more, each piece has its turn: an entry takes up to 50 µs, one for which a
thousand calls wait 16 ms, and a hundred connections may be lost at the same moment."""


class Lifecycle:
    """What a session is made of, and its end."""

    __slots__ = (
        "__weakref__",
        "_changing",
        "_main",
        "_over",
        "_pipes",
        "_seen",
        "_step",
        "calls",
        "closed_by",
        "exports",
        "imports",
        "ledger",
        "limits",
        "runtime",
        "transport",
    )

    imports: ImportTable
    """What the peer has passed, and the results that it owes."""
    exports: ExportTable
    """What the peer may name."""
    _main: RpcStub | None
    """For the peer's main object; None until somebody asks for it, and after the end."""

    def __init__(
        self, transport: Transport, runtime: Runtime, limits: Limits, seen: Seen | None
    ) -> None:
        self.transport = transport
        self.runtime = runtime
        self._step = runtime.step
        self._changing = self._step.changing
        self.limits = limits
        ledger = getattr(transport, "ledger", None)
        self.ledger: Ledger = ledger if ledger is not None else Ledger(limits.max_memory)
        """What is kept for the peer; also by the transport, if that has brought it."""
        self.ledger.taken_over(limits.max_memory)
        self._seen = seen
        queue = runtime.call_queue()
        if seen is None or not seen.sees_calls:
            self.calls = ServedCalls(runtime, queue, limits, self.ledger)
        else:
            self.calls = SeenCalls(runtime, queue, limits, self.ledger)
            self.calls.seen = seen
        self.closed_by: BaseException | None = None
        """Why the session is over; None while it is not."""
        self._over: Deferred[None] | None = None
        self._pipes: WeakSet[Pipe] | None = None
        """Those that the peer writes to. One may outlive its entry: in a chunk of its own."""

    @property
    def calls_made(self) -> int:
        """Calls that this side has sent so far, broadcasts included."""
        return self.imports.next_id - 1

    @property
    def calls_served(self) -> int:
        """Calls that the peer has sent so far."""
        return self.exports.pushed

    @property
    def closed(self) -> bool:
        """Whether the session is over, or in a forked child, which has none."""
        try:
            return self.closed_by is not None or self.runtime.step is None
        except SessionOfParent:
            return True

    @property
    def peer(self) -> str:
        """Who is at the other end, for people: the URL of a server, the address of a client."""
        return peer_of(self.transport)

    # Changes that are made whole (see `steps.py`).

    def change(self) -> bool:
        """What follows in this step changes the session. Whether that is news.

        A step that another runtime makes is not looked after: this one would never clear the name.
        """
        changing = self._changing
        if self in changing or not self._step.is_mine():
            return False
        changing.add(self)
        return True

    def changed(self) -> None:
        """The change that was news is complete: an exception that the step raises, such as for an
        argument that can't be sent, is no reason to end the session."""
        self._changing.discard(self)

    def interrupted(self) -> None:
        """An exception has cut a change, which may be the end of the session."""
        reason = "An exception has interrupted the session in the middle of a change."
        self._end(SessionClosed(reason, close_code=INTERRUPTED, reason=reason))
        self.transport.close(INTERRUPTED, reason)

    # The end.

    def connection_lost(self, close_code: int | None, reason: str) -> None:
        """The transport is gone: the peer has closed it, or it broke. Never blocks. Idempotent.

        Args:
            close_code: the WebSocket close code, None where there is none.
            reason: what is known, a sentence.
        """
        detail = f"{close_code} {reason}" if close_code is not None else reason
        error = SessionClosed(
            f"The connection is closed: {detail.strip() or 'no reason given'}",
            close_code=close_code,
            reason=reason,
        )
        with suppress(SessionOfParent):
            self._step.run(self._lose, error)

    def _lose(self, error: SessionClosed) -> None:
        self.change()
        self._end(error)

    def close(self, code: int = CLOSED_BY_US, reason: str = "RPC session was shut down") -> None:
        """End the session on this side: what waits for an answer gets `SessionClosed`. Idempotent.

        Args:
            code: the WebSocket close code for the peer; 3000 is the reference's.
            reason: a sentence for the peer.
        """
        with suppress(SessionOfParent):
            self._step.run(self._close, code, reason)

    def _close(self, code: int, reason: str) -> None:
        if self.closed_by is None:
            self.change()
            self._end(SessionClosed(closed_here(reason), close_code=code, reason=reason))
            self.transport.close(code, reason)

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the session is over, whoever ends it.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out.
        """
        try:
            over = self.when_closed()
            return over.settled or self.runtime.wait(over, timeout)
        except SessionOfParent:
            return True

    def when_closed(self) -> Deferred[None]:
        """For callbacks, which run under the step.

        Returns:
            What is settled when the session is over.
        """
        return self._step.run(self._when_closed)

    def _when_closed(self) -> Deferred[None]:
        if self.closed_by is not None:
            return Deferred.of(None)
        self._over = self._over or Deferred()
        return self._over

    def tell_observers(self) -> None:
        """Wait, not long, until observers have been told what has happened so far. For shells,
        after they have closed the session."""
        if self._seen is not None:
            self._seen.flush()

    def _end(self, error: SessionClosed) -> None:
        # All of it can be done again: for the rest, when an exception has cut it.
        if self.closed_by is None:
            self.closed_by = error
            if self._seen is not None:
                self._seen.closed(error, self.calls_made, self.calls_served)
        rest = self._ending(self.closed_by)
        # What is not much ends here: as a rule all, since an entry counts as a KiB.
        if self.ledger.held > BYTES_ENDED_AT_ONCE or not self._end_some(rest):
            self.runtime.in_turns(self._end_later(rest), frees=True)
        self._main = None
        self.calls.session = None
        # The application's, and as a rule a method of what knows the session: without the way back
        # both go at once, however seldom Python looks for what goes round in circles.
        self.calls.before_call = None
        self.ledger.owner = None
        if self._over is not None:
            self._over.resolve(None)

    def _ending(self, error: BaseException) -> Iterator[None]:
        """End what the session has, one thing at each `next`."""
        yield from self.imports.failing(error)
        for pipe in list(self._pipes or ()):
            pipe.lose(error)
            yield
        yield from self.exports.ending()
        self.ledger.close()  # not earlier: until then it is kept

    def _end_later(self, rest: Iterator[None]) -> Iterator[None]:
        while not self._step.run(self._end_some, rest):
            yield

    def _end_some(self, rest: Iterator[None]) -> bool:
        """End one piece of what is left; whether that was all."""
        self.change()
        enough = self.ledger.held - BYTES_ENDED_AT_ONCE
        for ended, _ in enumerate(rest, 1):
            if ended == ENDED_AT_ONCE or self.ledger.held <= enough:
                return False
        return True

    # Hooks that were dropped without having been disposed of.

    def hook_dropped(self, entry: Import) -> None:
        """Python collects a hook of `entry`, in any thread, perhaps in the middle of a step: note
        it, and release it where a step may be taken."""
        if self.closed_by is None:
            self.runtime.collect(partial(self._forget_dropped, entry))

    def _forget_dropped(self, entry: Import) -> None:
        self._step.run(entry.let_go)


def closed_here(reason: str) -> str:
    """What those learn who use a session that this side has closed."""
    why = f" ({reason.rstrip('.')})" if reason else ""
    return f"This side has closed the session{why}. Calls need a new one."
