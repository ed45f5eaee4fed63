"""The chat for blocking code.

The way of a message, out and in:

    | where                                 | what happens to it                               |
    |---------------------------------------|--------------------------------------------------|
    | `ChatClient.send`, `Room.send`        | it enters, in the thread of whoever says it, and |
    |                                       | gets the key by which it is stored once          |
    | `Calls` in calls.py                   | it waits for a connection, and is said again     |
    |                                       | until there is an answer                         |
    | `Link` in link.py                     | there is a connection, will be, or never again   |
    | `Membership` in membership.py         | it leaves: the call is one of an object that the |
    |                                       | server gave to this connection                   |
    |---------------------------------------|--------------------------------------------------|
    | `Receiver.onMessage` in membership.py | it enters, in the connection's thread            |
    | `Inbox` in inbox.py                   | it waits for a reader, in its place; what found  |
    |                                       | no room is fetched again                         |
    | `ChatClient.events`                   | it leaves, in the reader's thread                |
"""

from __future__ import annotations

import functools
import secrets
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from capnweb_sync import Limits, RpcPromise, connect

from . import answers
from .calls import Calls
from .errors import ChatClosed, ChatError, NoSuchRoom, NotJoined
from .events import Event, Receipt
from .inbox import Inbox
from .link import Link
from .membership import Membership
from .paging import PAGE, newest
from .person import Person
from .reconnect import Status
from .room import KEY_BYTES

TIMEOUT: Final = 10.0
"""Seconds that a call may take unless it is told otherwise; also connecting, and joining."""

MAX_WAITING: Final = 1_000
"""Events that wait for a slow reader; what overflows is fetched from history. At 4,000 characters
each, the most that the chat carries, they are some 16 MB."""

MAX_EVENTS_UNDER_WAY: Final = 65_536
"""Events that may have been read and not yet been put in their place, which takes microseconds
each: a burst that is read at once while the process is busy. Past it they are fetched from
history."""


