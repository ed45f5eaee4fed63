"""What `connect` returns: a session with a server, for code that blocks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol

from ..close_codes import CloseCode
from ..errors import SessionClosed
from ..session.session import RpcSession
from ..typed import MainApi, with_api
from ..urls import public_part

if TYPE_CHECKING:
    from typing_extensions import Self

DROPPED: Final = "The session was dropped without having been closed."
"""The reason for closing it then."""


class Joinable(Protocol):
    """What a `ClientSession` needs of its transport."""

    def join(self) -> None:
        """Wait until the connection is gone, which has been closed."""
        ...


class ClientSession(Generic[MainApi]):
    """A session with a Cap'n Web server. `with` closes it.

    One that is dropped without having been closed is a ResourceWarning, and is closed then,
    whether or not stubs of it are still there.
    """

    def __init__(
        self,
        session: RpcSession,
        transport: Joinable,
        url: str,
        api: Callable[..., MainApi] | None = None,
    ) -> None:
        """For `connect`, and for tests.

        Args:
            session: the session; closed with this.
            transport: what carries it.
            url: where the server is, for `repr`.
            api: the class that describes the server's main object, if one does.
        """
        self._session = session
        self._transport = transport
        self._api = api
        self._closing = False
        self._url = public_part(url)

    @property
    def main(self) -> MainApi:
        """The server's main object."""
        main: Any = self._session.main
        return main if self._api is None else with_api(main, self._api)

    @property
    def closed(self) -> bool:
        """Whether the session is over, whoever ended it."""
        return self._session.closed

    @property
    def result_timeout(self) -> float | None:
        """Seconds that `result()` waits without a timeout of its own; None is without end."""
        return self._session.calls.result_timeout

    @result_timeout.setter
    def result_timeout(self, seconds: float | None) -> None:
        self._session.calls.result_timeout = seconds

    @property
    def end(self) -> SessionClosed | None:
        """Why the session is over; None while it is not."""
        end = self._session.closed_by
        return end if isinstance(end, SessionClosed) else None

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the session is over, whoever ends it.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out.
        """
        return self._session.wait_closed(timeout)

    def stats(self) -> dict[str, int]:
        """How large the session's tables are, which hold what is passed by reference.

        Returns:
            `{"imports": n, "exports": n}`; the two main objects count, as in the reference's
            `getStats()`.
        """
        return self._session.stats()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "", *, wait: bool = True) -> None:
        """End the session and wait until the connection is gone, `close_timeout` seconds at most.

        What was sent before goes out first. Calls that wait raise `SessionClosed`. Idempotent.

        Args:
            code: a WebSocket close code (RFC 6455, section 7.4).
            reason: a sentence for the server; cut to 123 bytes.
            wait: false has the rest happen in the background; so it may be called by finalizers.
        """
        self._closing = True
        if wait:
            self._session.close(code, reason)
            self._transport.join()
            self._session.tell_observers()
        else:
            self._session.runtime.collect(partial(self._session.close, code, reason))

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
        state = f"closed: {self._session.closed_by}" if self.closed else "open"
        return f"<ClientSession with {self._url}, {state}>"

    # What is used here is bound early: at the interpreter's end, modules are gone before objects.
    def __del__(
        self,
        warn: Callable[..., None] = warnings.warn,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if self._closing or self.closed:
            return
        try:
            warn(f"unclosed {self!r}", ResourceWarning, source=self)
        finally:
            # At the end the threads have stopped where they were, perhaps with a lock; the
            # kernel closes the socket.
            if not is_finalizing():
                self.close(CloseCode.NORMAL, DROPPED, wait=False)
