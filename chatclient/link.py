"""The connection that a chat has: there, lost for now, or over.

A `Link` is in one of three states, and `_membership` and `_ended` say in which:

    online    `_membership` is there
    offline   it is None: the connection was lost, and a thread of its own tries to get it back
    ended     `_ended` is the reason, closed or lost for good, and stays so

    | state   | what happens                         | becomes | because                           |
    |---------|--------------------------------------|---------|-----------------------------------|
    | online  | the connection is lost               | offline | it may come back, within the time |
    |         |                                      |         | for which the server keeps names  |
    | online  | …and `reconnect` is off              | ended   | the application asked for that    |
    | online  | …with a code that means: stay away   | ended   | `stays_away` in reconnect.py      |
    | online  | …that means: taken over, and a join  | offline | by ourselves perhaps: that join   |
    |         | was not answered a minute ago        |         | may have come late                |
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
"""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import logging
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from capnweb_sync import ClientSession, ConnectError, RemoteError, SessionClosed
from capnweb_sync.close_codes import TAKEN_OVER
from capnweb_sync.runtimes.fork import in_child
from capnweb_sync.runtimes.threads import named, thread_runtime

from .errors import (
    BadAnswer,
    ChatClosed,
    ChatError,
    ConnectionLost,
    RateLimited,
    Unavailable,
    UsernameTaken,
    chat_error,
)
from .inbox import Inbox
from .membership import Membership, remaining
from .reconnect import Backoff, Status, comes_back, keep_trying, stays_away

logger = logging.getLogger("chatclient")

ATTEMPT_SECONDS: Final = 5.0
"""Seconds after which an attempt to connect again is given up: one that hangs must not use up the
time for which the server keeps the name (15 s)."""

REJOIN_SECONDS: Final = 30.0
"""Seconds after which a join on coming back is given up. After a restart of the server everybody
joins at once, and asking twice would only make it slower; pings tell whether it is alive."""

DOUBTFUL_SECONDS: Final = 60.0
"""How long a name that is taken, or taken over, may be so by ourselves, by a join whose answer was
lost: longer than the server waits for us to come back."""

FAILURES: Final = (
    BadAnswer,
    ConnectError,
    RemoteError,
    SessionClosed,
    concurrent.futures.TimeoutError,
)
"""What connecting and joining fail with."""


class Connect(Protocol):
    """Makes a connection."""

    def __call__(self, *, timeout: float) -> ClientSession:
        """Connect within `timeout` seconds. Raises ConnectError."""
        ...


