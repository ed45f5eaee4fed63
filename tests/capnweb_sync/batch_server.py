"""A Flask application that serves batches on /rpc, on a free port.

`python -m tests.capnweb_sync.batch_server werkzeug|gevent`; the first line of its output says
where, once it accepts connections.
"""

import sys

if __name__ == "__main__" and sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

from concurrent.futures import Future
from typing import Any

from flask import Flask

from capnweb_sync import ReadableStream, RpcStub, RpcTarget, serve

BATCH_SECONDS = 0.5
MAX_BATCH = 100_000
MAX_ANSWER = 1_000_000

KEPT: list[RpcStub] = []
"""What batches have left behind."""


class Api(RpcTarget):
    def __init__(self) -> None:
        self._notes: list[str] = []

    def echo(self, value: Any) -> Any:
        return value

    def note(self, text: str) -> None:
        self._notes.append(text)

    def notes(self) -> list[str]:
        return self._notes

    def tell(self, callback: RpcStub, *values: Any) -> str:
        for value in values:
            callback(value).dispose()
        return "told"

    def notify(self, listener: RpcStub, value: Any) -> None:
        listener.onValue(value).dispose()

    def ask(self, callback: RpcStub) -> Any:
        return callback().result()

    def passOn(self, callback: RpcStub) -> Any:
        return callback()

    def keep(self, callback: RpcStub) -> None:
        KEPT.append(callback.dup())

    def callKept(self) -> Any:
        return KEPT.pop()().result()

    def never(self) -> Future[None]:
        return Future()

    def count(self) -> Any:
        return iter(range(3))

    def total(self, numbers: ReadableStream) -> int:
        return sum(numbers)


def main() -> None:
    app = Flask("batches")
    service = serve(Api, batch_timeout=BATCH_SECONDS, max_batch=MAX_BATCH, max_answer=MAX_ANSWER)
    app.register_blueprint(service.blueprint("/rpc"))
    app.register_blueprint(serve({"answer": lambda: 42}).blueprint("/dict", name="dict"))
    app.register_blueprint(serve(lambda n: n + 1).blueprint("/function", name="function"))
    if sys.argv[1] == "gevent":
        from gevent.pywsgi import WSGIServer

        from capnweb_sync.server import WebSocketHandler

        server: Any = WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
        server.start()
    else:
        from werkzeug.serving import make_server

        server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
