"""Opening the client's connection: TCP, TLS and handshake under one deadline, or a `ConnectError`.

websocket-client shakes hands; here are the steps, the deadline, and what people are told.
"""

from __future__ import annotations

import concurrent.futures
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

import websocket

# Its reading of `sslopt`; with a socket of ours, it leaves TLS to us.
from websocket._http import _ssl_socket

from ..errors import Reduced, reduced
from ..runtimes.fork import close_copy, in_child
from ..runtimes.threads import named, thread_runtime
from ..urls import Target, merged, parse_url
from .dialing import dial
from .proxies import proxy_for, tunnel

MAX_SENTENCE: Final = 500
"""Characters of the body of a refusal that are worth showing."""


class ConnectError(ConnectionError):
    """There is no connection: the name is unknown, nobody listens, TLS fails, the server refuses.

    `str(error)` is a sentence for a person.

    Args:
        url: where it was tried, without credentials.
        why: what went wrong, a sentence for a person.
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
    """The server answered with plain HTTP instead of an upgrade (RFC 6455, section 4.1).

    Args:
        url: where it was tried.
        status: the HTTP status.
        sentence: what a plain-text body says, empty if there is none.
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
        ValueError: `url` is not a WebSocket URL, or a header can be none.
    """
    target = parse_url(url, "ws", "wss")
    sent = merged(target, headers if origin is None else {**headers, "Origin": origin})
    opening = Opening(target, time.monotonic() + timeout, sslopt)
    outcome: concurrent.futures.Future[socket.socket] = concurrent.futures.Future()

    @named("capnweb_sync connect")
    def run() -> None:
        failure: BaseException | None = None
        try:
            opening.open(sent)
        except BaseException as error:
            failure = _explained(opening, timeout, error)
            opening.drop()
        if not outcome.set_running_or_notify_cancel():
            opening.drop()
        elif failure is not None:
            outcome.set_exception(failure)
        else:
            assert opening.sock is not None
            outcome.set_result(opening.sock)

    in_child(opening, Opening.let_go)
    try:
        thread_runtime().start(run)
    except (RuntimeError, MemoryError) as error:
        raise ConnectError(url, f"{error}.") from error
    try:
        concurrent.futures.wait([outcome], timeout)
    finally:
        late = outcome.cancel()
        if late and opening.sock is not None:
            try:
                opening.sock.shutdown(socket.SHUT_RDWR)  # Wakes the thread, if it reads.
            except OSError:
                pass  # Not connected yet, or no longer.
    if late:
        raise _too_late(opening, timeout)
    return outcome.result()


class Opening:
    """The steps to one connection, and how far they got.

    Attributes:
        sock: the connection so far.
        proxy: the proxy that is spoken to, as a phrase; empty while it is the server.
        response: what the server has answered the handshake with.
    """

    def __init__(self, target: Target, deadline: float, sslopt: Mapping[str, Any]) -> None:
        self.target = target
        self.sock: socket.socket | None = None
        self.proxy = ""
        self.response: Any = None
        self._deadline = deadline
        self._sslopt = dict(sslopt)

    def open(self, headers: Mapping[str, str]) -> None:
        """Go all the way. Raises whatever keeps it from getting there."""
        target = self.target
        proxy = proxy_for(target)
        if proxy is None:
            sock = self._dial(target)
        else:
            variable, address = proxy
            self.proxy = f"the proxy {address.url} ({variable} in the environment) fails: "
            sock = self._dial(address)
            tunnel(sock, address, target)
            self.proxy = ""
        if target.secure:
            self.sock = sock = _ssl_socket(sock, self._sslopt, target.host)
        opener = websocket.WebSocket(enable_multithread=False)
        try:
            # A redirect would take the headers, credentials perhaps, to another server.
            opener.connect(  # type: ignore[no-untyped-call]
                target.url,
                socket=sock,
                header=dict(headers),
                suppress_origin=True,
                redirect_limit=0,
            )
        finally:
            self.response = opener.handshake_response

    def _dial(self, target: Target) -> socket.socket:
        self.sock = sock = dial(target.host, target.port, self._deadline)
        for option in websocket.DEFAULT_SOCKET_OPTION:
            sock.setsockopt(*option)
        sock.settimeout(max(self._deadline - time.monotonic(), 0.001))
        return sock

    def drop(self) -> None:
        """Close what there is."""
        if self.sock is not None:
            self.sock.close()

    def let_go(self) -> None:
        """In a forked child: what is being connected is the parent's."""
        if self.sock is not None:
            close_copy(self.sock)


def sentence_in(kind: str | None, body: bytes) -> str:
    """What the body of a refusal says to people; nothing where it is a page, or data.

    Args:
        kind: its `Content-Type`, if it has one.
        body: the body, or its beginning.
    """
    if kind is not None and "text/plain" not in kind:
        return ""
    return " ".join(body.decode("utf-8", "replace").split())[:MAX_SENTENCE]


def _explained(opening: Opening, timeout: float, error: BaseException) -> BaseException:
    """What `open_socket` raises for an error of one of the steps."""
    url, proxy, response = opening.target.url, opening.proxy, opening.response
    if isinstance(error, websocket.WebSocketBadStatusException):
        kind = (error.resp_headers or {}).get("content-type")
        return HandshakeError(url, error.status_code, sentence_in(kind, error.resp_body or b""))
    if response is not None and "location" in response.headers:
        location = response.headers["location"]
        return HandshakeError(url, response.status, f"It points to {location}.")
    if isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException)):
        return _too_late(opening, timeout)
    if isinstance(error, socket.gaierror):
        return ConnectError(url, f"{proxy}the name is not known ({error.strerror}).")
    if isinstance(error, OSError):
        return ConnectError(url, f"{proxy}{error.strerror or error}.")
    if isinstance(error, websocket.WebSocketException):
        return ConnectError(url, f"{str(error).rstrip('.')}.")
    return error


def _too_late(opening: Opening, timeout: float) -> ConnectTimeout:
    return ConnectTimeout(opening.target.url, f"{opening.proxy}no answer within {timeout:g} s.")
