"""Cap'n Web over a WebSocket, for code that blocks: `connect` returns a session.

It works in a plain script, in threads, and in a process that gevent has monkey-patched. How the
connection is made is in `client_opening`, how it lives in `client_transport`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol
from urllib.parse import urlsplit

from ..close_codes import CloseCode
from ..codec.encoder import check_sendable
from ..limits import DEFAULT_LIMITS, Limits
from ..runtimes.threads import thread_runtime
from ..session.session import RpcSession
from ..typed import MainApi, with_api
from .opening import ConnectError, ConnectTimeout, HandshakeError, open_socket
from .transport import WebSocketTransport

if TYPE_CHECKING:
    from typing_extensions import Self

CONNECT_SECONDS: Final = 10.0
"""How long connecting may take in all: name, TCP, TLS and handshake."""

PING_INTERVAL: Final = 20.0
"""Seconds of silence before a ping. Proxies cut what is silent for 60 s (nginx) or more."""

PING_TIMEOUT: Final = 20.0
"""Seconds of further silence after a ping before the connection counts as lost."""

CLOSE_SECONDS: Final = 3.0
"""How long closing may take: sending what waits, the peer's close frame, the end of its stream."""

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes that may wait because the server does not read as fast as we send. A queue without a
bound would fill the memory."""


DROPPED: Final = "The session was dropped without having been closed."
"""The reason for closing it then."""


def connect(
    url: str,
    main: Any = None,
    *,
    api: Callable[..., MainApi] | None = None,
    check: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
    timeout: float = CONNECT_SECONDS,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float = PING_TIMEOUT,
    close_timeout: float = CLOSE_SECONDS,
    max_waiting: int = MAX_WAITING,
    sslopt: Mapping[str, Any] | None = None,
    send_stack_traces: bool = False,
    session_class: type[RpcSession] = RpcSession,
) -> ClientSession[MainApi]:
    """Connect to a Cap'n Web server and start a session.

    Of the addresses of a name, the first that answers is taken. The environment's `http_proxy`,
    `https_proxy` and `no_proxy` are heeded.

    Args:
        url: `ws://…` or `wss://…`. A name and a password in it (`wss://alice:secret@…`) are sent as
            HTTP has it, unless `headers` have an `Authorization`, and are never shown.
        main: what the server gets as our main object: an `RpcTarget`, a function, a dict, nothing.
        api: the class that describes the server's main object, see `typed`; `session.main` is
            one for type checkers, and results are converted to their annotated types.
        check: false leaves results as they come.
        limits: what is accepted from the server.
        headers: further HTTP headers of the handshake.
        origin: the `Origin` header; without it, none is sent.
        timeout: seconds for connecting in all.
        ping_interval: seconds of silence before a ping; None sends none, and then a server that
            vanished is noticed only by the kernel's keepalive, after a minute or more.
        ping_timeout: seconds of further silence before the connection counts as lost.
        close_timeout: seconds that closing may take; after that the connection is dropped.
        max_waiting: bytes that may wait to be sent; past it the connection is dropped.
        sslopt: websocket-client's options for TLS: `ca_certs`, `context`, `cert_reqs` …
        send_stack_traces: whether errors carry our stack traces to the server.
        session_class: a subclass of `RpcSession` that sees what goes through the session.

    Returns:
        The session, open. It is closed by `with` or `close`.

    Raises:
        ConnectError: there is no connection; `ConnectTimeout` and `HandshakeError` say more.
        TypeError: `main` can't be sent.
        ValueError: `url` is not a WebSocket URL.
    """
    check_sendable(main)
    sock = open_socket(url, timeout, headers or {}, origin, sslopt or {})
    try:
        transport = WebSocketTransport(
            sock,
            max_message=limits.max_message_size,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_waiting=max_waiting,
        )
    except OSError as error:  # there is no descriptor left
        sock.close()
        raise ConnectError(url, f"{error.strerror or error}.") from error
    session = session_class(
        transport,
        main,
        runtime=thread_runtime(),
        limits=limits,
        send_stack_traces=send_stack_traces,
    )
    try:
        transport.start(session)
    except (RuntimeError, MemoryError) as error:
        session.connection_lost(None, "There is no thread to read it.")
        raise ConnectError(url, f"{error}.") from error
    return ClientSession(session, transport, url, api if check else None)


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
        self._host = urlsplit(url).netloc.rpartition("@")[2]  # without credentials

    @property
    def main(self) -> MainApi:
        """The server's main object."""
        main: Any = self._session.main
        return main if self._api is None else with_api(main, self._api)

    @property
    def closed(self) -> bool:
        """Whether the session is over, whoever ended it."""
        return self._session.closed

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
        return f"<ClientSession with {self._host}{', closed' if self.closed else ''}>"

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


__all__ = ["ClientSession", "ConnectError", "ConnectTimeout", "HandshakeError", "connect"]
