"""One connection on which a name has been joined: the part of a chat that comes and goes."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from capnweb_sync import (
    ClientSession,
    RemoteError,
    RpcPromise,
    RpcStub,
    RpcTarget,
    SessionClosed,
)

from . import answers
from .answers import Joined, Log
from .errors import REMOTE, BadAnswer, ChatError, Forbidden, NoSuchRoom, TooMany
from .events import Event, string_of
from .inbox import Inbox

TRYING_AGAIN: Final = 4000
"""Close code of a connection that is given up for another (RFC 6455, section 7.4.2: 4000 to 4999
are for applications). The server does not take it for leaving."""

LEAVE_SECONDS: Final = 1.0
"""How long closing waits until a server that is not ours has understood that we leave."""

SHUT: Final = (NoSuchRoom.code, Forbidden.code, TooMany.code)
"""What says that a room is not to be come back into."""

logger = logging.getLogger("chatclient")

Connect = Callable[[], ClientSession]
"""Makes a connection."""


class Receiver(RpcTarget):
    """What the server calls with each event of one connection. Events that come before it is known
    which log they are of wait until it is."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._early: list[Event] | None = []
        self._lock = threading.Lock()

    def onMessage(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        try:
            taken = Event.of(event)
            with self._lock:
                if self._early is not None:
                    self._early.append(taken)
                    return
            self._inbox.put(taken)
        except BadAnswer as error:
            # Not raised: some servers drop whoever answers with an error.
            logger.warning("%s", error)

    def _begin(self, joined: Joined, since: int) -> None:
        """The connection delivers events of this log from here on."""
        with self._lock:
            early, self._early = self._early or [], None
            if joined.log is None:
                self._inbox.begin_unnumbered()
            else:
                log = joined.log
                self._inbox.begin(log.epoch, log.last_id, since, joined.rooms)
            for event in early:
                self._inbox.put(event)


class Server(NamedTuple):
    """What a server has shown that it has.

    Attributes:
        keeps_log: whether it keeps history, and knows keys.
        has_rooms: whether there are rooms.
        lobby: the name of the room that the calls without one mean; "" where there are no rooms.
    """

    keeps_log: bool
    has_rooms: bool
    lobby: str


@dataclass(frozen=True)
class Membership:
    """A name that is ours on a connection, with what the server said to it.

    `chat` is the server's main object, `person` who we are there, where the server has rooms.
    `lobby` is the name of the room that `chat` means; "" where there are no rooms. `role` is what
    an account is.
    `log` is what it takes to come back; as long as its `resume` stays the same, it is the same
    membership. It is None with servers that have no such thing: there, nothing is resumed, and
    there is no history.
    """

    session: ClientSession
    chat: RpcStub
    username: str
    log: Log | None
    person: RpcStub | None = None
    lobby: str = ""
    role: str | None = None
    began: float = field(default_factory=time.monotonic)
    _rooms: dict[str, RpcPromise] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        connect: Connect,
        username: str,
        inbox: Inbox,
        timeout: float,
        before: Membership | None = None,
        token: str | None = None,
    ) -> Membership:
        """Connect, and come in within `timeout` seconds, by the token if there is one, going on
        with the membership `before` if there was one.

        Raises what `connect` raises; RemoteError, SessionClosed, TimeoutError, BadAnswer.
        """
        deadline = time.monotonic() + timeout
        session = connect()
        try:
            if before is None or before.person is not None:
                try:
                    shown = {"name": username} if token is None else {"token": token}
                    return cls._log_in(session, shown, inbox, deadline, before)
                except RemoteError as error:
                    # Servers without rooms know no tokens.
                    if before is not None or token is not None or error.code in REMOTE:
                        raise
            return cls._join(session, username, inbox, deadline, before)
        except BaseException:
            if before is None:
                session.close()
            else:
                # It may have succeeded, and a normal close would give the name up.
                session.close(TRYING_AGAIN, "No answer to join.", wait=False)
            raise

    @classmethod
    def _log_in(
        cls,
        session: ClientSession,
        shown: dict[str, str],
        inbox: Inbox,
        deadline: float,
        before: Membership | None,
    ) -> Membership:
        """Log in with the name or the token `shown`, and come into the lobby where that is new, in
        one round trip."""
        since = inbox.seen
        public = [name for name in inbox.rooms if name[:1] not in ("+", "@")]
        options: dict[str, Any] = {**shown}
        if before is not None and before.log is not None:
            log = before.log
            options |= {"since": since, "epoch": log.epoch, "resume": log.resume}
        receiver = Receiver(inbox)
        person = session.main.login(receiver, options)
        lobby = session.main.about.lobby
        if before is None:
            person.enter(lobby).dispose()
        somebody, lobbys_name = person.future(), lobby.future()
        with person.me as me:
            joined = answers.logged_in(me.result(remaining(deadline)), shown.get("name", ""))
        receiver._begin(joined, since)
        if before is not None and not before.goes_on_with(joined.log, joined.role):
            cls._enter(person, public, inbox, joined, deadline)
        who = somebody.result(remaining(deadline))
        name = string_of(lobbys_name.result(remaining(deadline)))
        lobby.dispose()
        return cls(session, session.main, joined.username, joined.log, who, name, joined.role)

    @classmethod
    def _enter(
        cls, person: RpcPromise, rooms: list[str], inbox: Inbox, joined: Joined, deadline: float
    ) -> None:
        """Come into the rooms where the stay before was: this is another one. They are known here
        before they are entered, for the stay after it, if this connection ends meanwhile."""
        assert joined.log is not None
        for room in rooms:
            inbox.enter(room, joined.log.last_id)
        entering = {room: person.enter(room) for room in rooms}
        for room, entered in entering.items():
            with entered:
                try:
                    entered.result(remaining(deadline)).dispose()
                except RemoteError as error:
                    if error.code not in SHUT:
                        raise
                    inbox.left(room)

    @classmethod
    def _join(
        cls,
        session: ClientSession,
        username: str,
        inbox: Inbox,
        deadline: float,
        before: Membership | None,
    ) -> Membership:
        """Join, where the server knows nothing of rooms."""
        # A third argument is sent only to a server that has shown that it knows it.
        options: list[dict[str, Any]] = []
        since = inbox.seen
        if before is not None and before.log is not None:
            log = before.log
            options = [{"since": since, "epoch": log.epoch, "resume": log.resume}]
        receiver = Receiver(inbox)
        with session.main.join(username, receiver, *options) as joining:
            joined = answers.joined(joining.result(remaining(deadline)), username)
        receiver._begin(joined, since)
        return cls(session, session.main, joined.username, joined.log)

    def room(self, name: str) -> RpcPromise:
        """A room in which we are, entered if it is public. Raises ChatError."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = self.somebody.enter(name)
        return room

    def enter(self, name: str) -> RpcPromise:
        """Come into a room; `room` asks for it anew with the next use. Raises ChatError."""
        room = self._rooms.pop(name, None)
        if room is not None:
            room.dispose()
        return self.somebody.enter(name)

    @property
    def somebody(self) -> RpcStub:
        """Who we are. Raises ChatError."""
        if self.person is None:
            raise ChatError("This server has no rooms.")
        return self.person

    @property
    def server(self) -> Server:
        """What the server has shown that it has."""
        return Server(self.log is not None, self.person is not None, self.lobby)

    def goes_on_in(self, other: Membership) -> bool:
        """Whether `other` is the same membership on another connection: there, the server knows
        what has been said here."""
        return self.goes_on_with(other.log, other.role)

    def goes_on_with(self, log: Log | None, role: str | None) -> bool:
        """Whether one with this log and role is: the same stay, or the same account, whose rooms
        and keys last."""
        if self.log is None or log is None:
            return False
        is_account = self.role is not None and role is not None
        return self.log.resume == log.resume or (is_account and self.log.epoch == log.epoch)

    def close(self) -> None:
        """Close the connection on purpose, which gives the name up."""
        if self.log is None and not self.session.closed:
            # Not every server takes the end of the connection for leaving.
            try:
                with self.chat.leave(self.username) as leaving:
                    leaving.result(LEAVE_SECONDS)
            except (RemoteError, SessionClosed, concurrent.futures.TimeoutError):
                pass  # It need not know what leaving is; the connection ends all the same.
        self.session.close()


def remaining(deadline: float) -> float | None:
    """Seconds until `deadline`, not below 0; None for one that never comes."""
    return None if deadline == float("inf") else max(deadline - time.monotonic(), 0)
