"""A WSGI application that echoes, for tests that need it in a process of its own.

Under gunicorn it is `tests.capnweb_sync.server.example_app:application`. As a script it serves on
a free port until it is killed.
"""

import sys
import time
from typing import Any

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

from capnweb_sync.server import (
    Connection,
    Connections,
    HandshakeError,
    UpgradeUnavailable,
    WebSocketHandler,
    upgrade,
)

#: Pings would come between the frames that a test waits for.
connections = Connections(close_timeout=0.5, ping_interval=3600.0)
connections.on_drain.append(lambda: print("hook ran", flush=True))


class EchoSession:
    """Sends every message back."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def receive(self, message: str, /) -> None:
        self._connection.send(self._connection.pack(message.encode()))

    def connection_lost(self, close_code: int | None, reason: str, /) -> None:
        print(f"connection over: {close_code}", flush=True)


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`/ws` is the WebSocket, `/slow` takes a second, anything else is a greeting."""
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    elif environ["PATH_INFO"] in ("/ws", "/"):
        try:
            _, headers = upgrade(environ, connections, EchoSession)
        except HandshakeError as error:
            start_response(error.status, error.headers)
            return [error.sentence.encode()]
        except UpgradeUnavailable as error:
            start_response("501 Not Implemented", [("Content-Type", "text/plain")])
            return [error.sentence.encode()]
        start_response("101 Switching Protocols", headers)
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def main() -> None:
    """Serve on a free port."""
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(
        ("127.0.0.1", 0),
        application,
        handler_class=WebSocketHandler,
        log=None,
        error_log=sys.stderr,
    )
    server.start()
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
