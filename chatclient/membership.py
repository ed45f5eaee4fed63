"""One connection on which a name has been joined: the part of a chat that comes and goes."""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

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
from .errors import BadAnswer
from .events import Event
from .inbox import Inbox

TRYING_AGAIN: Final = 4000
"""Close code of a connection that is given up for another (RFC 6455, section 7.4.2: 4000 to 4999
are for applications). The server does not take it for leaving."""

LEAVE_SECONDS: Final = 1.0
"""How long closing waits until a server that is not ours has understood that we leave."""

logger = logging.getLogger("chatclient")

Connect = Callable[[], ClientSession]
"""Makes a connection."""


class Receiver(RpcTarget):
    """What the server calls with each event."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def onMessage(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        try:
            self._inbox.put(Event.of(event))
        except BadAnswer as error:
            # Not raised: some servers drop whoever answers with an error.
            logger.warning("%s", error)


@dataclass(frozen=True)
class Membership:
    """A name joined on a connection, with what the server said to it.

    `chat` is the server's main object. `log` is what it takes to come back; as long as its `resume`
    stays the same, it is the same membership. It is None with servers that have no such thing:
    there, nothing is resumed, and there is no history.
    """

    session: ClientSession
    chat: RpcStub
    username: str
    log: Log | None
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls,
        connect: Connect,
        username: str,
        inbox: Inbox,
        timeout: float,
        before: Membership | None = None,
    ) -> Membership:
        """Connect, and join within `timeout` seconds, going on with the membership `before` if
        there was one.

        Raises what `connect` raises; RemoteError, SessionClosed, TimeoutError, BadAnswer.
        """
        # A third argument is sent only to a server that has shown that it knows it.
        options: list[dict[str, Any]] = []
        since = inbox.seen
        if before is not None and before.log is not None:
            log = before.log
            options = [{"since": since, "epoch": log.epoch, "resume": log.resume}]
        session = connect()
        try:
            chat = session.main
            joining = chat.join(username, Receiver(inbox), *options)
            answered: concurrent.futures.Future[Joined] = concurrent.futures.Future()

            def answer(promise: RpcPromise) -> None:
                try:
                    joined = answers.joined(promise.result(), username)
                    if joined.log is None:
                        inbox.begin_unnumbered()
                    else:
                        inbox.begin(joined.log.epoch, joined.log.last_id, since)
                except BaseException as error:
                    answered.set_exception(error)
                else:
                    answered.set_result(joined)

            # A callback runs in line with the events that follow: the inbox is told in time.
            joining.add_done_callback(answer)
            joined = answered.result(timeout)
        except BaseException:
            if before is None:
                session.close()
            else:
                # The join may have succeeded, and a normal close would give the name up.
                session.close(TRYING_AGAIN, "No answer to join.", wait=False)
            raise
        return cls(session, chat, joined.username, joined.log)

    def goes_on_in(self, other: Membership) -> bool:
        """Whether `other` is the same membership on another connection: there, the server knows
        what has been said here."""
        return bool(self.log and other.log and self.log.resume == other.log.resume)

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
