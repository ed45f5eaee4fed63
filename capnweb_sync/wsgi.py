"""Serving a main object: over HTTP batch and WebSocket in any WSGI server, or on any transport.

    service = serve(Api)                                  # a new Api for each session
    app.register_blueprint(service.blueprint("/rpc"))     # in Flask, or
    WSGIServer(("", 8080), service, handler_class=WebSocketHandler)

A `Service` is a WSGI application: a POST is a batch, a request for an upgrade becomes a WebSocket
where the server can do that (see `server`). Web pages of other sites are refused unless they are
allowed (see `origins`). Nothing here needs Flask or gevent until it is used.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from .codec.encoder import check_sendable
from .core.served_calls import OnSendError
from .core.targets import RpcTarget
from .limits import DEFAULT_LIMITS, Limits
from .observe.seen import Observers
from .origins import Origins
from .runtimes.interface import Runtime, Transport
from .session.batch_transport import BatchTransport
from .session.session import RpcSession

if TYPE_CHECKING:
    from flask import Blueprint

    from .server import Connection, Connections, HandshakeError

BATCH_SECONDS: Final = 30.0
"""How long the calls of one batch may take by default: a usual patience of proxies is 60 s."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a batch by default; it is held in memory while it is served."""

ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the answer to a batch by default. A short batch can name one large result many times,
and the answer is held in memory until its client has read it."""

FOREIGN_PAGE: Final = (
    b"Pages of another site may not use this service; allow_origins of serve() lets them.\n"
)

StartResponse = Callable[..., Any]
Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], bytes]


class Service:
    """What `serve` returns: a WSGI application, and ways to fit it in elsewhere."""

    def __init__(
        self,
        main: Any,
        *,
        limits: Limits,
        batch_timeout: float,
        max_batch: int,
        max_answer: int,
        origins: Origins,
        max_connections: int | None,
        observer: Observers,
        on_send_error: OnSendError | None,
    ) -> None:
        """For `serve`.

        Args:
            main: as there.
            limits: as there.
            batch_timeout: as there, in seconds.
            max_batch: as there, in bytes.
            max_answer: as there, in bytes.
            origins: the sites whose pages may use the service.
            max_connections: as there.
            observer: as there.
            on_send_error: as there.

        Raises:
            TypeError: `main` could be no main object.
        """
        check_main(main)
        self._main = main
        self._limits = limits
        self._batch_timeout = batch_timeout
        self._max_batch = max_batch
        self._max_answer = max_answer
        self._origins = origins
        self._max_connections = max_connections
        self._observer = observer
        self._on_send_error = on_send_error
        self._connections: Connections | None = None

    def session(self, transport: Transport, runtime: Runtime | None = None) -> RpcSession:
        """Make a session on a transport of your own: hand incoming messages to its `receive`, and
        call its `connection_lost` at the end.

        Args:
            transport: carries its messages; yours to end.
            runtime: how its calls run; threads by default.

        Returns:
            The session, with a main object of its own where `serve` got a class.
        """
        main = self._main() if isinstance(self._main, type) else self._main
        return RpcSession(
            transport,
            main,
            runtime=runtime,
            limits=self._limits,
            observer=self._observer,
            on_send_error=self._on_send_error,
        )

    @property
    def connections(self) -> Connections:
        """The open WebSockets, made with the first use; needs gevent."""
        if self._connections is None:
            from .server import Connections
            from .server.connections import DEFAULT_MAX_CONNECTIONS

            self._connections = Connections(
                max_connections=self._max_connections or DEFAULT_MAX_CONNECTIONS,
                max_message=self._limits.max_message_size,
            )
        return self._connections

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        headers: list[tuple[str, str]]
        if self._origins.refuse(environ):
            status, headers, body = "403 Forbidden", [], FOREIGN_PAGE
        elif "websocket" in environ.get("HTTP_UPGRADE", "").lower():
            status, headers, body = self._upgrade(environ)
        elif environ.get("REQUEST_METHOD") == "POST":
            status, headers, body = self._batch(environ)
        else:
            status, headers = "405 Method Not Allowed", [("Allow", "POST")]
            body = b"Send a batch with POST, or connect with a WebSocket.\n"
        if not status.startswith("101"):
            headers.append(("Content-Type", "text/plain; charset=utf-8"))
            headers.append(("Content-Length", str(len(body))))
            headers += self._origins.answer_headers(environ)
        start_response(status, headers)
        return [body] if body else []

    def _upgrade(self, environ: Environ) -> Answer:
        try:
            from .server import HandshakeError, UpgradeUnavailable, gevent_runtime, upgrade
        except ImportError:
            return "501 Not Implemented", [], b"WebSocket needs the package gevent here.\n"

        def begin(connection: Connection) -> RpcSession:
            return self.session(connection, gevent_runtime())

        try:
            _, headers = upgrade(environ, self.connections, begin)
        except HandshakeError as error:
            return _refusal(error)
        except UpgradeUnavailable as error:
            return "501 Not Implemented", [], f"{error.sentence}\n".encode()
        return "101 Switching Protocols", headers, b""

    def _batch(self, environ: Environ) -> Answer:
        if self._connections is not None and self._connections.draining:
            from .server import no_room

            return _refusal(no_room())
        try:
            body = read_body(environ, self._max_batch)
        except TooLarge:
            sentence = f"A batch has {self._max_batch} bytes at most.\n"
            return "413 Content Too Large", [], sentence.encode()
        except ValueError:
            return "400 Bad Request", [], b"The body of the request is incomplete.\n"
        transport = BatchTransport(self._max_answer)
        transport.peer = environ.get("REMOTE_ADDR")
        session = self.session(transport)
        transport.on_too_large = session.close
        deadline = time.monotonic() + self._batch_timeout
        taken = session.runtime.in_turns(take_lines(session, body, deadline))
        in_time = (
            session.runtime.wait(taken, self._batch_timeout)
            and time.monotonic() < deadline
            and session.drain(deadline - time.monotonic())
        )
        answer = transport.take()
        session.connection_lost(None, "The batch is over.")
        if transport.too_large:
            sentence = f"An answer has {self._max_answer} bytes at most: ask for less at a time.\n"
            return "413 Content Too Large", [], sentence.encode()
        if not in_time:
            sentence = f"The batch took longer than {self._batch_timeout:g} s.\n"
            return "504 Gateway Timeout", [], sentence.encode()
        return "200 OK", [], answer

    def blueprint(self, url: str = "/rpc", name: str = "capnweb") -> Blueprint:
        """Make a Flask blueprint that serves batches and WebSockets.

        Args:
            url: the path of both.
            name: the blueprint's.

        Returns:
            A `flask.Blueprint`, to be registered.
        """
        from flask import Blueprint

        def view() -> Any:
            return self

        blueprint = Blueprint(name, __name__)
        # Werkzeug routes a request for an upgrade only to the first kind of rule.
        blueprint.add_url_rule(url, "websocket", view, websocket=True)
        blueprint.add_url_rule(url, "batch", view, methods=["POST"])
        return blueprint


def check_main(main: Any) -> None:
    """Raise TypeError for what could be no main object of any session."""
    if not (isinstance(main, type) and issubclass(main, RpcTarget)):
        check_sendable(main)
        return
    try:
        inspect.signature(main).bind()
    except TypeError as error:
        raise TypeError(
            f"Each session gets a new {main.__qualname__}, made without arguments: {error}."
            " Serve an object instead, or a class that needs none."
        ) from None


def _refusal(error: HandshakeError) -> Answer:
    return error.status, list(error.headers), f"{error.sentence}\n".encode()


def take_lines(session: RpcSession, body: bytes, deadline: float) -> Iterator[None]:
    """Take the messages of a batch, in pieces; no more of them once the session is over or it is
    later than `deadline` (`time.monotonic`)."""
    start = 0
    while start < len(body) and not session.closed and time.monotonic() < deadline:
        end = body.find(b"\n", start)
        if end < 0:
            end = len(body)
        session.receive(body[start:end])
        start = end + 1
        yield


class TooLarge(Exception):
    """The body of a request has more bytes than are accepted."""


def read_body(environ: Environ, limit: int) -> bytes:
    """The body of the request. Raises TooLarge past `limit` bytes, ValueError if it is broken."""
    announced = environ.get("CONTENT_LENGTH") or ""
    terminated = environ.get("wsgi.input_terminated") or "HTTP_TRANSFER_ENCODING" in environ
    if announced and not announced.isdecimal():
        raise ValueError
    size = int(announced) if announced else limit + 1 if terminated else 0
    if announced and size > limit:
        raise TooLarge
    try:
        body: bytes = environ["wsgi.input"].read(size)
    except OSError as error:
        raise ValueError from error
    if len(body) > limit:
        raise TooLarge
    if announced and len(body) != size:
        raise ValueError
    return body


def serve(
    main: Any,
    *,
    limits: Limits = DEFAULT_LIMITS,
    batch_timeout: float = BATCH_SECONDS,
    max_batch: int = BATCH_BYTES,
    max_answer: int = ANSWER_BYTES,
    allow_origins: Iterable[str] | Origins = (),
    max_connections: int | None = None,
    observer: Observers = None,
    on_send_error: OnSendError | None = None,
) -> Service:
    """Serve `main`.

    Args:
        main: a class derived from `RpcTarget`, of which each session gets a new object, or an
            object or function that all sessions share.
        limits: of each session.
        batch_timeout: seconds that one batch may take, taking it and its calls together.
        max_batch: bytes of one batch.
        max_answer: bytes of the answer to one; a larger one gets status 413 instead.
        allow_origins: other sites whose web pages may use the service, such as
            `https://chat.example`; `*` for any. Without it, those of the same origin may, and
            programs, which send none.
        max_connections: WebSockets at a time in this process, by default as many as `Connections`
            has; one more gets status 503.
        observer: an `Observer` that is told what happens on all sessions, or several.
        on_send_error: decides what peers learn of exceptions, see `RpcSession`.

    Raises:
        TypeError: what could be no main object, such as a class that is not an `RpcTarget`.
        ValueError: an origin that no page can have.

    Returns:
        A WSGI application, and ways to fit it in elsewhere.
    """
    origins = allow_origins if isinstance(allow_origins, Origins) else Origins(allow_origins)
    return Service(
        main,
        limits=limits,
        batch_timeout=batch_timeout,
        max_batch=max_batch,
        max_answer=max_answer,
        origins=origins,
        max_connections=max_connections,
        observer=observer,
        on_send_error=on_send_error,
    )
