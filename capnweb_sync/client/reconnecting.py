"""A session that comes back: `connect(url, reconnect=setup)`.

Behind it stands one `ClientSession` after another. Between the loss of one and the end of the next
one's `setup` it is offline; once closed, or refused for good, it is over:

    online  → offline   the connection is lost; a thread tries to get it back
    offline → online    connected, and `setup` has returned
    offline → over      `setup` failed by a mistake, or the answer means: stay away
    any     → over      `close`

Nothing of a lost connection is carried over: calls under way at the loss fail, and stubs of it stay
broken. What a program needs of the next one, `setup` gets for it anew.
"""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from ..close_codes import CloseCode
from ..core.stubs import RpcPromise
from ..deferred import Deferred
from ..errors import RemoteError, SessionClosed, fresh_copy, logger
from ..runtimes.fork import in_child
from ..runtimes.threads import named, thread_runtime
from ..typed import MainApi, TypedPromise
from .opening import ConnectError
from .reconnect import Backoff, Status, keep_trying, may_pass
from .session import DROPPED, ClientSession

if TYPE_CHECKING:
    from typing_extensions import Self

R = TypeVar("R")

PASSING: Final = (ConnectError, SessionClosed, RemoteError, concurrent.futures.TimeoutError)
"""What connecting and `setup` may fail with for a while. Anything else is a mistake."""

CLOSED_HERE: Final = "The session was closed on this side."
"""Why it is over then."""


