"""Cap'n Web over WebSocket on a gevent server: this is its table of contents.

| file | what lives there |
|---|---|
| `handshake` | `upgrade()`, for the route: the opening handshake; knows nothing of gevent |
| `handler` | `WebSocketHandler` for gevent's `WSGIServer`: from the request to the connection |
| `http_server` | `HttpServer`: gevent's, with bounds on what clients may hold of it |
| `http_connections` | `HttpLimits`; the connections that are no WebSockets, and those that wait |
| `http_head` | what a request's head must be, without I/O |
| `worker` | `WebSocketWorker` for gunicorn; imported by its name only |
| `connection` | `Connection`: one open WebSocket, the transport of its session; reading |
| `closing` | how it ends |
| `connections` | `Connections`: all of them in this process; capacity, pings, draining |
| `frames` | reading and writing frames, without I/O |
| `outbox` | what waits to be sent, and the flush at the end of a turn |
| `sockets` | the socket that is taken over from the handler |

How sessions wait and run calls in greenlets is `GeventRuntime`, in `runtimes/greenlets`.

**What gevent-websocket does for us.** The handler and the worker derive from its, so that whatever
asks for one of gevent-websocket's finds one.

- `WebSocketHandler`: its seat on gevent's `WSGIHandler`, and `start_response`, which checks that no
  head has gone out. Ours replaces `run_application`, since the parent's upgrades before the
  application is asked, and `log_request`, in favour of the server's or gunicorn's.
- `GeventWebSocketWorker`: its seat on the `GeventPyWSGIWorker` of gunicorn, with patching, the
  main loop, heartbeats and signals. Ours replaces `wsgi_handler`, and `server_class` for bounds on
  connections that are no WebSockets; `run` and `handle_exit` drain besides.

Its handshake, its frames (unmasked byte by byte in Python) and its `WebSocket` (which lives inside
of a request, and so keeps a greenlet) are not used: `handshake`, `frames` and `connection` are.
"""

from ..close_codes import CloseCode, describe_close
from ..runtimes.greenlets import GeventRuntime, gevent_runtime
from .closing import Session
from .connection import Connection
from .connections import Connections, drain_process
from .handler import WebSocketHandler
from .handshake import HandshakeError, UpgradeUnavailable, no_room, upgrade
from .http_connections import HttpConnections, HttpLimits
from .http_server import HttpServer

__all__ = [
    "CloseCode",
    "Connection",
    "Connections",
    "GeventRuntime",
    "HandshakeError",
    "HttpConnections",
    "HttpLimits",
    "HttpServer",
    "Session",
    "UpgradeUnavailable",
    "WebSocketHandler",
    "describe_close",
    "drain_process",
    "gevent_runtime",
    "no_room",
    "upgrade",
]
