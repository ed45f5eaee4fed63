"""The chat for blocking code.

A `ChatClient` is in one of three states, and `_membership` and `_ended` say in which:

    online    `_membership` is there
    offline   it is None: the connection was lost, and a thread of its own tries to get it back
    ended     `_ended` is the reason, closed or lost for good, and stays so

    | state   | what happens                         | becomes | because                           |
    |---------|--------------------------------------|---------|-----------------------------------|
    | online  | the connection is lost               | offline | it may come back, within the time |
    |         |                                      |         | for which the server keeps names  |
    | online  | …and `reconnect` is off              | ended   | the application asked for that    |
    | online  | …with a code that means: stay away   | ended   | `stays_away` in reconnect.py      |
    | offline | connected, and joined again          | online  | whoever waits for it is woken     |
    | offline | an attempt failed that may pass      | offline | after a pause: reconnect.py       |
    | offline | the server's answer means: stay away | ended   | `comes_back` in reconnect.py      |
    | offline | …but the name is taken, and a join   | offline | by ourselves perhaps: that join   |
    |         | was not answered a minute ago        |         | may have succeeded                |
    | offline | nobody refers to the client          | ended   | a dropped chat is closed          |
    | any     | `close`, `leave`                     | ended   |                                   |
    | any     | the process is a forked child        | ended   | the chat goes on in the parent    |

Every change is made under `_changed`, which wakes who waits. An end is final: an attempt that comes
back afterwards finds it, and closes what it has opened (`_go_online`).

Calls wait while the chat is offline, and are made again when their connection is lost under them.
A message carries a key, with which the server stores it once however often it arrives. The key is
of the membership: where that has ended meanwhile, a message that may have been stored is not sent
again.
"""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import logging
import secrets
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from capnweb_sync import (
    ConnectError,
    Limits,
    RemoteError,
    RpcPromise,
    SessionClosed,
    connect,
)
from capnweb_sync.runtimes.fork import in_child
from capnweb_sync.runtimes.threads import named, thread_runtime

from . import answers
from .answers import RoomInfo
from .errors import (
    BadAnswer,
    ChatClosed,
    ChatError,
    ConnectionLost,
    NoSuchRoom,
    NotJoined,
    RateLimited,
    Unavailable,
    UsernameTaken,
    chat_error,
)
from .events import Event, Receipt
from .inbox import Inbox
from .membership import Membership, remaining
from .reconnect import Backoff, Status, comes_back, keep_trying, stays_away
from .room import KEY_BYTES, Room

logger = logging.getLogger("chatclient")

TIMEOUT: Final = 10.0
"""Seconds that a call may take unless it is told otherwise; also connecting, and joining."""

MAX_WAITING: Final = 1_000
"""Events that wait for a slow reader; what overflows is fetched from history. At 4,000 characters
each, the most that the chat carries, they are some 16 MB."""

MAX_EVENTS_UNDER_WAY: Final = 65_536
"""Events that may have been read and not yet been put in their place, which takes microseconds
each: a burst that is read at once while the process is busy. Past it they are fetched from
history."""

PAGE: Final = 500
"""Events that are asked of history at once: the most that the server gives."""

RETRY_SECONDS: Final = 0.5
"""Pause before a call is made again that the server could not carry out just now."""

ATTEMPT_SECONDS: Final = 5.0
"""Seconds after which an attempt to connect again is given up: one that hangs must not use up the
time for which the server keeps the name (15 s)."""

REJOIN_SECONDS: Final = 30.0
"""Seconds after which a join on coming back is given up. After a restart of the server everybody
joins at once, and asking twice would only make it slower; pings tell whether it is alive."""

DOUBTFUL_SECONDS: Final = 60.0
"""How long a name that is taken may be so by ourselves, by a join whose answer was lost: longer
than the server waits for us to come back."""

FAILURES: Final = (
    BadAnswer,
    ConnectError,
    RemoteError,
    SessionClosed,
    concurrent.futures.TimeoutError,
)
"""What connecting and joining fail with."""

UNDECIDED: Final = object()
"""Stands for the answer that an attempt has not brought."""