class ReconnectingSession(Generic[MainApi]):
    """A session with a Cap'n Web server that is made anew when its connection is lost. `with`
    closes it.

    One that is dropped without having been closed is a ResourceWarning, and is closed then.
    """

    _ended: BaseException | None = SessionClosed("This session has not begun.")

    def __init__(
        self,
        open_session: Callable[[], ClientSession[MainApi]],
        setup: Callable[[ClientSession[MainApi]], Any],
        on_status: Callable[[Status], Any] | None = None,
    ) -> None:
        """For `connect`. Makes the first connection at once.

        Args:
            open_session: makes a connection.
            setup: called with the session of each connection before it is used.
            on_status: told of the loss, of each attempt to come back, and of being back.

        Raises:
            Exception: what keeps the first connection from being made, or what `setup` raises.
        """
        self._open = open_session
        self._setup = setup
        self._on_status = on_status
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._session: ClientSession[MainApi] | None = None
        self._coming: ClientSession[MainApi] | None = None
        """The one that is being set up."""
        self._began = 0.0
        self._peer = "nobody yet"
        self._loss: BaseException | None = None
        in_child(self, ReconnectingSession._leave_to_parent)
        self._ended = None
        try:
            self._connect()
        except BaseException:
            self._ended = SessionClosed("This session has not begun.")
            raise

    # ---- What one does with it

    @property
    def main(self) -> MainApi:
        """The main object of the present connection.

        Raises:
            SessionClosed: there is none at the moment, or for good.
        """
        session = self._session
        if session is not None and not session.closed:
            return session.main
        raise self._no_connection()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, and `setup` has returned."""
        session = self._session
        return session is not None and not session.closed

    @property
    def closed(self) -> bool:
        """Whether it is over: closed, or refused for good. While it is away for a while, it is
        not."""
        return self._ended is not None

    def wait_connected(self, timeout: float | None = None) -> MainApi:
        """Wait for a connection.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            The main object of the present connection, as soon as there is one.

        Raises:
            SessionClosed: it is over.
            TimeoutError: time ran out.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.connected or self.closed, bounded(timeout))
            session = self._session
        if session is not None and not session.closed and not self.closed:
            return session.main
        if self._ended is not None:
            raise fresh_copy(self._ended)
        raise concurrent.futures.TimeoutError(
            f"There was no connection within {round(timeout or 0, 3):g} s."
        )

    @overload
    def retry(
        self, function: Callable[[MainApi], RpcPromise[R]], timeout: float | None = None
    ) -> R: ...

    @overload
    def retry(
        self, function: Callable[[MainApi], TypedPromise[R]], timeout: float | None = None
    ) -> R: ...

    @overload
    def retry(self, function: Callable[[MainApi], R], timeout: float | None = None) -> R: ...

    def retry(self, function: Callable[[MainApi], Any], timeout: float | None = None) -> Any:
        """Call `function(main)`, and again on the next connection for as long as the connection is
        lost under it.

        A call whose answer was lost may have been made: this is for what may be made twice.

        Args:
            function: what to do with the main object of whichever connection it is.
            timeout: seconds in all, outages included; None waits without end.

        Returns:
            What `function` returns; of a promise, the result.

        Raises:
            SessionClosed: this session is over.
            TimeoutError: time ran out.
            Exception: whatever else `function`, or the promise's result, raises.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.wait_connected(remaining(deadline))
            session = self._session
            if session is None:
                continue  # lost again meanwhile
            try:
                outcome = function(session.main)
                if isinstance(outcome, RpcPromise):
                    return outcome.result(remaining(deadline))
                return outcome
            except SessionClosed:
                if not session.closed:
                    raise  # of another one
                self._lost(session)

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until it is over: closed, or refused for good.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self.closed, bounded(timeout))

    def close(self, code: int = CloseCode.NORMAL, reason: str = "", *, wait: bool = True) -> None:
        """End it, and wait until its connection is gone, see `ClientSession.close`. Idempotent.

        Args:
            code: a WebSocket close code (RFC 6455, section 7.4).
            reason: a sentence for the server; cut to 123 bytes.
            wait: false has the rest happen in the background; so it may be called by finalizers.
        """
        for session in self._end(SessionClosed(CLOSED_HERE, close_code=code, reason=reason)):
            session.close(code, reason, wait=wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self.connected else "offline"
        return f"<ReconnectingSession with {self._peer}, {state}>"

    # Bound early: at the interpreter's end, modules are gone before objects.
    def __del__(
        self,
        warn: Callable[..., None] = warnings.warn,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if self._ended is not None:
            return
        self._ended = SessionClosed(DROPPED)  # for a thread that tries to come back
        try:
            warn(f"unclosed {self!r}", ResourceWarning, source=self)
        finally:
            for session in (self._session, self._coming):
                if session is not None and not is_finalizing():
                    session.close(CloseCode.NORMAL, DROPPED, wait=False)

    # ---- The states

    def _no_connection(self) -> BaseException:
        if self._ended is not None:
            return fresh_copy(self._ended)
        why = "" if self._loss is None else f": {self._loss}"
        loss = self._loss if isinstance(self._loss, SessionClosed) else None
        return SessionClosed(
            f"There is no connection at the moment{why.rstrip('.')}. wait_connected() waits for"
            " the next one.",
            close_code=None if loss is None else loss.close_code,
            reason="" if loss is None else loss.reason,
        )

    def _connect(self) -> None:
        """Connect and set up. Raises what keeps it from that."""
        session = self._open()
        self._peer = session._session.peer
        try:
            with self._changed:
                self._coming = session
                ended = self._ended
            if ended is not None:
                raise fresh_copy(ended)
            self._setup(session)
            self._go_online(session)
        except BaseException:
            session.close()
            raise
        finally:
            self._coming = None
        # Also calls back if the connection is lost already. Not by `on_broken`, which waits for
        # the session's turn, as a callback that waits for the next connection has it.
        session._session.when_closed().add_callback(
            partial(_noticed, weakref.ref(self), weakref.ref(session))
        )

    def _go_online(self, session: ClientSession[MainApi]) -> None:
        with self._changed:
            if self._ended is not None:
                raise fresh_copy(self._ended)
            self._session = session
            self._began = time.monotonic()
            self._changed.notify_all()

    def _lost(self, session: ClientSession[MainApi]) -> None:
        """The connection of `session` is gone."""
        with self._changed:
            if self._session is not session:
                return
            self._session = None
            self._loss = error = session.end or SessionClosed("The connection is lost.")
            self._changed.notify_all()
        self._backoff.connection_lost(
            getattr(error, "close_code", None), time.monotonic() - self._began
        )
        if may_pass(error):
            thread_runtime().spawn(partial(_come_back, weakref.ref(self), self._changed))
        else:
            self._give_up(error)

    def _announce_attempt(self) -> float:
        delay = self._backoff.next_delay()
        self._tell(Status(online=False, retry_in=delay, error=self._loss))
        return delay

    def _attempt(self) -> bool:
        """Whether another attempt is worth making."""
        try:
            self._connect()
        except Exception as error:
            if self.closed:
                return False
            passing = isinstance(error, (*PASSING, OSError))  # too few descriptors, perhaps
            if not passing:
                logger.exception("Setting a connection up failed unforeseen; it is given up")
            if not passing or not may_pass(error):
                self._give_up(error)
                return False
            self._loss = error
            wish = error.properties.get("retryAfter") if isinstance(error, RemoteError) else None
            if isinstance(wish, (int, float)):
                self._backoff.asked_to_wait(max(wish, 0))
            return True
        self._tell(Status(online=True))
        return False

    def _tell(self, status: Status) -> None:
        if self._on_status is not None:
            try:
                self._on_status(status)
            except Exception:
                logger.exception("on_status failed")

    def _give_up(self, error: BaseException) -> None:
        """It will not come back, because of `error`."""
        code = getattr(error, "close_code", None)
        ended = SessionClosed(
            f"The connection is lost for good: {error}", close_code=code, reason=str(error)
        )
        ended.__cause__ = error
        self._end(ended)
        self._tell(Status(online=False, error=error))

    def _end(self, error: SessionClosed) -> list[ClientSession[MainApi]]:
        """It is over; the sessions that are to be closed."""
        with self._changed:
            if self._ended is not None:
                return []
            self._ended = error
            sessions = [one for one in (self._session, self._coming) if one is not None]
            self._session = None
            self._changed.notify_all()
        return sessions

    def _leave_to_parent(self) -> None:
        """In a forked child: it goes on in the parent. Whoever held a lock is not here."""
        self._changed = threading.Condition()
        self._session = self._coming = None
        if self._ended is None:
            self._ended = SessionClosed(
                "This session belongs to the process that forked this one; connect anew here."
            )


def _noticed(
    owner: weakref.ref[ReconnectingSession[Any]],
    session: weakref.ref[ClientSession[Any]],
    _: Deferred[None],
) -> None:
    """The connection is gone. Runs under the step; what it leads to does not."""

    def lose() -> None:
        one, lost = owner(), session()
        if one is not None and lost is not None:
            one._lost(lost)

    thread_runtime().spawn(lose)


@named("capnweb_sync reconnect")
def _come_back(owner: weakref.ref[ReconnectingSession[Any]], changed: threading.Condition) -> None:
    """Try until there is a connection again, no hope, or nobody any more who wants one."""
    try:
        keep_trying(
            owner,
            changed,
            over=lambda one: one.closed,
            announce=ReconnectingSession._announce_attempt,
            attempt=ReconnectingSession._attempt,
        )
    except BaseException as error:
        logger.exception("Coming back failed unforeseen")
        one = owner()
        if one is not None:
            one._give_up(error)


def remaining(deadline: float | None) -> float | None:
    """Seconds until `deadline`, not below 0; None for none."""
    return None if deadline is None else max(deadline - time.monotonic(), 0)


def bounded(timeout: float | None) -> float | None:
    """`timeout` as `threading` takes it, which refuses what is longer."""
    return None if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
