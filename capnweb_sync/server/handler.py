"""The WSGI handler that lets the route decide about an upgrade and the connection outlive it."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pywsgi import WSGIHandler
from geventwebsocket.handler import WebSocketHandler as GeventWebSocketHandler

from .connection import Connection
from .connections import Connections
from .handshake import UPGRADE_KEY, OnConnection, Upgrade
from .sockets import take_socket


class WebSocketHandler(GeventWebSocketHandler):  # type: ignore[misc]  # its package is untyped
    """Gevent-websocket's handler, with the upgrade left to the application (see `handshake`).

    Unlike its parent, which upgrades before the application is asked and runs the WebSocket inside
    of the request, it runs the application like any other and looks at the answer afterwards.
    """

    socket: Any
    provided_content_length: Any

    # The parent's versions belong to its own upgrade. The logging of the server, or of gunicorn's
    # handler when it stands between, is next in line.
    run_application = WSGIHandler.run_application

    def log_request(self) -> None:
        """Log like the handler that gevent-websocket's derives from."""
        super(GeventWebSocketHandler, self).log_request()

    def get_environ(self) -> dict[str, Any]:
        """The environ, with an `Upgrade` in it for the route."""
        environ: dict[str, Any] = super().get_environ()
        environ[UPGRADE_KEY] = Upgrade()
        return environ

    def finalize_headers(self) -> None:
        """An answer with status 101 has no length (RFC 9110, section 8.6)."""
        if self.code == 101:
            self.provided_content_length = "none"
        super().finalize_headers()

    def handle_one_response(self) -> None:
        """Answer the request; if it was upgraded and the answer went out, begin the connection."""
        upgrade: Upgrade = self.environ[UPGRADE_KEY]
        try:
            super().handle_one_response()
        finally:
            if upgrade.accepted is not None:
                upgrade.accepted[0].release()
        # The code is negative if sending failed.
        if upgrade.accepted is not None and self.code == 101 and self.headers_sent:
            self._begin_connection(*upgrade.accepted)

    def _begin_connection(self, connections: Connections, on_connection: OnConnection) -> None:
        early = self._received_early()
        # The request refers to the environ and the environ to the request, in Werkzeug and others.
        self.environ.clear()
        # Without a socket, the handler and its server find nothing to read on or to close.
        handled, self.socket = self.socket, None
        self.close_connection = True
        connection = Connection(take_socket(handled), self.client_address, connections)
        gevent.spawn_raw(connection.start, on_connection, early)

    def _received_early(self) -> bytes:
        """What came together with the request and stands in the buffer of the HTTP reader."""
        self.socket.settimeout(0.0)
        try:
            early: bytes = self.rfile.peek()
        except OSError:
            # Nothing there (TLS says it so), or a broken connection, which will be seen again.
            return b""
        return early
