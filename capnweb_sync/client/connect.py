"""Cap'n Web over a WebSocket, for code that blocks: `connect` returns a session.

It works in a plain script, in threads, and in a process that gevent has monkey-patched. How the
connection is made is in `opening`, how it lives in `transport`, how it comes back, if it is to,
in `reconnecting`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, overload

from ..codec.encoder import check_sendable
from ..core.served_calls import OnSendError
from ..limits import DEFAULT_LIMITS, Limits
from ..observe.logs import log_handshake
from ..observe.seen import Observers
from ..runtimes.threads import thread_runtime
from ..session.session import RpcSession
from ..typed import MainApi
from ..urls import public_part
from .opening import ConnectError, ConnectTimeout, HandshakeError, open_socket
from .reconnect import Status
from .reconnecting import ReconnectingSession
from .session import ClientSession
from .transport import WebSocketTransport

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


@overload
def connect(
    url: str,
    main: Any = ...,
    *,
    reconnect: None = ...,
    api: Callable[..., MainApi] | None = ...,
    check: bool = ...,
    limits: Limits = ...,
    headers: Mapping[str, str] | None = ...,
    origin: str | None = ...,
    timeout: float = ...,
    ping_interval: float | None = ...,
    ping_timeout: float = ...,
    close_timeout: float = ...,
    max_waiting: int = ...,
    sslopt: Mapping[str, Any] | None = ...,
    send_stack_traces: bool = ...,
    result_timeout: float | None = ...,
    observer: Observers = ...,
    on_send_error: OnSendError | None = ...,
) -> ClientSession[MainApi]: ...


@overload
def connect(
    url: str,
    main: Any = ...,
    *,
    reconnect: Callable[[ClientSession[MainApi]], Any],
    on_status: Callable[[Status], Any] | None = ...,
    api: Callable[..., MainApi] | None = ...,
    check: bool = ...,
    limits: Limits = ...,
    headers: Mapping[str, str] | None = ...,
    origin: str | None = ...,
    timeout: float = ...,
    ping_interval: float | None = ...,
    ping_timeout: float = ...,
    close_timeout: float = ...,
    max_waiting: int = ...,
    sslopt: Mapping[str, Any] | None = ...,
    send_stack_traces: bool = ...,
    result_timeout: float | None = ...,
    observer: Observers = ...,
    on_send_error: OnSendError | None = ...,
) -> ReconnectingSession[MainApi]: ...


def connect(
    url: str,
    main: Any = None,
    *,
    reconnect: Callable[[ClientSession[MainApi]], Any] | None = None,
    on_status: Callable[[Status], Any] | None = None,
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
    result_timeout: float | None = None,
    observer: Observers = None,
    on_send_error: OnSendError | None = None,
) -> ClientSession[MainApi] | ReconnectingSession[MainApi]:
    """Connect to a Cap'n Web server and start a session.

    Of the addresses of a name, the first that answers is taken. The environment's `http_proxy`,
    `https_proxy` and `no_proxy` are heeded.

    Args:
        url: `ws://…` or `wss://…`. A name and a password in it (`wss://alice:secret@…`) are sent as
            HTTP has it, unless `headers` have an `Authorization`, and are never shown.
        main: what the server gets as our main object: an `RpcTarget`, a function, a dict, nothing.
        reconnect: called as `reconnect(session)` with the session of the first connection and of
            each later one, before it is used: it logs in, registers callbacks, and keeps the stubs
            that it gets. With it, the session that this returns comes back by itself.
        on_status: with `reconnect`, called with a `Status` when the connection is lost, before each
            attempt to get it back, and when it is there again; in a thread of its own.
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
        result_timeout: seconds that `result()` waits without a timeout of its own; None is without
            end.
        observer: an `Observer` that is told what happens, or several; with `reconnect`, on each
            connection.
        on_send_error: decides what the server learns of exceptions of ours, see `RpcSession`.

    Returns:
        The session, open. It is closed by `with` or `close`.

    Raises:
        ConnectError: there is no connection; `ConnectTimeout` and `HandshakeError` say more.
        TypeError: `main` can't be sent, `observer` is none, or `reconnect` is no function.
        Exception: with `reconnect`, what it raises on the first connection.
        ValueError: `url` is not a WebSocket URL, or a header can be none.
    """
    check_sendable(main)
    if reconnect is not None and not callable(reconnect):
        raise TypeError(
            f"reconnect= takes the function that sets a connection up, not {reconnect!r:.50}. One"
            " that has nothing to do is lambda session: None."
        )
    open_one = partial(
        open_session,
        url,
        main,
        api=api,
        check=check,
        limits=limits,
        headers=headers,
        origin=origin,
        timeout=timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_waiting=max_waiting,
        sslopt=sslopt,
        send_stack_traces=send_stack_traces,
        result_timeout=result_timeout,
        observer=observer,
        on_send_error=on_send_error,
    )
    if reconnect is None:
        return open_one()
    return ReconnectingSession(open_one, reconnect, on_status)


def open_session(
    url: str,
    main: Any,
    *,
    api: Callable[..., MainApi] | None,
    check: bool,
    limits: Limits,
    headers: Mapping[str, str] | None,
    origin: str | None,
    timeout: float,
    ping_interval: float | None,
    ping_timeout: float,
    close_timeout: float,
    max_waiting: int,
    sslopt: Mapping[str, Any] | None,
    send_stack_traces: bool,
    result_timeout: float | None,
    observer: Observers,
    on_send_error: OnSendError | None,
) -> ClientSession[MainApi]:
    """Make one connection, and a session on it; the arguments are those of `connect`."""
    began = time.perf_counter()
    try:
        sock = open_socket(url, timeout, headers or {}, origin, sslopt or {})
    except ConnectError as error:
        log_handshake(began, str(error))
        raise
    log_handshake(began, f"with {public_part(url)}: 101")
    try:
        transport = WebSocketTransport(
            sock,
            max_message=limits.max_message_size,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_waiting=max_waiting,
            peer=public_part(url),
        )
    except OSError as error:  # there is no descriptor left
        sock.close()
        raise ConnectError(url, f"{error.strerror or error}.") from error
    session = RpcSession(
        transport,
        main,
        runtime=thread_runtime(),
        limits=limits,
        send_stack_traces=send_stack_traces,
        observer=observer,
        on_send_error=on_send_error,
    )
    try:
        transport.start(session)
    except (RuntimeError, MemoryError) as error:
        session.connection_lost(None, "There is no thread to read it.")
        raise ConnectError(url, f"{error}.") from error
    session.calls.result_timeout = result_timeout
    return ClientSession(session, transport, url, api if check else None)


__all__ = [
    "ClientSession",
    "ConnectError",
    "ConnectTimeout",
    "HandshakeError",
    "ReconnectingSession",
    "Status",
    "connect",
]
