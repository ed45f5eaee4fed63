"""One connection on which a name has been joined: the part of a chat that comes and goes."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from capnweb_sync import ClientSession, RpcPromise, RpcStub, RpcTarget

from .events import Event
from .inbox import Inbox

TRYING_AGAIN: Final = 4000
"""Close code of a connection that is given up for another (RFC 6455, section 7.4.2: 4000 to 4999
are for applications). The server does not take it for leaving."""

Connect = Callable[[], ClientSession]
"""Makes a connection."""


class Receiver(RpcTarget):
    """What the server calls with each event."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def onMessage(self, event: dict[str, Any]) -> None:
        """Take an event in."""
        self._inbox.put(Event.of(event))


@dataclass(frozen=True)
class Membership:
    """A name joined on a connection, with what the server said to it.

    `chat` is the server's main object. `resume` is the secret with which another connection can
    take the name over; as long as it stays the same, it is the same membership.
    """

    session: ClientSession
    chat: RpcStub
    username: str
    last_id: int
    epoch: str
    resume: str
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

        Raises what `connect` raises; RemoteError, SessionClosed, TimeoutError.
        """
        options: dict[str, Any] = {}
        since = inbox.seen
        if before is not None:
            options = {"since": since, "epoch": before.epoch, "resume": before.resume}
        session = connect()
        try:
            chat = session.main
            joining = chat.join(username, Receiver(inbox), options)
            answered: concurrent.futures.Future[dict[str, Any]] = concurrent.futures.Future()

            def answer(promise: RpcPromise) -> None:
                try:
                    joined = promise.result()
                    inbox.begin(joined["epoch"], joined["lastId"], since)
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
        return cls(
            session,
            chat,
            joined["username"],
            joined["lastId"],
            joined["epoch"],
            joined["resume"],
        )

    def close(self) -> None:
        """Close the connection on purpose, which gives the name up."""
        self.session.close()
