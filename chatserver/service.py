"""What stands behind the application in one process: the store, who is here, the connections, and
what is made for each client that connects.

Routes and `app.py` both import it, and it imports neither.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flask import Flask, current_app
from werkzeug.wrappers import Response

from capnweb_sync import Limits, RpcSession, serve
from capnweb_sync.core.ledger import Ledger
from capnweb_sync.origins import Origins
from capnweb_sync.server import CloseCode, Connection, Connections, gevent_runtime
from chatserver.capabilities.chat import Chat
from chatserver.entrance import access_of
from chatserver.errors import Unavailable
from chatserver.futures import wait
from chatserver.observe.calls import ChatCalls
from chatserver.observe.figures import Worker
from chatserver.observe.metrics import Metrics
from chatserver.observe.visits import Visit, Visits
from chatserver.people.access import Authenticate
from chatserver.people.address_digests import AddressDigests
from chatserver.people.limits import Rates
from chatserver.people.tokens import Identity
from chatserver.rooms.member import BatchConnection, ClientState
from chatserver.rooms.stays import Stays
from chatserver.settings import MIB, Settings
from chatserver.store import open_store

logger = logging.getLogger("chatserver")


EXTENSION: Final = "chatserver"
"""Where the application keeps its `ChatService`."""


BATCH_SECONDS: Final = 10.0
"""How long the calls of one HTTP batch may take; a server that stops waits for them."""


SESSION_MEMORY: Final = 12 * MIB
"""Bytes that the server keeps for one client at most (see `Limits.max_memory`): a history of 500
messages of 4,000 characters takes 2 to 8 MiB until it is released. With the calls under way, which
their number bounds, and what the counting does not see (nested lists: a fifth), it is 16 MiB."""

MESSAGE_CALLS: Final = 256
"""Calls that one message may start: no client has a use for more."""

BATCH_CALLS: Final = 100
"""Calls in one HTTP batch: all their answers are held in memory until the last is there."""

BATCH_BYTES: Final = 256 * 1024
"""Bytes of one HTTP batch: that many calls with 2 KiB each, and as much again."""


class ChatService:
    """The chat of one process: its store, who is here, its connections.

    Attributes:
        settings: what the operator has set.
        origins: the sites whose pages may connect.
        access: who is let in.
        store: the log.
        stays: who is here, in this process.
        rates: what its clients do, by address and person.
        visits: its connections, as they are logged and counted.
        calls: what its clients call, counted.
        metrics: the figures of it all.
        connections: the open WebSockets of this process.
    """

    def __init__(self, settings: Settings, authenticate: Authenticate | None = None) -> None:
        """Open the store and begin to follow it. `authenticate` says who a request is from, without
        it a token does. Raises StartError."""
        self._process = os.getpid()
        self.settings = settings
        self.origins = Origins(settings.allow_origin)
        self.access = access_of(settings, authenticate)
        self.store = open_store(settings.store, settings.policy)
        self.stays = Stays(
            self.store, AddressDigests(settings.unlimited_addresses, settings.secret)
        )
        self.visits = Visits()
        self.calls = ChatCalls()
        self._proxy_noticed = False
        self.connections = Connections(
            max_connections=settings.max_connections,
            max_message=settings.max_message,
            max_buffered=settings.max_outbox,
            max_memory=settings.max_memory,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
        )
        self.connections.on_drain.append(self._answer)
        self.rates = Rates(settings.rate_limits, self.connections.memory)
        self._limits = Limits(
            max_message_size=settings.max_message,
            max_calls_per_message=MESSAGE_CALLS,
            max_memory=SESSION_MEMORY,
        )
        self._batch_limits = replace(self._limits, max_calls=BATCH_CALLS)
        gevent_runtime()
        self.stays.start()
        self.metrics = Metrics(
            Worker(
                self.connections,
                self.stays,
                self.store,
                self.visits,
                self.calls,
                lambda: self.state == "ok",
            )
        )

    def begin(self, known: Identity | None, connection: Connection) -> RpcSession:
        """The session of a new connection, whose main object is the chat. `known` is whom it is
        from, if that is known."""
        host = host_of(connection.remote_address)
        address = self.rates.address(host)
        visit = self.visits.begin(host)
        client = ClientState(
            connection,
            host=host,
            allowance=self.rates.connection(address),
            number=visit.number,
        )
        chat = Chat(self.stays, self.store, client, self.calls, access=self.access, known=known)
        connection.on_closed = Ending(self.visits, visit, chat)
        if address is not None:
            connection.ledger.belong_to(address.memory)
        if not self.rates.hold(address):
            connection.close(CloseCode.TRY_AGAIN_LATER, "Too many connections from this address.")
        return RpcSession(connection, chat, runtime=gevent_runtime(), limits=self._limits)

    def batch(self, known: Identity | None, environ: dict[str, Any]) -> Response:
        """The answer to an HTTP batch of calls on the chat; then its client has left. `known` is as
        in `begin`.

        Raises RateLimited.
        """
        host = environ.get("REMOTE_ADDR", "")
        address = self.rates.address(host)
        client = ClientState(
            BatchConnection(),
            host=host,
            deaf=True,
            allowance=self.rates.batch(address),
        )
        chat = serve(
            Chat(self.stays, self.store, client, self.calls, access=self.access, known=known),
            limits=self._batch_limits,
            batch_timeout=BATCH_SECONDS,
            max_batch=BATCH_BYTES,
            allow_origins=self.origins,
        )
        try:
            answer = Response.from_app(chat, environ, buffered=True)
        finally:
            self.stays.closed(client)
        # Until it is taken.
        memory = self.connections.memory if address is None else address.memory
        ledger = Ledger(sys.maxsize, memory)
        ledger.hold(answer.calculate_content_length() or 0)
        answer.call_on_close(ledger.close)
        return answer

    def admit(self, environ: Mapping[str, Any]) -> None:
        """Count a new connection, before it is accepted. Raises RateLimited."""
        self.rates.connect(self.rates.address(environ.get("REMOTE_ADDR", "")))

    def notice_proxy(self, environ: Mapping[str, Any]) -> None:
        """Warn, once, if a proxy is in front whose clients are all taken for one without limits."""
        if self._proxy_noticed or "HTTP_X_FORWARDED_FOR" not in environ:
            return
        host = environ.get("REMOTE_ADDR", "")
        if not self.settings.trust_proxies and self.rates.exempt(host):
            self._proxy_noticed = True
            logger.warning(
                "A proxy at %s sends X-Forwarded-For and is not believed, so all of its clients are"
                " taken for that address, which is free of limits (--unlimited-addresses). Start"
                " with --trust-proxies 1, or with the number of proxies that are in front.",
                host,
            )

    def _answer(self) -> None:
        """Wait until all that was asked of the store is answered: it answers in order, and nobody
        minds a tick."""
        try:
            wait(self.store.tick())
        except Unavailable:
            pass  # Then those who asked have been told the same.

    @property
    def inherited(self) -> bool:
        """Whether this is the copy in a forked process, for which nobody follows the store."""
        return os.getpid() != self._process

    @property
    def state(self) -> str:
        """`ok`; `failing`, if what the chat lives by does; `draining`, before the end;
        `unavailable`, if the store is, and nothing can be said; `full`, if nobody finds room."""
        if self.connections.draining:
            return "draining"
        if not self.stays.running:
            return "failing"
        if not self.store.available:
            return "unavailable"
        return "full" if self.connections.full else "ok"

    def close(self) -> None:
        """Let go of the store. To be called when no connection is open any more."""
        self.stays.stop()
        self.metrics.stop()


class Ending:
    """What is done when a connection is closed. Each member has one: a function here would take
    five times as much memory, a twentieth of what an idle member costs."""

    __slots__ = ("_chat", "_visit", "_visits")

    def __init__(self, visits: Visits, visit: Visit, chat: Chat) -> None:
        self._visits = visits
        self._visit = visit
        self._chat = chat

    def __call__(self, connection: Connection) -> None:
        people = self._chat._people
        self._chat._closed(connection)
        self._visits.end(self._visit, connection, people)


def host_of(remote_address: Any) -> str:
    """The host of a socket's address; "" if it has none, as that of a Unix socket."""
    return str(remote_address[0]) if isinstance(remote_address, tuple) else ""


def service_of(app: Flask) -> ChatService:
    """What stands behind `app`."""
    service = app.extensions[EXTENSION]
    assert isinstance(service, ChatService)
    return service


def current_service() -> ChatService:
    """What stands behind the application of this request."""
    return service_of(current_app)
