"""A server on a free port, for clients that are cut off from it and come back.

`python -m tests.capnweb_sync.reconnecting_server`; the first line of its output says where, once it
accepts connections.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import time
from collections.abc import Callable
from concurrent.futures import Future

from gevent.pywsgi import WSGIServer

from capnweb_sync import RpcError, RpcPromise, RpcStub, RpcTarget, serve
from capnweb_sync.server import WebSocketHandler


class Person(RpcTarget):
    """What a login gives."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


class Api(RpcTarget):
    """Knows who is at its connection."""

    def __init__(self) -> None:
        self._name = "nobody"
        self._callback: RpcStub | None = None

    def login(self, name: str, callback: Callable[[str], RpcPromise]) -> Person:
        assert isinstance(callback, RpcStub)
        self._name, self._callback = name, callback.dup()
        return Person(name)

    def who(self) -> str:
        return self._name

    def tell(self, text: str) -> None:
        assert self._callback is not None
        self._callback(text).result()

    def never(self) -> Future[None]:
        return Future()

    def after(self, seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    def refuse(self) -> None:
        raise RpcError("Not you.", code="unauthorized")

    def fail(self, code: str) -> None:
        raise RpcError("Not now.", code=code)


def main() -> None:
    server = WSGIServer(("127.0.0.1", 0), serve(Api), handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"ready {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
