"""We serve the scenarios, on every path of a free port, under gevent or in threads.

`python -m tests.interop.scenario_server [threads]`; the first line of its output says where, once
it accepts connections.
"""

import sys

IN_THREADS = sys.argv[1:] == ["threads"]

if not IN_THREADS:
    from gevent import monkey

    monkey.patch_all()

from capnweb_sync import serve  # noqa: E402 - gevent patches before all else
from tests.interop.scenario_api import Main  # noqa: E402


def serve_in_greenlets() -> None:
    from gevent.pywsgi import WSGIServer

    from capnweb_sync.server import WebSocketHandler

    server = WSGIServer(("127.0.0.1", 0), serve(Main), handler_class=WebSocketHandler, log=None)
    server.start()
    tell(server.server_port or 0)
    server.serve_forever()


def serve_in_threads() -> None:
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, serve(Main), threaded=True)
    tell(server.server_port)
    server.serve_forever()


def tell(port: int) -> None:
    print(f"ready ws://127.0.0.1:{port}/rpc/ws", flush=True)


if __name__ == "__main__":
    if IN_THREADS:
        serve_in_threads()
    else:
        serve_in_greenlets()
