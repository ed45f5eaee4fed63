"""gevent's HTTP server, with bounds on what clients may hold of it."""

from __future__ import annotations

import errno
import logging
from contextlib import closing
from typing import Any

from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from ..observe.seen import address_text
from .handler import WebSocketHandler
from .http_connections import HttpConnections, HttpLimits, TooManyOfOne, Wait

_logger = logging.getLogger("capnweb_sync")

#: Places beyond `max_connections`: for newcomers, while those whose places they take are closed. As
#: many as a server accepts at a time, and some.
_SPARE_PLACES = WSGIServer.max_accept

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class HttpServer(WSGIServer):
    """A `WSGIServer` for the requests and WebSockets of a process.

    `WebSocketHandler` keeps the limits under any server. This one has limits of its own, keeps
    them for the handshake of TLS, and closes who keeps it waiting when descriptors are lacking.
    """

    handler_class = WebSocketHandler

    #: Connections that are accepted in a turn of the loop; the parent's hundred, each of which may
    #: be a request, hold up the WebSockets for as many.
    max_accept = 8

    pool: Pool
    #: With TLS, what begins it, and the arguments for that.
    wrap_socket: Any
    ssl_args: Any

    def __init__(
        self,
        listener: Any,
        application: Any,
        *,
        http_connections: HttpConnections | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            listener: a listening socket, or an address.
            application: of WSGI.
            http_connections: shared with other servers of the process, if given.
            options: those of `WSGIServer`, but for `spawn`.
        """
        self.http_connections = http_connections or HttpConnections(HttpLimits())
        places = self.http_connections.limits.max_connections + _SPARE_PLACES
        super().__init__(listener, application, spawn=Pool(places), **options)

    def do_read(self) -> Any:
        """Accept a connection; None if there is none, or none at this moment."""
        try:
            return super().do_read()
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR and (
                self.http_connections.make_room() or self._newcomers_to_begin
            ):
                return None
            raise

    @property
    def _newcomers_to_begin(self) -> bool:
        """Whether accepted connections are not served yet, which may be asked for their places."""
        return len(self.pool) > self.http_connections.count

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        """Begin TLS on a new connection and serve it. A client that cannot is no error of ours."""
        options = {**self.ssl_args, "do_handshake_on_connect": False}
        with closing(self.wrap_socket(client_socket, **options)) as tls:
            if self._shake_hands(tls, address):
                self.handle(tls, address)

    def _shake_hands(self, tls: Any, address: Any) -> bool:
        connections = self.http_connections
        try:
            with connections.admitted(address) as client:
                wait = connections.wait(connections.limits.head_seconds, client)
                try:
                    tls.do_handshake()
                finally:
                    wait.close()
        except (Wait, TooManyOfOne, OSError) as error:
            _logger.info("No TLS with %s: %s", address_text(address), error)
            return False
        return True