class ChatClient(Person):
    """One name in a chat, kept online.

    One that is dropped without having been closed is a ResourceWarning, and is closed then.

    Attributes:
        username: the name as the server shows it.
    """

    def __init__(
        self,
        url: str,
        username: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        reconnect: bool = True,
        history: int = 0,
        max_waiting: int = MAX_WAITING,
        on_status: Callable[[Status], None] | None = None,
        **connection: Any,
    ) -> None:
        """Connect and join.

        Args:
            url: where the server speaks Cap'n Web, `ws://127.0.0.1:8080/rpc/ws`.
            username: the name to join with, for who has no token.
            token: who one is, from whoever runs the server; not shown to anybody else.
            timeout: seconds that connecting, joining and each later call may take.
            reconnect: come back by itself when the connection is lost.
            history: how many events of before are delivered first.
            max_waiting: how many events wait in memory for whoever reads them.
            on_status: called when the connection is lost, before each attempt to get it back, and
                when it is there again, in a thread of the client's; and before a call that the
                server has refused as one too many (`rate_limited`) is made again, in its caller's.
            connection: further options of `capnweb_sync.connect`: `headers`, `origin`, `sslopt`,
                `ping_interval`, `ping_timeout` …

        Raises:
            ChatError: `Unreachable`, `UsernameTaken`, `BadRequest` …
            ValueError: `url` is not a WebSocket URL; or there is a name and a token, or neither.
        """
        if (username is None) == (token is None):
            raise ValueError("A chat needs a name or a token: ChatClient(url, username).")
        connection.setdefault("limits", Limits(max_calls=MAX_EVENTS_UNDER_WAY))
        # Nothing that lives as long as the connection refers to this object, but weakly: whoever
        # drops it must be able to.
        self._inbox = Inbox(max_waiting, functools.partial(ChatClient._missed, weakref.proxy(self)))
        self._link = Link(
            functools.partial(connect, url, **connection),
            self._inbox,
            username or "",
            token=token,
            timeout=timeout,
            reconnect=reconnect,
            on_status=on_status,
        )
        self._call = Calls(self._link)
        membership = self._link.begin()
        self.username = membership.username
        if history and membership.log is not None:
            try:
                self._inbox.put_history(self.newest(history, membership.log.last_id + 1))
            except BaseException:
                self.close()
                raise

    # ---- What one does in a chat

    def send(self, text: str, timeout: float | None = None, *, patient: bool = False) -> Receipt:
        """Say something; blocks until the server has stored it.

        An outage is waited out, and the message sent again, for `timeout` seconds at most (None:
        the client's). It is stored once, however often it was sent.

        Args:
            text: the message.
            timeout: seconds.
            patient: whether the time for which the server asks to wait, since more is said than it
                allows (`rate_limited`), is taken in addition, however long it is.

        Raises:
            ChatError: its `may_have_been_stored` says whether it is worth saying again.

        Returns:
            A receipt: the message's id and time.
        """
        options = {"key": secrets.token_hex(KEY_BYTES)}

        def send(here: Membership) -> RpcPromise:
            known = [options] if self.keeps_history else []
            return here.chat.sendMessage(self.username, text, *known)

        return answers.receipt(self._call(send, timeout, stores=True, patient=patient))

    def users(self, timeout: float | None = None) -> list[str]:
        """Ask who is online.

        Args:
            timeout: seconds; None means the client's.

        Returns:
            Names, in joining order.

        Raises:
            ChatError: `Unavailable`, `ConnectionLost`, `ChatClosed` …
        """
        return answers.names(self._call(lambda here: here.chat.listUsers(), timeout))

    @property
    def lobby(self) -> str:
        """The room that `send`, `users` and `history` mean; "" where the server has no rooms."""
        return self._link.server.lobby

    @property
    def closed(self) -> bool:
        """Whether the chat is over: closed, or lost for good."""
        return self._link.ended

    @property
    def keeps_history(self) -> bool:
        """Whether the server keeps what happens; otherwise `history` is a ChatError."""
        return self._link.server.keeps_log

    @property
    def user_count(self) -> int:
        """How many are online."""
        return answers.count(self._call(lambda here: here.chat.userCount, None))

    def history(
        self,
        limit: int = 50,
        *,
        before: int | None = None,
        after: int | None = None,
        timeout: float | None = None,
    ) -> list[Event]:
        """Events of before, ascending: with `after` the oldest above that id, otherwise the newest.

        Args:
            limit: how many at most; the server gives 500 and about 1 MiB at once.
            before: an id below which they are.
            after: an id above which they are.
            timeout: seconds; None means the client's.

        Returns:
            The events, ascending.

        Raises:
            ChatError: this server keeps no history; `BadRequest`, `Unavailable` …
        """
        if not self.keeps_history:
            raise ChatError("This server keeps no history that could be read.")
        options = {"limit": limit, "before": before, "after": after}
        events = self._call(lambda here: here.chat.getHistory(options), timeout)
        return list(answers.history(events, after, before))

    def newest(self, count: int, before: int | None = None) -> list[Event]:
        """Ask for the last events, in pages.

        Args:
            count: how many, if there are as many.
            before: an id below which they are; None: up to the end.

        Returns:
            The events, ascending.

        Raises:
            ChatError: as `history`.
        """
        return newest(self.history, count, before)

    def events(self) -> Iterator[Event]:
        """Everything that happens, from joining on: messages, joins and leaves, also one's own.

        Each event comes once, in order. Several iterators, in several threads, share the events
        between them.

        Returns:
            An iterator that blocks, and ends when the chat is closed on this side.

        Raises:
            ChatError: while iterating: the connection is lost for good, and why.
        """
        while True:
            try:
                event = self._inbox.take()
            except ChatClosed:
                return
            if event is None:
                return
            yield event

    def messages(self) -> Iterator[Event]:
        """What is said: the events of type `chat`, as `events` gives them.

        Returns:
            An iterator like that of `events`.

        Raises:
            ChatError: as `events`.
        """
        return (event for event in self.events() if event.type == "chat")

    def leave(self, timeout: float | None = None) -> str:
        """Give the name up and close the chat.

        Args:
            timeout: seconds; None means the client's.

        Returns:
            The server's goodbye.

        Raises:
            ChatError: the server has not answered; the chat is closed all the same.
        """
        try:
            answer = self._call(lambda here: here.chat.leave(self.username), timeout)
        finally:
            self.close()
        return answers.goodbye(answer)

    def close(self) -> None:
        """Close the chat. The name is free at once, unless the chat is offline. Idempotent."""
        self._link.end(ChatClosed("This chat is closed."))

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ChatClient {self.username!r}>"

    def _missed(self, room: str, after: int) -> list[Event]:
        """What overflowed the inbox; waits for as long as there is hope."""
        if not self._link.server.has_rooms:
            return self.history(PAGE, after=after, timeout=float("inf"))
        try:
            return self._room(room).events(PAGE, after=after, timeout=float("inf"))
        except (NotJoined, NoSuchRoom):
            return []  # We are not in it any more: it is not ours to know.
