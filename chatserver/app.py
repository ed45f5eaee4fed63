"""The Flask application, and what stands behind it in one process."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flask import Flask, current_app
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from capnweb_sync import Limits, RpcSession, serve
from capnweb_sync.origins import Origins
from capnweb_sync.server import Connection, Connections, gevent_runtime
from chatserver.api import Chat
from chatserver.errors import Unavailable
from chatserver.futures import wait
from chatserver.member import BatchLine, Visit
from chatserver.room import Room
from chatserver.settings import ENVIRONMENT_PREFIX, Settings, from_config
from chatserver.store import open_store

EXTENSION: Final = "chatserver"
"""Where the application keeps its `Service`."""

BATCH_SECONDS: Final = 10.0
"""How long the calls of one HTTP batch may take; a server that stops waits for them."""

BATCH_CALLS: Final = 100
"""Calls in one HTTP batch: all their answers are held in memory until the last is there."""


class Service:
    """The chat of one process: its store, its room, its connections.

    Attributes:
        settings: what the operator has set.
        origins: the sites whose pages may connect.
        store: the log.
        room: the members of this process.
        connections: the open WebSockets of this process.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the store and begin to follow it. Raises StartError."""
        self._process = os.getpid()
        self.settings = settings
        self.origins = Origins(settings.allow_origin)
        self.store = open_store(settings.store, settings.policy)
        self.room = Room(self.store)
        self.connections = Connections(
            max_connections=settings.max_connections,
            max_message=settings.max_message,
            max_buffered=settings.max_outbox,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
        )
        self.connections.on_drain.append(self._answer)
        self._limits = Limits(max_message_size=settings.max_message)
        self._batch_limits = replace(self._limits, max_calls=BATCH_CALLS)
        gevent_runtime()
        self.room.start()

    def begin(self, connection: Connection) -> RpcSession:
        """The session of a new connection, whose main object is the chat."""
        visit = Visit(connection)

        def closed(_: Connection) -> None:
            # The visit refers to the connection: without the way back, both go at once.
            connection.on_closed = None
            self.room.closed(visit)

        connection.on_closed = closed
        chat = Chat(self.room, self.store, visit)
        return RpcSession(connection, chat, runtime=gevent_runtime(), limits=self._limits)

    def batch(self, environ: dict[str, Any]) -> Response:
        """The answer to an HTTP batch of calls on the chat; then its client has left."""
        visit = Visit(BatchLine(), deaf=True)
        chat = serve(
            Chat(self.room, self.store, visit),
            limits=self._batch_limits,
            batch_timeout=BATCH_SECONDS,
            max_batch=self.settings.max_message,
            allow_origins=self.origins,
        )
        try:
            return Response.from_app(chat, environ, buffered=True)
        finally:
            self.room.closed(visit)

    def _answer(self) -> None:
        """Wait until all that was asked of the store is answered: it answers in order."""
        try:
            wait(self.store.counts())
        except Unavailable:
            pass  # Then those who asked have been told the same.

    @property
    def inherited(self) -> bool:
        """Whether this is the copy in a forked process, for which nobody follows the store."""
        return os.getpid() != self._process

    @property
    def state(self) -> str:
        """`ok`, `draining`, or `unavailable` if nothing can be said at the moment."""
        if self.connections.draining:
            return "draining"
        return "ok" if self.room.running and self.store.available else "unavailable"

    def close(self) -> None:
        """Let go of the store. To be called when no connection is open any more."""
        self.room.stop()


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The application. `config` has settings in capitals (`STORE`, `GRACE`), which win over the
    environment's (`CHAT_STORE`, `CHAT_GRACE`).

    It belongs to the process that calls this; a child forked afterwards cannot use it. Raises
    StartError.
    """
    from chatserver.page import pages
    from chatserver.routes import routes

    app = Flask("chatserver", static_folder=None)
    app.config.from_prefixed_env(ENVIRONMENT_PREFIX)
    app.config.from_mapping(config)
    settings = from_config(app.config)
    app.extensions[EXTENSION] = Service(settings)
    app.register_blueprint(routes)
    app.register_blueprint(pages)
    proxies = settings.trust_proxies
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as Flask's documentation has it
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies
        )
    return app


def service_of(app: Flask) -> Service:
    """What stands behind `app`."""
    service = app.extensions[EXTENSION]
    assert isinstance(service, Service)
    return service


def current_service() -> Service:
    """What stands behind the application of this request."""
    return service_of(current_app)
