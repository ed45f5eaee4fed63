"""We serve the scenarios, on /rpc/ws and /rpc/batch of a free port.

`python -m tests.interop.scenario_server`; the first line of its output says where, once it
accepts connections.
"""

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable, Iterable  # noqa: E402 - gevent patches before all else
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402

from capnweb_sync import RpcSession, serve  # noqa: E402
from capnweb_sync.runtimes.interface import set_default_runtime  # noqa: E402
from capnweb_sync.server import (  # noqa: E402
    Connection,
    Connections,
    GeventRuntime,
    WebSocketHandler,
    upgrade,
)
from tests.interop.scenario_api import Main  # noqa: E402


def main() -> None:
    batches = serve(Main)
    connections = Connections()
    runtime = GeventRuntime()
    set_default_runtime(runtime)

    def on_connection(connection: Connection) -> RpcSession:
        session = RpcSession(connection, Main(lambda: session), runtime=runtime)
        return session

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/rpc/batch":
            return batches(environ, start_response)
        if environ["PATH_INFO"] != "/rpc/ws":
            start_response("404 Not Found", [])
            return []
        _, headers = upgrade(environ, connections, on_connection)
        start_response("101 Switching Protocols", headers)
        return []

    server = WSGIServer(("127.0.0.1", 0), application, handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready ws://127.0.0.1:{server.server_port}/rpc/ws", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
