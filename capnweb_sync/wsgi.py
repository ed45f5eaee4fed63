"""Serving a main object: over HTTP batch and WebSocket in any WSGI server, or on any transport.

    service = serve(Api)                                  # a new Api for each session
    service = serve(for_request=lambda request: Api(user_of(request)))
    app.register_blueprint(service.blueprint("/rpc"))     # in Flask, or
    WSGIServer(("", 8080), service, handler_class=WebSocketHandler)

A `Service` is a WSGI application: a POST is a batch, a request for an upgrade becomes a WebSocket
where the server can do that (see `server` and `server_threads`). Pages of other sites are refused
unless they are allowed (see `origins`). Nothing here needs Flask or gevent until it is used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from enum import Enum, auto
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from .codec.encoder import check_sendable
from .core.served_calls import OnSendError
from .core.targets import RpcTarget
from .handshake import UPGRADE_KEY, HandshakeError, Refused, UpgradeUnavailable, accept, no_room
from .limits import DEFAULT_LIMITS, Limits
from .observe.seen import Observers, observers_of
from .origins import Origins
from .runtimes.interface import Runtime, Transport
from .runtimes.threads import thread_runtime
from .session.session import RpcSession
from .wsgi_batch import ANSWER_BYTES, BATCH_BYTES, BATCH_SECONDS, Answer, answer_batch
from .wsgi_requests import Environ, address_of, request_of

if TYPE_CHECKING:
    from flask import Blueprint, Request

    from .server import Connection, Connections
    from .server_threads.connections import ThreadedConnections

FOREIGN_PAGE: Final = (
    b"Pages of another site may not use this service; allow_origins of serve() lets them.\n"
)

THREADS_NEEDED: Final = (
    b"WebSockets need the package simple-websocket here: pip install 'capnweb-chat[threads]'\n"
)

NO_REQUEST: Final = (
    "This service makes its main objects for requests (for_request), and here is none. Serve an"
    " object."
)

NOT_ON_GEVENT: Final = (
    "The connections of this service are threads of the server's, which ends them when it stops."
    " The session of one is ended by its close()."
)

NOTHING_MADE: Final = (
    "for_request has returned None ({!r}). It returns the main object of whoever has sent the"
    " request, or raises Refused."
)

StartResponse = Callable[..., Any]


class Service:
    """What `serve` returns: a WSGI application, and ways to fit it in elsewhere."""

    def __init__(
        self,
        main: Any,
        for_request: Callable[[Request], Any] | None,
        *,
        limits: Limits,
        send_stack_traces: bool,
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
            for_request: as there.
            limits: as there.
            send_stack_traces: as there.
            batch_timeout: as there, in seconds.
            max_batch: as there, in bytes.
            max_answer: as there, in bytes.
            origins: the sites whose pages may use the service.
            max_connections: as there.
            observer: as there.
            on_send_error: as there.

        Raises:
            TypeError: `main` could be no main object, `for_request` is no function, or `observer`
                none.
            ValueError: `max_connections` is less than 1.
        """
        if for_request is None:
            check_main(main)
        elif not callable(for_request):
            raise TypeError(
                "for_request= takes a function that makes a main object of a request, not"
                f" {for_request!r:.50}."
            )
        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections= is a number from 1 on, not {max_connections!r}.")
        self._main = main
        self._for_request = for_request
        self._limits = limits
        self._send_stack_traces = send_stack_traces
        self._batch_timeout = batch_timeout
        self._max_batch = max_batch
        self._max_answer = max_answer
        self._origins = origins
        self._max_connections = max_connections
        self._observer = observers_of(observer)
        self._on_send_error = on_send_error
        self._connections: Connections | None = None
        self._threaded: ThreadedConnections | None = None
        self._making = Lock()

    def session(self, transport: Transport, runtime: Runtime | None = None) -> RpcSession:
        """Make a session on a transport of your own: hand incoming messages to its `receive`, and
        call its `connection_lost` at the end.

        Args:
            transport: carries its messages; yours to end.
            runtime: how its calls run; threads by default.

        Returns:
            The session, with a main object of its own where `serve` got a class.

        Raises:
            TypeError: main objects are made for requests.
        """
        if self._for_request is not None:
            raise TypeError(NO_REQUEST)
        return self._session(transport, self._new_main(), runtime)

    def _session(self, transport: Transport, main: Any, runtime: Runtime | None) -> RpcSession:
        return RpcSession(
            transport,
            main,
            runtime=runtime,
            limits=self._limits,
            send_stack_traces=self._send_stack_traces,
            observer=self._observer,
            on_send_error=self._on_send_error,
        )

    def _new_main(self) -> Any:
        return self._main() if isinstance(self._main, type) else self._main

    def _main_for(self, environ: Environ) -> Any:
        """The main object for whoever sends this request. Raises Refused."""
        if self._for_request is None:
            return self._new_main()
        main = self._for_request(request_of(environ))
        if main is None:
            raise TypeError(NOTHING_MADE.format(self._for_request))
        check_sendable(main)
        return main

    @property
    def connections(self) -> Connections:
        """The open WebSockets under gevent, made with the first use.

        Raises:
            RuntimeError: they are threads of the server's.
        """
        if self._threaded is not None:
            raise RuntimeError(NOT_ON_GEVENT)
        return self._on_gevent()

    def _on_gevent(self) -> Connections:
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
        body: Iterable[bytes]
        try:
            status, headers, body = self._answer(environ)
        except (Refused, HandshakeError) as refusal:
            status, headers = refusal.status, list(refusal.headers)
            body = [f"{refusal.sentence}\n".encode()]
        if isinstance(body, list) and not status.startswith("101"):
            headers.append(("Content-Type", "text/plain; charset=utf-8"))
            headers.append(("Content-Length", str(sum(map(len, body)))))
            headers += self._origins.answer_headers(environ)
        start_response(status, headers)
        return body

    def _answer(self, environ: Environ) -> Answer:
        """Raises Refused or HandshakeError for another one."""
        if self._origins.refuse(environ):
            return "403 Forbidden", [], [FOREIGN_PAGE]
        if "websocket" in environ.get("HTTP_UPGRADE", "").lower():
            try:
                if UPGRADE_KEY in environ:
                    return self._upgrade(environ)
                return self._upgrade_thread(environ)
            except UpgradeUnavailable as error:
                return "501 Not Implemented", [], [f"{error.sentence}\n".encode()]
        if environ.get("REQUEST_METHOD") == "POST":
            return self._batch(environ)
        body = b"Send a batch with POST, or connect with a WebSocket.\n"
        return "405 Method Not Allowed", [("Allow", "POST")], [body]

    def _upgrade(self, environ: Environ) -> Answer:
        """The answer under gevent, whose handler does the rest."""
        from .server import gevent_runtime, upgrade

        made: list[Any] = []

        def begin(connection: Connection) -> RpcSession:
            return self._session(connection, made.pop(), gevent_runtime())

        _, headers = upgrade(environ, self._on_gevent(), begin)
        # After a refusal the handler finds another status, and begins nothing.
        made.append(self._main_for(environ))
        return "101 Switching Protocols", headers, []

    def _upgrade_thread(self, environ: Environ) -> Answer:
        """The answer where each connection has a thread: a conversation, which answers the
        handshake itself."""
        from .server_threads.servers import find_server

        server = find_server(environ)
        try:
            from .server_threads.connection import Conversation, ThreadedConnection
        except ImportError:
            return "501 Not Implemented", [], [THREADS_NEEDED]
        accept(environ)
        connections = self._threaded_connections()
        if not connections.reserve(server.room):
            raise no_room()
        try:
            main = self._main_for(environ)
            connection = ThreadedConnection(server, environ, address_of(environ), connections)
        except BaseException:
            connections.release()
            raise
        connections.watch(server.worker)
        runtime = thread_runtime()
        conversation = Conversation(
            connection, lambda: self._session(connection, main, runtime), connections
        )
        # An answer with status 101 has no body, and would never be iterated over. It is not sent.
        return "200 OK", [], conversation

    def _threaded_connections(self) -> ThreadedConnections:
        """The open WebSockets of threads, made with the first use."""
        from .server_threads.connections import ThreadedConnections

        with self._making:
            if self._threaded is None:
                self._threaded = ThreadedConnections(
                    max_connections=self._max_connections,
                    max_message=self._limits.max_message_size,
                )
            return self._threaded

    def _draining(self) -> bool:
        kinds = (self._connections, self._threaded)
        return any(connections is not None and connections.draining for connections in kinds)

    def _batch(self, environ: Environ) -> Answer:
        if self._draining():
            raise no_room()
        # Before its body is read: whoever is refused need not send it.
        main = self._main_for(environ)
        return answer_batch(
            environ,
            lambda transport: self._session(transport, main, None),
            seconds=self._batch_timeout,
            max_batch=self._max_batch,
            max_answer=self._max_answer,
        )

    def blueprint(self, url: str = "/rpc", name: str = "capnweb") -> Blueprint:
        """Make a Flask blueprint that serves batches and WebSockets.

        Args:
            url: the path of both.
            name: the blueprint's.

        Returns:
            A `flask.Blueprint`, to be registered.
        """
        from flask import Blueprint, Response, request

        def view(**_: Any) -> Any:
            # Flask would take the first item of a WSGI application's answer at once.
            begun: list[Any] = []
            body: Any = self(
                request.environ, lambda status, headers: begun.extend((status, headers))
            )
            response = Response(body, *begun)
            if not isinstance(body, list):
                # A conversation answers by itself, when Flask has added its cookies to these.
                body.headers = response.headers
            return response

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


