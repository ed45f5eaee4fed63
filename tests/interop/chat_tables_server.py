"""The chat server with one address more: /tables tells how large the tables of its sessions are.

`python -m tests.interop.chat_tables_server`; the first line of its output says where it is.
"""

from gevent import monkey

monkey.patch_all()

from flask import Response, jsonify  # noqa: E402 - gevent patches before all else
from gevent.pywsgi import WSGIServer  # noqa: E402

from capnweb_sync import RpcSession  # noqa: E402
from capnweb_sync.server import WebSocketHandler  # noqa: E402
from chatserver.app import create_app  # noqa: E402
from chatserver.service import current_service  # noqa: E402


def tables() -> Response:
    """The statistics of each open session."""
    sessions = [connection.session for connection in current_service().connections]
    return jsonify([session.stats() for session in sessions if isinstance(session, RpcSession)])


def main() -> None:
    app = create_app({"STORE": "memory:"})
    app.add_url_rule("/tables", view_func=tables)
    server = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready ws://127.0.0.1:{server.server_port}/rpc/ws", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