class Link:
    """One name in a chat, kept online: from the first join to the end.

    One that is dropped without having been ended is a ResourceWarning, and is ended then.

    Attributes:
        username: the name as the server shows it.
        token: what one comes in by, if it is not by the name.
        timeout: seconds that connecting and joining may take.
        server: what the server has shown that it has.
        role: what an account is.
    """

    _ended: ChatError | None = ChatClosed("This chat has not begun.")
    _doubtful_until: float = 0.0

    def __init__(
        self,
        connect: Connect,
        inbox: Inbox,
        username: str,
        *,
        token: str | None,
        timeout: float,
        reconnect: bool,
        on_status: Callable[[Status], None] | None,
    ) -> None:
        """Events go into `inbox`; the rest is as `ChatClient` has it."""
        self._connect = connect
        self._inbox = inbox
        self.token = token
        self.timeout = timeout
        self._reconnect = reconnect
        self._on_status = on_status
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._membership: Membership | None = None
        self.username = username
        in_child(self, Link._leave_to_parent)

    def begin(self) -> Membership:
        """Connect and join, for the first time. Raises ChatError."""
        try:
            membership = self._join_patiently()
        except FAILURES as error:
            raise chat_error(error) from error
        self.username = membership.username
        self._ended = None
        self._go_online(membership)
        return membership

    @property
    def ended(self) -> bool:
        """Whether it is over: ended, or lost for good."""
        return self._ended is not None

    # ---- What calls ask for

    def membership(self, deadline: float) -> Membership:
        """The membership, as soon as there is one. Raises ChatError."""
        self.wait_until(lambda: self._membership is not None, deadline)
        with self._changed:
            if self._ended is not None:
                raise copy.copy(self._ended)
            if self._membership is None:
                raise Unavailable("There was no connection to the server in time.")
            return self._membership

    def is_there(self, membership: Membership) -> bool:
        """Whether this is the membership that there is now."""
        return self._membership is membership

    def wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait for `condition`, for the end of the chat, or for the deadline."""
        with self._changed:
            self._changed.wait_for(
                lambda: condition() or self._ended is not None, remaining(deadline)
            )

    def pause(self, until: float) -> None:
        """Wait until then, or for the end of the chat."""
        self.wait_until(lambda: False, until)

    def slow_down(self, refusal: RateLimited, deadline: float) -> None:
        """Wait as long as the server asks to. Raises `refusal` if that is beyond the deadline."""
        until = time.monotonic() + refusal.retry_after
        if until > deadline:
            raise refusal
        self._tell(Status(online=True, retry_in=refusal.retry_after))
        self.pause(until)

    # ---- The states

    def _go_online(self, membership: Membership, status: Status | None = None) -> None:
        with self._changed:
            if self._ended is None:
                self._membership = membership
                self.server = membership.server
                self.role = membership.role
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
        # Taken over perhaps by ourselves: by an attempt before this one, which came late.
        doubtful = time.monotonic() < self._doubtful_until
        by_ourselves = doubtful and closed.close_code == TAKEN_OVER
        if not self._reconnect or (stays_away(closed) and not by_ourselves):
            self.end(chat_error(closed))
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
        self.end(chat_error(outcome))
        return False

    def _join(self, before: Membership | None = None) -> Membership:
        """Connect and join. Raises FAILURES."""
        connecting = joining = self.timeout
        if before is not None:
            connecting, joining = min(connecting, ATTEMPT_SECONDS), max(joining, REJOIN_SECONDS)
        return Membership.begin(
            functools.partial(self._connect, timeout=connecting),
            self.username,
            self._inbox,
            joining,
            before,
            self.token,
        )

    def _join_patiently(self) -> Membership:
        """Connect and join for the first time, when the server has room. Raises FAILURES, or
        RateLimited."""
        deadline = time.monotonic() + self.timeout
        while isinstance(outcome := self._join_if_room(), RateLimited):
            self.slow_down(outcome, deadline)
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

    def end(self, error: ChatError) -> None:
        """Close the connection, for good. `error` is what calls raise from now on, and what whoever
        reads gets behind what has come, unless it was closed on purpose. Idempotent."""
        with self._changed:
            if self._ended is not None:
                return
            self._ended = error
            membership, self._membership = self._membership, None
            self._changed.notify_all()
        self._inbox.end(None if isinstance(error, ChatClosed) else error)
        if membership is not None:
            membership.close()

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

    def __repr__(self) -> str:
        return f"<ChatClient {self.username!r}>"


def _connection_lost(
    link: weakref.ref[Link], membership: weakref.ref[Membership], error: BaseException
) -> None:
    """The connection of `membership` is gone."""
    here, lost = link(), membership()
    if here is not None and lost is not None:
        here._lost(lost, error)


@named("chatclient reconnect")
def _come_back(link: weakref.ref[Link], changed: threading.Condition, before: Membership) -> None:
    """Try until there is a connection again, no hope, or nobody any more who wants one."""
    try:
        keep_trying(
            link,
            changed,
            over=lambda link: link.ended,
            announce=Link._announce_attempt,
            attempt=lambda link: link._attempt_to_come_back(before),
        )
    except BaseException as error:
        logger.exception("Coming back failed unforeseen")
        here = link()
        if here is not None:
            here.end(ConnectionLost(f"The connection is lost, and coming back failed: {error!r}"))
