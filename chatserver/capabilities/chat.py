"""The main object of every connection: the chat as its clients see it.

The names of methods and properties are those of the wire. Arguments are checked by the RPC layer
against the annotations, and here against the chat's rules.
"""

from abc import ABC, abstractmethod
from concurrent.futures import Future
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from capnweb_sync import Lookup, RpcSession, RpcStub, RpcTarget
from capnweb_sync.observe.counts import CallCounts
from capnweb_sync.server import Connection
from chatserver.capabilities.person import Person
from chatserver.errors import BadRequest, BadType, NotJoined, RateLimited, Unauthorized
from chatserver.options import (
    HistoryOptions,
    JoinOptions,
    LoginOptions,
    SendOptions,
    read_options,
)
from chatserver.people.access import EVERYBODY, Access
from chatserver.people.limits import take
from chatserver.people.names import Name, check_name, clean_text
from chatserver.people.tokens import Identity, unauthorized
from chatserver.rooms.arrival import Arriving
from chatserver.rooms.member import ClientState
from chatserver.rooms.stays import NOT_JOINED, Stays
from chatserver.store.interface import Store
from chatserver.store.seats import LOBBY
from chatserver.store.values import Receipt

NAME: Final = "Chat Server"
"""What the server says that it is."""


class Counts(CallCounts, ABC):
    """Where calls are counted, and those as well that were refused before they began."""

    @abstractmethod
    def limited(self, error: RateLimited, session: RpcSession) -> None:
        """A call was refused because those of all kinds came too often."""


