"""Which server runs the application: whether a WebSocket can live there, and how many.

Werkzeug's (`flask run` starts it) and gunicorn's put the socket into the environ, where
simple-websocket finds it. waitress, uWSGI and mod_wsgi do not, and keep it to themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from ..handshake import UpgradeUnavailable

SOCKETS: Final = ("werkzeug.socket", "gunicorn.socket")
"""Where servers with threads leave the socket, and simple-websocket looks for it."""

_OTHERS: Final = (
    "flask run, gunicorn --threads 100, or gevent's WSGIServer with"
    " handler_class=capnweb_sync.server.WebSocketHandler can do it."
)
NO_SOCKET: Final = f"This server cannot do WebSocket, as it keeps the socket to itself; {_OTHERS}"
ONE_THREAD: Final = (
    "A WebSocket holds a thread here, and this server has one alone. Start gunicorn with --threads"
    " 100, or flask run without --without-threads."
)
GREENLETS: Final = (
    "This worker of gunicorn runs on greenlets. Start it with"
    " -k capnweb_sync.server.worker.WebSocketWorker, or with --threads 100."
)

DEBUGGER: Final = "werkzeug.debug.preserve_context"
"""What Werkzeug's debugger (`flask run --debug`) leaves in the environ."""

_GTHREAD: Final = "gunicorn.workers.gthread"


class ThreadedServer(NamedTuple):
    """What is known of the server."""

    key: str
    """Where the environ has the socket."""
    socket: Any
    worker: Any
    """gunicorn's, or None."""
    has_debugger: bool = False
    """Whether exceptions of the application are shown to developers, whatever they are."""

    @property
    def room(self) -> int | None:
        """How many connections leave a thread for everything else; None if threads are made on
        demand."""
        return None if self.worker is None else int(self.worker.cfg.threads) - 1


def find_server(environ: Mapping[str, Any]) -> ThreadedServer:
    """The server that has called the application.

    Raises:
        UpgradeUnavailable: no WebSocket can live there; says which server to take.
    """
    key = next((key for key in SOCKETS if environ.get(key) is not None), None)
    if key is None:
        raise UpgradeUnavailable(NO_SOCKET)
    if not environ.get("wsgi.multithread"):
        raise UpgradeUnavailable(ONE_THREAD)
    if not key.startswith("gunicorn"):
        return ThreadedServer(key, environ[key], None, DEBUGGER in environ)
    worker = _worker(sys._getframe())
    if worker is None:
        raise UpgradeUnavailable(GREENLETS)
    found = ThreadedServer(key, environ[key], worker)
    if not found.room:
        raise UpgradeUnavailable(ONE_THREAD)
    return found


def _worker(frame: FrameType | None) -> Any:
    """gunicorn's worker with threads, of which the environ says nothing: it is among those that
    have called this. None if it is of another kind."""
    while frame is not None:
        if frame.f_globals.get("__name__") == _GTHREAD:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None
