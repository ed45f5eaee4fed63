"""Peer: gevent-websocket used plainly, JSON made for every recipient.

Written after the chat example of the package. Usage: gevent_websocket_server.py PORT
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import WebSocket

members: set[WebSocket] = set()
last_id = 0


def serve_member(websocket: WebSocket) -> None:
    """Read one connection until it ends."""
    global last_id
    user = ""
    try:
        while (message := websocket.receive()) is not None:
            request = json.loads(message)
            if request["type"] == "join":
                user = request["user"]
                members.add(websocket)
                websocket.send(json.dumps({"type": "welcome"}))
                continue
            last_id += 1
            stamp = int(time.time() * 1000)
            event = {
                "id": last_id,
                "type": "chat",
                "user": user,
                "text": request["text"],
                "time": stamp,
            }
            for member in list(members):
                member.send(json.dumps(event))
    except WebSocketError:
        pass  # the connection ended without a close frame
    finally:
        members.discard(websocket)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    serve_member(environ["wsgi.websocket"])
    return []


address = ("127.0.0.1", int(sys.argv[1]))
WSGIServer(address, application, handler_class=WebSocketHandler, log=None).serve_forever()
