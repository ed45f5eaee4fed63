"""The WSGI handler that lets the route decide about an upgrade and the connection outlive it, and
that waits for no client without end."""

from __future__ import annotations

import errno
import io
import logging
from collections.abc import Hashable
from typing import Any

import gevent
from gevent.pywsgi import WSGIHandler
from geventwebsocket.handler import WebSocketHandler as GeventWebSocketHandler

from ..runtimes.turns import wait_turn
from .connection import Connection
from .connections import Connections
from .handshake import UPGRADE_KEY, OnConnection, Upgrade
from .http_connections import (
    DEFAULT_HTTP_CONNECTIONS,
    BodyReader,
    HttpConnections,
    TooManyOfOne,
    Wait,
)
from .http_head import HeadTooLarge, read_fields
from .sockets import take_socket

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)

#: Bytes of an answer for each of which there is patience: who takes none of 8 MiB would otherwise
#: have the server hold them for two hours.
_SENT_AT_ONCE = 64 * 1024

_logger = logging.getLogger("capnweb_sync")


class WebSocketHandler(GeventWebSocketHandler):  # type: ignore[misc]  # its package is untyped
    """Gevent-websocket's handler, with the upgrade left to the application (see `handshake`); what
    of its parent is used stands at the top of the package.

    Unlike its parent, which upgrades before the application is asked and runs the WebSocket inside
    of the request, it runs the application like any other and looks at the answer afterwards.
    """

    socket: Any
    rfile: Any
    provided_content_length: Any
    wsgi_input: Any

    #: For the client to send what comes before the application: None while that runs.
    _wait: Wait | None = None
    #: Whose connection it is, where `HttpLimits.client_of` tells.
    _client: Hashable | None = None

    # The parent's versions belong to its own upgrade. The logging of the server, or of gunicorn's
    # handler when it stands between, is next in line.
    run_application = WSGIHandler.run_application

    def log_request(self) -> None:
        """Log like the handler that gevent-websocket's derives from."""
        super(GeventWebSocketHandler, self).log_request()

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        """For gevent's server.

        Args:
            sock: the connection.
            address: the peer's.
            server: the `WSGIServer`; its `http_connections`, if it has some, bound what clients may
                hold.
        """
        super().__init__(sock, address, server)
        connections: HttpConnections | None = getattr(server, "http_connections", None)
        self._http = connections or DEFAULT_HTTP_CONNECTIONS

    def handle(self) -> None:
        """Serve requests until the connection is over, or no HTTP any more."""
        try:
            with self._http.admitted(self.client_address) as self._client:
                super().handle()
        except Wait as wait:
            if wait is not self._wait:
                raise
        except (OSError, TooManyOfOne) as error:
            # Not the application's: it is the refusal of a bad request that nobody took.
            _logger.info("The client %s has gone: %s", self.client_address, error)
        finally:
            self._end_wait()

    def read_requestline(self) -> str:
        """Wait for a request and read its first line."""
        if self.environ is not None:
            self._wait = self._http.wait(self._http.limits.idle_seconds, self._client)
            self.rfile.peek(1)
            self._end_wait()
        self._wait = self._http.wait(self._http.limits.head_seconds, self._client)
        line: str = super().read_requestline()
        if line in ("\r\n", "\n"):
            # One too many after the body before (RFC 9112, section 2.2).
            line = super().read_requestline()
        return line

    def read_request(self, raw_requestline: str) -> Any:
        """Read the header fields and check the whole head. Raises BadHead."""
        connection = self.rfile
        fields = read_fields(raw_requestline.encode("latin-1"), connection.readline)
        # The parent's parser reads what was checked, and what it makes of it is true then.
        self.rfile = io.BytesIO(fields)
        try:
            return super().read_request(raw_requestline)
        finally:
            self.rfile = connection

    def _end_wait(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.close()

    def get_environ(self) -> dict[str, Any]:
        """The environ, with an `Upgrade` in it for the route."""
        # The head of the request is complete.
        self._end_wait()
        environ: dict[str, Any] = super().get_environ()
        environ[UPGRADE_KEY] = Upgrade()
        self._peer_host = environ.get("REMOTE_ADDR")
        # The parent gives the bare file of the connection to what looks like an upgrade.
        self.wsgi_input.rfile = self._body = BodyReader(self.rfile, self._http.limits)
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    def log_error(self, msg: str, *args: Any) -> None:
        """Note a request that is none. Anyone can send anything: it is no error of the server."""
        _logger.info(msg, *args)

    def _handle_client_error(self, ex: Exception) -> Any:
        """The answer to a request that is none; None for a client that has gone."""
        if isinstance(ex, OSError):
            self.log_error("The client %s has gone: %s", self.client_address, ex)
            return None
        if isinstance(ex, HeadTooLarge):
            self.log_error("Invalid request (from %s): %s", self.client_address, ex)
            return "431", _HEAD_TOO_LARGE
        # Its parser fails in other ways than with a ValueError, too.
        return super()._handle_client_error(ex if isinstance(ex, ValueError) else ValueError(ex))

    def _sendall(self, data: bytes) -> None:
        """Send a part of the answer. Raises BrokenPipeError, which the parent takes for what it is:
        the client has gone, for whatever reason, or does not take its answer."""
        too_slow = BrokenPipeError(errno.EPIPE, "the client takes its answer too slowly")
        parts = memoryview(data)
        try:
            for start in range(0, len(data), _SENT_AT_ONCE):
                part = parts[start : start + _SENT_AT_ONCE]
                with gevent.Timeout(self._http.limits.patience(len(part)), too_slow):
                    super()._sendall(part)
        except OSError as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from error

    def finalize_headers(self) -> None:
        """An answer with status 101 has no length (RFC 9110, section 8.6)."""
        if self.code == 101:
            self.provided_content_length = "none"
        super().finalize_headers()

    def handle_one_response(self) -> None:
        """Answer the request; if it was upgraded and the answer went out, begin the connection."""
        upgrade: Upgrade = self.environ[UPGRADE_KEY]
        # A client that sends one request after another, and takes the answers, never has the
        # server wait: nothing else would run until it is done.
        wait_turn()
        try:
            super().handle_one_response()
        finally:
            if upgrade.accepted is not None:
                upgrade.accepted[0].release()
            if self._body.broken:
                self.close_connection = True
        # The code is negative if sending failed.
        if upgrade.accepted is not None and self.code == 101 and self.headers_sent:
            self._begin_connection(*upgrade.accepted)

    def _begin_connection(self, connections: Connections, on_connection: OnConnection) -> None:
        early, address = self._received_early(), self._address_of_client()
        # The request refers to the environ and the environ to the request, in Werkzeug and others.
        self.environ.clear()
        # Without a socket, the handler and its server find nothing to read on or to close.
        handled, self.socket = self.socket, None
        self.close_connection = True
        connection = Connection(take_socket(handled), address, connections)
        gevent.spawn_raw(connection.start, on_connection, early)

    def _address_of_client(self) -> Any:
        """The address of the peer, or what the application believes its proxies about it."""
        believed = self.environ.get("REMOTE_ADDR")
        if believed is None or believed == self._peer_host:
            return self.client_address
        unknown_port = 0
        return believed, unknown_port

    def _received_early(self) -> bytes:
        """What came together with the request and stands in the buffer of the HTTP reader."""
        self.socket.settimeout(0.0)
        try:
            early: bytes = self.rfile.peek()
        except OSError:
            # Nothing there (TLS says it so), or a broken connection, which will be seen again.
            return b""
        return early