class _Nothing(Enum):
    NOTHING = auto()


NOTHING: Final = _Nothing.NOTHING
"""No main object was given; None is one."""


def serve(
    main: Any = NOTHING,
    *,
    for_request: Callable[[Request], Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    send_stack_traces: bool = False,
    batch_timeout: float = BATCH_SECONDS,
    max_batch: int = BATCH_BYTES,
    max_answer: int = ANSWER_BYTES,
    allow_origins: Iterable[str] | Origins = (),
    max_connections: int | None = None,
    observer: Observers = None,
    on_send_error: OnSendError | None = None,
) -> Service:
    """Serve `main`, or what `for_request` makes.

    Args:
        main: a class derived from `RpcTarget`, of which each session gets a new object, or an
            object or function that all sessions share.
        for_request: makes the main object of each connection, and of each batch, from its request
            (`flask.Request`), before anything is answered. In a Flask application it runs in the
            request's context. With `Refused` it sends a plain answer to those who get none.
        limits: of each session.
        send_stack_traces: whether errors carry stack traces to the peers: for development only.
        batch_timeout: seconds that one batch may take, taking it and its calls together.
        max_batch: bytes of one batch.
        max_answer: bytes of the answer to one; a larger one gets status 413 instead.
        allow_origins: other sites whose web pages may use the service, such as
            `https://chat.example`; `*` for any. Without it, those of the same origin may, and
            programs, which send none.
        max_connections: WebSockets at a time in this process, by default as many as `Connections`
            has, or `ThreadedConnections`; one more gets status 503. Where each holds one of
            gunicorn's threads, one of these is always left for everything else, whatever other
            services of the process hold.
        observer: an `Observer` that is told what happens on all sessions, or several.
        on_send_error: decides what peers learn of exceptions, see `RpcSession`.

    Raises:
        TypeError: what could be no main object, such as a class that is not an `RpcTarget`; both
            `main` and `for_request`, or neither; a `for_request` that is no function, an
            `observer` that is none.
        ValueError: an origin that no page can have, fewer than one connection.

    Returns:
        A WSGI application, and ways to fit it in elsewhere.
    """
    if (main is NOTHING) == (for_request is None):
        raise TypeError("serve() takes a main object, or for_request, which makes one")
    origins = allow_origins if isinstance(allow_origins, Origins) else Origins(allow_origins)
    return Service(
        main,
        for_request,
        limits=limits,
        send_stack_traces=send_stack_traces,
        batch_timeout=batch_timeout,
        max_batch=max_batch,
        max_answer=max_answer,
        origins=origins,
        max_connections=max_connections,
        observer=observer,
        on_send_error=on_send_error,
    )
