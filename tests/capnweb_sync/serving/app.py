"""A Flask application with services of all kinds, for the servers of `conftest`.

Under gevent it runs as a script; Flask, Werkzeug and gunicorn import it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import flask
from flask import Flask

from capnweb_sync import Refused, RpcError, RpcPromise, RpcSession, RpcTarget, broadcast, serve

torn_down: list[str] = []
"""The paths of requests whose context is gone."""

left: list[str] = []
"""Whose connections have ended, and the class of the error."""

listeners: list[Any] = []


class Api(RpcTarget):
    """What the tests call."""

    def __init__(self, name: str = "nobody") -> None:
        self._name = name
        self._session: RpcSession
        self._door = threading.Event()
        self._kept: list[Any] = []

    def _on_session(self, session: RpcSession) -> None:
        self._session = session
        session.on_disconnect(lambda error: left.append(f"{self._name} {type(error).__name__}"))

    def who(self) -> str:
        return self._name

    def greet(self, name: str) -> str:
        return f"Hello, {name}!"

    def address(self) -> list[Any]:
        return list(self._session.peer_address)

    def hang_up(self) -> None:
        self._session.close(4001, "Enough.")

    def fail(self) -> None:
        raise RpcError("No.")

    def ask(self, callback: Callable[[str], RpcPromise[str]]) -> str:
        return callback("what?").result(5).upper()

    def wait(self, inside: Callable[[], RpcPromise[None]]) -> str:
        inside().result(5)
        while not self._door.wait(0.01):
            inside().result(5)
        return "opened"

    def open(self) -> None:
        self._door.set()

    def numbers(self, size: int) -> Iterator[bytes]:
        return (b"x" * 10_000 for _ in range(size // 10_000))

    def collect(self, chunks: Any) -> int:
        return sum(map(len, chunks))

    def flood(self, callback: Any, times: int) -> None:
        self._kept.append(callback.dup())
        for _ in range(times):
            self._kept[-1]("x" * 10_000)

    def listen(self, callback: Any) -> None:
        listeners.append(callback.dup())

    def tell_all(self, number: int) -> None:
        broadcast(listeners, None, number)

    def torn_down(self) -> list[str]:
        return torn_down

    def left(self) -> list[str]:
        return left


def for_request(request: flask.Request) -> Api:
    """A main object for whoever is logged in."""
    if request.headers.get("Authorization") == "Bearer bad":
        raise Refused(401, "Who are you?", [("WWW-Authenticate", "Bearer")])
    flask.session["seen"] = True
    in_context = flask.has_request_context() and flask.g.get("checked")
    return Api(
        f"{flask.session.get('user')} in {(request.view_args or {}).get('room')}"
        f" {request.args.get('q')} {request.remote_addr == '127.0.0.1'} {in_context}"
    )


app = Flask(__name__)
app.secret_key = "for tests"
ROOM = int(os.environ.get("MAX_CONNECTIONS", "0")) or None
app.register_blueprint(serve(Api, max_connections=ROOM).blueprint("/rpc"))
app.register_blueprint(serve(for_request=for_request).blueprint("/rooms/<room>", "rooms"))
app.register_blueprint(serve(Api, send_stack_traces=True).blueprint("/traces", "traces"))


in_a_view = serve(Api)


@app.route("/view", websocket=True)
def view() -> Any:
    """Not how it is done: the conversation would begin within the request."""
    return in_a_view


@app.before_request
def check() -> Any:
    flask.g.checked = True
    return ("Not you.", 403) if flask.request.headers.get("X-Banned") else None


@app.after_request
def add(response: flask.Response) -> flask.Response:
    if "X-Instead" in flask.request.headers:
        if flask.request.headers["X-Instead"] == "error":
            raise ValueError
        return app.make_response(("Something else.", 418))
    response.headers["X-After"] = "request"
    return response


@app.teardown_request
def note(_: BaseException | None) -> None:
    torn_down.append(flask.request.path)


@app.get("/login/<user>")
def login(user: str) -> str:
    flask.session["user"] = user
    return "welcome"


def main(port: int) -> None:
    """Serve with gevent."""
    from gevent.pywsgi import WSGIServer

    from capnweb_sync.server import WebSocketHandler

    server = WSGIServer(("127.0.0.1", port), app, handler_class=WebSocketHandler, log=None)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