class Chat(RpcTarget):
    """What one connection can ask for."""

    __slots__ = ("_access", "_client", "_counts", "_known", "_session", "_stays", "_store")

    def __init__(
        self,
        stays: Stays,
        store: Store,
        client: ClientState,
        counts: Counts | None = None,
        *,
        access: Access = EVERYBODY,
        known: Identity | None = None,
    ) -> None:
        """`counts` counts the calls, if given; `known` is whom the connection is from, if that is
        known."""
        self._access = access
        self._known = known
        self._stays = stays
        self._store = store
        self._client = client
        self._counts = counts

    def _on_session(self, session: RpcSession) -> None:
        self._session = session
        session.calls.counts = self._counts
        if self._client.allowance.calls:
            session.calls.before_call = self._take_call

    def _take_call(self) -> None:
        """One call of any kind. Raises RateLimited."""
        try:
            take(self._client.allowance.calls)
        except RateLimited as error:
            if self._counts is not None:
                self._counts.limited(error, self._session)
            raise

    @property
    def _people(self) -> list[str]:
        """The names that its connection speaks for, and those that it ended with."""
        client = self._client
        return [*client.dismissed, *(member.name for member in client.members.values())]

    def _closed(self, connection: Connection) -> None:
        """Its connection is closed."""
        # The client refers to the connection: without the way back, both go at once.
        connection.on_closed = None
        self._client.allowance.let_go()
        self._stays.closed(self._client)

    def join(self, username: str, callback: Any, options: Any = None) -> "Future[dict[str, Any]]":
        """Join with a name. From the answer's `lastId` on (or from `options.since`), each event
        goes to `callback.onMessage`, until `leave` or the end of the connection.

        `recovered` is false if `since` is of another log, of another `epoch` or of ids that are not
        there yet: then events begin after `lastId`, as without it. It is false, too, if the log was
        trimmed past `since`: then they begin with the oldest that is there.

        Fails with `bad_request`, `username_taken`, `unauthorized`, `forbidden`, `too_many`,
        `rate_limited`, `unavailable`.
        """
        name = check_name(username)
        wanted = read_options(options, JoinOptions)
        take(self._client.allowance.joins)
        who = self._who(wanted.token, name)
        if who.identity is not None and not who.identity.may_enter(LOBBY):
            raise unauthorized()
        kept, sink = receiver(callback, self._session)
        return self._stays.join(self._client, who, kept, sink, wanted)

    def login(self, callback: Any, options: Any = None) -> "Future[Person]":
        """Come in as a person, by the `name` of a guest or by a `token`, unless the connection
        itself says who one is, into no room yet. Events of all rooms that one is in go to
        `callback.onMessage`; with `null` as callback to nobody.

        Fails as `join` does.
        """
        wanted = read_options(options, LoginOptions)
        by_connection = self._known is not None and wanted.token is None
        if not by_connection and (wanted.name is None) == (wanted.token is None):
            raise BadRequest("login needs a name or a token: login(callback, {name}).")
        name = None if wanted.name is None else check_name(wanted.name)
        take(self._client.allowance.joins)
        who = self._who(wanted.token, name)
        kept, sink = (None, None) if callback is None else receiver(callback, self._session)
        person = partial(Person, self._stays, access=self._access)
        return self._stays.log_in(self._client, who, kept, sink, wanted, person)

    def _who(self, token: str | None, name: Name | None) -> Arriving:
        """Who comes in: whom a token is for, or the connection; or a guest of this name. Raises
        Unauthorized, also if the name is another's."""
        identity = self._access.identify(token, self._known)
        if identity is not None:
            if name is not None and name.key != identity.key:
                raise unauthorized()
            return Arriving(identity.key, identity.name, identity)
        assert name is not None
        return Arriving(name.key, name.shown, quiet=self._access.guests == "read")

    def _check_in(self) -> None:
        """Raises Unauthorized if guests are to see nothing, and nobody has come in whose token is
        for the lobby."""
        if self._access.guests != "no":
            return
        if not any(member.may_enter(LOBBY) for member in self._client.members.values()):
            raise Unauthorized("Log in first: login(callback, {token}).")

    def sendMessage(self, username: str, text: str, options: Any = None) -> "Future[Receipt]":
        """Say something with a name that this connection has joined with; the answer comes when it
        is stored.

        Fails with `bad_request`, `too_large`, `not_joined`, `rate_limited`, `unavailable`.
        """
        self._check_in()
        name_key, said = self._held_key(username), clean_text(text)
        wanted = read_options(options, SendOptions)
        return self._stays.send(self._client, name_key, said, wanted.key)

    def listUsers(self) -> "Lookup[list[str]]":
        """Everyone online, in joining order. This and the numbers below wait for no write, and show
        all that the caller was answered before."""
        self._check_in()
        return self._client.history.ask(self._store.names)

    def leave(self, username: str) -> "Future[dict[str, Any]]":
        """Give a name up. Fails with `not_joined`, `unavailable`."""
        self._check_in()
        return self._stays.leave(self._client, self._held_key(username))

    def getHistory(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """Events of the log, ascending: with `after` the oldest above it, otherwise the newest. Not
        read at all if the result is given up before its turn comes.

        Fails with `bad_request`, `rate_limited`, `unavailable`.
        """
        self._check_in()
        wanted = read_options(options, HistoryOptions)
        take(self._client.allowance.history)

        def read() -> list[dict[str, Any]]:
            found = self._store.read(
                after=wanted.after or 0,
                before=wanted.before,
                limit=wanted.limit,
                newest=wanted.after is None,
            )
            return [event.value() for event in found]

        return self._client.history.ask(read)

    @property
    def about(self) -> dict[str, Any]:
        """What this is: `{name, version, guests, lobby}`; `guests` is whether one may come in
        without a token, `lobby` the name of the room that the other calls here mean."""
        guests = self._access.guests != "no"
        return {"name": NAME, "version": our_version(), "guests": guests, "lobby": LOBBY}

    @property
    def userCount(self) -> "Lookup[int]":
        """How many are online."""
        self._check_in()
        return self._client.history.ask(lambda: self._store.counts().users)

    @property
    def messageCount(self) -> "Lookup[int]":
        """How many messages have been said since the log began."""
        self._check_in()
        return self._client.history.ask(lambda: self._store.counts().messages)

    def _held_key(self, username: str) -> str:
        """What a name is compared by that the caller may have joined with. Raises NotJoined."""
        try:
            return self._client.key_of(username) or check_name(username).key
        except BadRequest:
            raise NotJoined(NOT_JOINED) from None


@cache
def our_version() -> str:
    """The version that is installed; "" where it runs without being installed."""
    try:
        return version("capnweb-chat")
    except PackageNotFoundError:
        return ""


def receiver(callback: Any, session: RpcSession) -> tuple[RpcStub, RpcStub]:
    """What to keep of a callback, a stub of ours, and what to call with each event.

    An object by reference has its `onMessage` called. `{ onMessage: function }` is a plain object,
    which arrives as a dict, and its function is called itself: it knows no `onMessage`.

    Only what the caller itself has passed by reference is called, and nothing that merely looks so:
    events for a promise would wait for it without bound, and a reference to something of ours would
    have the server work for each of them.

    Raises BadType.
    """
    if session.owns(callback):
        kept = callback.dup()
        return kept, kept.onMessage
    function = callback.get("onMessage") if isinstance(callback, dict) else None
    if isinstance(function, RpcStub) and session.owns(function):
        kept = function.dup()
        return kept, kept
    raise BadType(
        "A callback is the caller's own, an object or a function by reference, with a function"
        " onMessage, to be called with each event."
    )
