"""Opening the client's connection: TCP, TLS and handshake under one deadline, or a `ConnectError`.

websocket-client does the work; here are the deadline and what people are told.
"""

from __future__ import annotations

import concurrent.futures
import socket
from collections.abc import Mapping
from typing import Any, Final

import websocket

from .errors import Reduced, reduced
from .fork import close_copy, in_child
from .threads import named, thread_runtime

MAX_SENTENCE: Final = 500
"""Characters of the body of a refusal that are worth showing."""


class ConnectError(ConnectionError):
    """There is no connection: the name is unknown, nobody listens, TLS fails, the server refuses.

    `url` is where it was tried; `str(error)` is a sentence for a person.
    """

    code: Final = "connect_failed"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"Cannot connect to {url}: {why}")
        self.url = url

    def __reduce__(self) -> Reduced:
        return reduced(self)


class ConnectTimeout(ConnectError, TimeoutError):
    """Connecting took longer than it may."""


class HandshakeError(ConnectError):
    """The server answered with plain HTTP instead of an upgrade.

    `status` is the HTTP status, `sentence` what a plain-text body says, empty if there is none.
    """

    def __init__(self, url: str, status: int, sentence: str) -> None:
        super().__init__(url, f"the server answered {status}. {sentence}".rstrip())
        self.status = status
        self.sentence = sentence


def open_socket(
    url: str,
    timeout: float,
    headers: Mapping[str, str],
    origin: str | None,
    sslopt: Mapping[str, Any],
) -> socket.socket:
    """Connect and shake hands within `timeout` seconds; the arguments are those of `connect`.

    A thread of its own does it, because a name that does not resolve and a server that answers
    one byte a second heed no timeout. Past the deadline it is left behind and cleans up.

    Raises:
        ConnectError: there is no connection.
        ValueError: `url` is not a WebSocket URL.
    """
    if not url.startswith(("ws://", "wss://")):
        raise ValueError(f"A WebSocket URL starts with ws:// or wss://, not like {url!r}.")
    opener = websocket.WebSocket(sslopt=dict(sslopt), enable_multithread=False)
    outcome: concurrent.futures.Future[socket.socket] = concurrent.futures.Future()

    @named("capnweb_sync connect")
    def run() -> None:
        failure: BaseException | None = None
        try:
            # A redirect would take the headers, credentials perhaps, to another server.
            opener.connect(  # type: ignore[no-untyped-call]
                url,
                timeout=timeout,
                header=dict(headers),
                origin=origin,
                suppress_origin=origin is None,
                redirect_limit=0,
            )
        except BaseException as error:
            failure = _explained(url, timeout, opener, error)
        sock = opener.sock
        if not outcome.set_running_or_notify_cancel():
            if sock is not None:
                sock.close()
        elif failure is not None:
            outcome.set_exception(failure)
        else:
            assert sock is not None
            outcome.set_result(sock)

    in_child(opener, _let_go)
    try:
        thread_runtime().start(run)
    except (RuntimeError, MemoryError) as error:
        raise ConnectError(url, f"{error}.") from error
    try:
        concurrent.futures.wait([outcome], timeout)
    finally:
        late = outcome.cancel()
        if late and opener.sock is not None:
            try:
                opener.sock.shutdown(socket.SHUT_RDWR)  # Wakes the thread, if it reads.
            except OSError:
                pass  # Not connected yet, or no longer.
    if late:
        raise ConnectTimeout(url, f"no answer within {timeout:g} s.")
    return outcome.result()


def _let_go(opener: websocket.WebSocket) -> None:
    """In a forked child: what is being connected is the parent's."""
    if opener.sock is not None:
        close_copy(opener.sock)


def _explained(
    url: str, timeout: float, opener: websocket.WebSocket, error: BaseException
) -> BaseException:
    """What `open_socket` raises for what websocket-client raised."""
    if isinstance(error, websocket.WebSocketBadStatusException):
        kind = (error.resp_headers or {}).get("content-type", "text/plain")
        body = (error.resp_body or b"").decode("utf-8", "replace") if "text/plain" in kind else ""
        return HandshakeError(url, error.status_code, " ".join(body.split())[:MAX_SENTENCE])
    response = opener.handshake_response
    if response is not None and "location" in response.headers:
        location = response.headers["location"]
        return HandshakeError(url, response.status, f"It points to {location}.")
    if isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException)):
        return ConnectTimeout(url, f"no answer within {timeout:g} s.")
    if isinstance(error, websocket.WebSocketAddressException):
        cause = error.args[0] if error.args else error
        return ConnectError(url, f"the name is not known ({getattr(cause, 'strerror', cause)}).")
    if isinstance(error, OSError):
        return ConnectError(url, f"{error.strerror or error}.")
    if isinstance(error, websocket.WebSocketException):
        return ConnectError(url, f"{str(error).rstrip('.')}.")
    if isinstance(error, ValueError):
        return ValueError(f"This is not a WebSocket URL: {url!r} ({error}).")
    return error
