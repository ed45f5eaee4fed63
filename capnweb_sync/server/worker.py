"""The gunicorn worker: `gunicorn -k capnweb_sync.server.worker.WebSocketWorker`.

Connections that outlived their requests are outside of gunicorn's `worker_connections` and of its
waiting for requests at the end. Capacity is `Connections.max_connections`; at the end this worker
runs the hooks `Connections.on_drain` and closes every connection with 1001, within gunicorn's
`graceful_timeout`. `worker_connections` is the bound on all others: at it, one that sends nothing
makes room for the next.
"""

from __future__ import annotations

from dataclasses import replace
from types import FrameType
from typing import Any

import gevent
from geventwebsocket.gunicorn.workers import GeventWebSocketWorker
from gunicorn.workers.ggevent import PyWSGIHandler

from .connections import drain_process
from .handler import WebSocketHandler
from .http_connections import HttpConnections, HttpLimits
from .http_server import HttpServer

#: Seconds left of `graceful_timeout` when draining is over: then the master kills.
_MARGIN = 1.0


class GunicornWebSocketHandler(WebSocketHandler, PyWSGIHandler):
    """`WebSocketHandler` with gunicorn's environ and access log."""

    rfile: Any


class WebSocketWorker(GeventWebSocketWorker):  # type: ignore[misc]  # its package is untyped
    """Gevent-websocket's worker with our handler, which drains when it stops; what of its parent is
    used stands at the top of the package."""

    wsgi_handler = GunicornWebSocketHandler

    #: May be set in gunicorn's hook `post_fork`. The bound on connections is `worker_connections`.
    http_limits = HttpLimits()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._servers: list[HttpServer] = []
        self._http: HttpConnections | None = None
        self._stopping: gevent.Greenlet[[], None] | None = None

    def server_class(self, listener: Any, *, spawn: Any, **options: Any) -> HttpServer:
        """Make one of the worker's servers; stands where its parent has the class.

        The parent's `spawn` accepts nobody while silent connections hold all its places.
        """
        if self._http is None:
            limits = replace(self.http_limits, max_connections=self.worker_connections)
            self._http = HttpConnections(limits)
        server = HttpServer(listener, http_connections=self._http, **options)
        self._servers.append(server)
        return server

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: begin to stop at once, not when the main loop looks the next time."""
        super().handle_exit(sig, frame)
        self._stop()

    def run(self) -> None:
        """Serve until told to stop, and until the connections are closed."""
        try:
            super().run()
        finally:
            # Also after SIGINT, SIGQUIT and the death of the master, which come as `SystemExit`.
            self._stop().join()

    def _stop(self) -> gevent.Greenlet[[], None]:
        if self._stopping is None:
            self._stopping = gevent.spawn(self._close_and_drain)
        return self._stopping

    def _close_and_drain(self) -> None:
        # First: a client that is told to go and comes back at once is for another worker.
        for server in self._servers:
            server.close()
        drain_process(max(_MARGIN, self.cfg.graceful_timeout - _MARGIN))
