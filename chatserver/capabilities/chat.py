"""The main object of every connection: the chat as its clients see it.

The names of methods and properties are those of the wire. Arguments are checked by the RPC layer
against the annotations, and here against the chat's rules.
"""

from abc import ABC, abstractmethod
from concurrent.futures import Future
from functools import partial
from typing import Any

from capnweb_sync import Lookup, RpcSession, RpcStub, RpcTarget
from capnweb_sync.observe.counts import CallCounts
from chatserver.errors import BadRequest, BadType, NotJoined, RateLimited
from chatserver.futures import then
from chatserver.options import HistoryOptions, JoinOptions, SendOptions, read_options
from chatserver.people.limits import take
from chatserver.people.names import check_name, clean_text
from chatserver.rooms.member import ClientState
from chatserver.rooms.room import NOT_JOINED, Room
from chatserver.store.interface import Store


class Counts(CallCounts, ABC):
    """Where calls are counted, and those as well that were refused before they began."""

    @abstractmethod
    def limited(self, error: RateLimited, session: RpcSession) -> None:
        """A call was refused because those of all kinds came too often."""


class Chat(RpcTarget):
    """What one connection can ask for."""

    __slots__ = ("_client", "_counts", "_room", "_session", "_store")

    def __init__(
        self, room: Room, store: Store, client: ClientState, counts: Counts | None = None
    ) -> None:
        """`counts` counts the calls, if given."""
        self._room = room
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

    def join(self, username: str, callback: Any, options: Any = None) -> "Future[dict[str, Any]]":
        """Join with a name. From the answer's `lastId` on (or from `options.since`), each event
        goes to `callback.onMessage`, until `leave` or the end of the connection.

        `recovered` is false if `since` is of another log, of another `epoch` or of ids that are not
        there yet: then events begin after `lastId`, as without it. It is false, too, if the log was
        trimmed past `since`: then they begin with the oldest that is there.

        Fails with `bad_request`, `username_taken`, `too_many`, `rate_limited`, `unavailable`.
        """
        name = check_name(username)
        wanted = read_options(options, JoinOptions)
        take(self._client.allowance.joins)
        kept, sink = receiver(callback, self._session)
        return self._room.join(self._client, name.key, name.shown, kept, sink, wanted)

    def sendMessage(
        self, username: str, text: str, options: Any = None
    ) -> "Future[dict[str, Any]]":
        """Say something with a name that this connection has joined with; the answer comes when it
        is stored.

        Fails with `bad_request`, `too_large`, `not_joined`, `rate_limited`, `unavailable`.
        """
        name_key, said = held_key(username), clean_text(text)
        wanted = read_options(options, SendOptions)
        return self._room.send(self._client, name_key, said, wanted.key)

    def listUsers(self) -> "Future[list[str]]":
        """Everyone online, in joining order."""
        return self._store.names()

    def leave(self, username: str) -> "Future[dict[str, Any]]":
        """Give a name up. Fails with `not_joined`, `unavailable`."""
        return self._room.leave(self._client, held_key(username))

    def getHistory(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """Events of the log, ascending: with `after` the oldest above it, otherwise the newest. Not
        read at all if the result is given up before its turn comes.

        Fails with `bad_request`, `rate_limited`, `unavailable`.
        """
        wanted = read_options(options, HistoryOptions)
        take(self._client.allowance.history)
        read = partial(
            self._store.read,
            after=wanted.after or 0,
            before=wanted.before,
            limit=wanted.limit,
            newest=wanted.after is None,
        )
        return self._client.history.ask(read)

    @property
    def userCount(self) -> "Future[int]":
        """How many are online."""
        return then(self._store.counts(), lambda counts: counts.users)

    @property
    def messageCount(self) -> "Future[int]":
        """How many messages have been said since the log began."""
        return then(self._store.counts(), lambda counts: counts.messages)


def held_key(username: str) -> str:
    """What a name is compared by that the caller may have joined with. Raises NotJoined."""
    try:
        return check_name(username).key
    except BadRequest:
        raise NotJoined(NOT_JOINED) from None


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
        "join needs a callback of the caller's own, an object or a function by reference, with a"
        " function onMessage, to be called with each event."
    )