class ChatClient:
    """One name in a chat, kept online.

    One that is dropped without having been closed is a ResourceWarning, and is closed then.

    Attributes:
        username: the name as the server shows it.
    """

    _ended: ChatError | None = ChatClosed("This chat has not begun.")

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
        self._token = token
        self._timeout = timeout
        self._reconnect = reconnect
        self._on_status = on_status
        connection.setdefault("limits", Limits(max_calls=MAX_EVENTS_UNDER_WAY))
        self._connect = functools.partial(connect, url, **connection)
        # Nothing that lives as long as the connection refers to this object, but weakly: whoever
        # drops it must be able to.
        self._inbox = Inbox(max_waiting, functools.partial(ChatClient._missed, weakref.proxy(self)))
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._membership: Membership | None = None
        self._keeps_log = False
        self._has_rooms = False
        self._lobby = ""
        self.username = username or ""
        in_child(self, ChatClient._leave_to_parent)
        try:
            membership = self._join_patiently()
        except FAILURES as error:
            raise chat_error(error) from error
        self.username = membership.username
        self._ended = None
        self._go_online(membership)
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
            known = [options] if self._keeps_log else []
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

    # ---- Rooms

    def enter(self, name: str, timeout: float | None = None) -> Room:
        """Come into a room, and hear what happens there: `events` and `messages` give it, too.

        Args:
            name: a public room's, which is made if there is none; or that of any room in which one
                is, as `rooms` gives it.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`, `TooMany`, `BadRequest` …; this server has no rooms.
        """
        if self._membership is not None:
            self._membership.forget(name)
        return self._came_in(lambda here: here.somebody.enter(name), timeout)

    def open(
        self, title: str, topic: str = "", *, history: bool = False, timeout: float | None = None
    ) -> Room:
        """Make a private room, whose owner one is.

        Args:
            title: what people call it.
            topic: what it is about.
            history: whether who comes later may read what was before.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `TooMany`, `BadRequest` …
        """
        options = {"title": title, "topic": topic, **({"history": "all"} if history else {})}
        return self._came_in(lambda here: here.somebody.open(options), timeout)

    def direct(self, name: str, timeout: float | None = None) -> Room:
        """The conversation with somebody, the same whoever of the two asks first.

        Args:
            name: the other one's.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`: nobody of that name is there, or not for us; `TooMany` …
        """
        return self._came_in(lambda here: here.somebody.direct(name), timeout)

    def accept(self, given: str, timeout: float | None = None) -> Room:
        """Come into a private room by a pass.

        Args:
            given: the pass, as `Room.create_pass` made it.
            timeout: seconds; None means the client's.

        Returns:
            The room.

        Raises:
            ChatError: `NoSuchRoom`: it is not good, or not any more; `Forbidden`, `TooMany` …
        """
        return self._came_in(lambda here: here.somebody.accept(given), timeout)

    def rooms(
        self, *, after: str | None = None, limit: int = 100, timeout: float | None = None
    ) -> list[RoomInfo]:
        """The rooms that one sees: public ones, and those that one is in.

        Args:
            after: the name after which they are.
            limit: how many at most.
            timeout: seconds; None means the client's.

        Returns:
            The rooms, by name.

        Raises:
            ChatError: `Unavailable` …; this server has no rooms.
        """
        options = {"after": after, "limit": limit}
        found = self._call(lambda here: here.somebody.rooms(options), timeout)
        return [answers.RoomInfo.of(room) for room in answers.listed(found, "rooms")]

    def block(self, name: str, on: bool = True, timeout: float | None = None) -> None:
        """Let somebody ask for no more conversations with us.

        Args:
            name: whose.
            on: whether it is so from now on.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `TooMany` …
        """
        self._call(lambda here: here.somebody.block(name, on), timeout)

    def renew(self, token: str, timeout: float | None = None) -> None:
        """Stay for as long as this token is good, and come back with it.

        Args:
            token: the next one of the same person, for the same rooms.
            timeout: seconds; None means the client's.

        Raises:
            ChatError: `Unauthorized`: it is not good, or one has come in by a name …
        """
        self._call(lambda here: here.somebody.renew(token), timeout)
        self._token = token

    @property
    def lobby(self) -> str:
        """The room that `send`, `users` and `history` mean; "" where the server has no rooms."""
        return self._lobby

    def _room(self, name: str) -> Room:
        return Room(self._call, name, self._inbox)

    def _came_in(self, come: Callable[[Membership], RpcPromise], timeout: float | None) -> Room:
        """The room that a call gives; heard from where one came in."""

        def info_of(here: Membership) -> RpcPromise:
            with come(here) as room:
                info = room.info
                info.future()  # asked for while the room is there
                return info

        info = answers.RoomInfo.of(self._call(info_of, timeout))
        self._inbox.enter(info.name, info.since)
        return self._room(info.name)

    @property
    def closed(self) -> bool:
        """Whether the chat is over: closed, or lost for good."""
        return self._ended is not None

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
        if not self._keeps_log:
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
        events: list[Event] = []
        while len(events) < count:
            page = self.history(min(count - len(events), PAGE), before=before)
            if not page:
                break
            events[:0] = page
            before = page[0].id
        return events

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
        self._end(ChatClosed("This chat is closed."))

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

    # Bound early: at the interpreter's end, modules are gone before objects.
    def __del__(
        self,
        warn: Callable[..., None] = warnings.warn,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        if self._ended is not None:
            return
        # For a thread that tries to come back: the warning may keep this object for a while.
        self._ended = ChatClosed("This chat was dropped without having been closed.")
        try:
            warn(f"unclosed {self!r}", ResourceWarning, source=self)
        finally:
            if self._membership is not None and not is_finalizing():
                self._membership.session.close(wait=False)

    # ---- Calls that outlive a connection

    def _call(
        self,
        call: Callable[[Membership], RpcPromise],
        timeout: float | None,
        *,
        stores: bool = False,
        patient: bool = False,
    ) -> Any:
        """The answer to `call`, made again on each new connection, and when the server has room for
        it, until there is one.

        With `stores`, only as long as the membership is the one in which it was made first. The
        timeout is the client's if None; it may be infinite. Raises ChatError.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        tried: Membership | None = None
        try:
            while True:
                membership = self._online(deadline)
                if stores and tried is not None and not tried.goes_on_in(membership):
                    raise Unavailable("The membership in which it was said has ended.")
                try:
                    answer = self._attempt(call, membership, deadline)
                except RateLimited as refusal:
                    # It was not carried out: as if it had not been tried.
                    deadline += refusal.retry_after if patient else 0
                    self._slow_down(refusal, deadline)
                    continue
                if answer is not UNDECIDED:
                    return answer
                tried = tried or membership
        except ChatError as error:
            if tried is not None:
                error.may_have_been_stored = stores
            raise

    def _attempt(
        self, call: Callable[[Membership], RpcPromise], membership: Membership, deadline: float
    ) -> Any:
        """The answer to one attempt; UNDECIDED if there is none and another can be made."""
        try:
            with call(membership) as promise:
                return promise.result(remaining(deadline))
        except SessionClosed:
            self._wait_until(lambda: self._membership is not membership, deadline)
        except concurrent.futures.TimeoutError:
            raise Unavailable(
                "The server has not answered in time.", may_have_been_stored=True
            ) from None
        except RemoteError as remote:
            error = chat_error(remote)
            if not isinstance(error, Unavailable):
                raise error from remote
            self._pause(min(time.monotonic() + RETRY_SECONDS, deadline))
        return UNDECIDED

    def _slow_down(self, refusal: RateLimited, deadline: float) -> None:
        """Wait as long as the server asks to. Raises `refusal` if that is beyond the deadline."""
        until = time.monotonic() + refusal.retry_after
        if until > deadline:
            raise refusal
        self._tell(Status(online=True, retry_in=refusal.retry_after))
        self._pause(until)

    def _online(self, deadline: float) -> Membership:
        """The membership, as soon as there is one. Raises ChatError."""
        self._wait_until(lambda: self._membership is not None, deadline)
        with self._changed:
            if self._ended is not None:
                raise copy.copy(self._ended)
            if self._membership is None:
                raise Unavailable("There was no connection to the server in time.")
            return self._membership

    def _wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait for `condition`, for the end of the chat, or for the deadline."""
        with self._changed:
            self._changed.wait_for(
                lambda: condition() or self._ended is not None, remaining(deadline)
            )

    def _pause(self, until: float) -> None:
        self._wait_until(lambda: False, until)

    def _missed(self, room: str, after: int) -> list[Event]:
        """What overflowed the inbox; waits for as long as there is hope."""
        if not self._has_rooms:
            return self.history(PAGE, after=after, timeout=float("inf"))
        try:
            return self._room(room).events(PAGE, after=after, timeout=float("inf"))
        except (NotJoined, NoSuchRoom):
            return []  # We are not in it any more: it is not ours to know.

    # ---- The states

    def _go_online(self, membership: Membership, status: Status | None = None) -> None:
        with self._changed:
            if self._ended is None:
                self._membership = membership
                self._keeps_log = membership.log is not None
                self._has_rooms = membership.person is not None
                self._lobby = membership.lobby
                self._changed.notify_all()
        if self._membership is not membership:
            membership.close()
            return
        if status is not None:
            self._tell(status)
        # Also calls back if the connection is lost already.
        membership.chat.on_broken(
            functools.partial(_connection_lost, weakref.ref(self), weakref.ref(membership))
        )

    def _lost(self, membership: Membership, error: BaseException) -> None:
        """The connection of `membership` is gone."""
        with self._changed:
            if self._membership is not membership:
                return
            self._membership = None
            self._changed.notify_all()
        closed = error if isinstance(error, SessionClosed) else SessionClosed(str(error))
        if not self._reconnect or stays_away(closed):
            self._end(chat_error(closed))
            return
        self._doubtful_until = 0.0
        self._backoff.connection_lost(closed.close_code, time.monotonic() - membership.began)
        thread_runtime().spawn(
            functools.partial(_come_back, weakref.ref(self), self._changed, membership)
        )

    def _announce_attempt(self) -> float:
        """Tell of the next attempt to come back; the seconds until it is made."""
        delay = self._backoff.next_delay()
        self._tell(Status(online=False, retry_in=delay))
        return delay

    def _attempt_to_come_back(self, before: Membership) -> bool:
        """Whether another attempt is worth making."""
        try:
            membership = self._join(before)
        except Exception as error:
            # Whatever it is, too few descriptors perhaps: it may pass.
            if not isinstance(error, FAILURES):
                logger.exception("Connecting failed unforeseen")
            outcome = error
        else:
            self._go_online(membership, Status(online=True))
            return False
        self._backoff.asked_to_wait(getattr(chat_error(outcome), "retry_after", 0.0))
        if isinstance(outcome, (SessionClosed, concurrent.futures.TimeoutError)):
            self._doubtful_until = time.monotonic() + DOUBTFUL_SECONDS
        # Taken perhaps by ourselves: a join whose answer was lost may have succeeded.
        taken = getattr(outcome, "code", None) == UsernameTaken.code
        if comes_back(outcome) or (taken and time.monotonic() < self._doubtful_until):
            return True
        self._end(chat_error(outcome))
        return False

    def _join(self, before: Membership | None = None) -> Membership:
        """Connect and join. Raises FAILURES."""
        connecting = joining = self._timeout
        if before is not None:
            connecting, joining = min(connecting, ATTEMPT_SECONDS), max(joining, REJOIN_SECONDS)
        return Membership.begin(
            functools.partial(self._connect, timeout=connecting),
            self.username,
            self._inbox,
            joining,
            before,
            self._token,
        )

    def _join_patiently(self) -> Membership:
        """Connect and join for the first time, when the server has room. Raises FAILURES, or
        RateLimited."""
        deadline = time.monotonic() + self._timeout
        while isinstance(outcome := self._join_if_room(), RateLimited):
            self._slow_down(outcome, deadline)
        return outcome

    def _join_if_room(self) -> Membership | RateLimited:
        try:
            return self._join()
        except RemoteError as error:
            refusal = chat_error(error)
            if isinstance(refusal, RateLimited):
                return refusal
            raise

    def _tell(self, status: Status) -> None:
        if self._on_status is not None:
            try:
                self._on_status(status)
            except Exception:
                logger.exception("on_status failed")

    def _leave_to_parent(self) -> None:
        """In a forked child: the chat goes on in the parent. Whoever held a lock is not here."""
        self._changed = threading.Condition()
        self._membership = None
        if self._ended is None:
            self._ended = ConnectionLost(
                "This chat belongs to the process that forked this one; make a client here."
            )
        self._inbox.leave_to_parent(self._ended)

    def _end(self, error: ChatError) -> None:
        with self._changed:
            if self._ended is not None:
                return
            self._ended = error
            membership, self._membership = self._membership, None
            self._changed.notify_all()
        self._inbox.end(None if isinstance(error, ChatClosed) else error)
        if membership is not None:
            membership.close()


def _connection_lost(
    client: weakref.ref[ChatClient], membership: weakref.ref[Membership], error: BaseException
) -> None:
    """The connection of `membership` is gone."""
    chat, lost = client(), membership()
    if chat is not None and lost is not None:
        chat._lost(lost, error)


@named("chatclient reconnect")
def _come_back(
    client: weakref.ref[ChatClient], changed: threading.Condition, before: Membership
) -> None:
    """Try until there is a connection again, no hope, or nobody any more who wants one."""
    try:
        keep_trying(
            client,
            changed,
            over=lambda chat: chat.closed,
            announce=ChatClient._announce_attempt,
            attempt=lambda chat: chat._attempt_to_come_back(before),
        )
    except BaseException as error:
        logger.exception("Coming back failed unforeseen")
        chat = client()
        if chat is not None:
            chat._end(ConnectionLost(f"The connection is lost, and coming back failed: {error!r}"))
