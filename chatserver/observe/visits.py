"""The connections as an operator sees them: who came, how it went, and why it ended."""

import logging
from collections import Counter
from itertools import count
from time import monotonic

from capnweb_sync import RpcSession
from capnweb_sync.close_codes import logged_reason
from capnweb_sync.server import CloseCode, Connection
from chatserver.logs import connections_logger, rounded, tell


class Visits:
    """The connections of one process, counted, and logged as they begin and end.

    Attributes:
        opened: how many there were.
        closed: how many have ended, by their close code.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.closed: Counter[int] = Counter({CloseCode.TRY_AGAIN_LATER: 0})
        self._numbers = count(1)

    def begin(self, host: str) -> "Visit":
        """A connection from `host` is open."""
        self.opened += 1
        visit = Visit(next(self._numbers), host)
        tell(connections_logger, logging.INFO, "Opened", connection=visit.number, address=host)
        return visit

    def end(self, visit: "Visit", connection: Connection, people: list[str]) -> None:
        """It is over; `people` are the names that it spoke for."""
        session = connection.session
        code = CloseCode.ABNORMAL if connection.close_code is None else connection.close_code
        self.closed[code] += 1
        by = "client" if connection.closed_by_peer else "server"
        too_slow = code == CloseCode.TRY_AGAIN_LATER
        tell(
            connections_logger,
            logging.WARNING if too_slow else logging.INFO,
            "Closed",
            connection=visit.number,
            address=visit.host,
            person=people[0] if len(people) == 1 else None,
            people=people if len(people) > 1 else None,
            code=int(code),
            by=None if code == CloseCode.ABNORMAL else by,
            reason=logged_reason(code, connection.close_reason),
            seconds=rounded(monotonic() - visit.began),
            calls=session.calls_served if isinstance(session, RpcSession) else None,
            told=session.calls_made if isinstance(session, RpcSession) else None,
            waited_bytes=connection.unsent if too_slow else None,
        )


class Visit:
    """One connection: its number, which stands in each line about it, and where it came from."""

    __slots__ = ("began", "host", "number")

    def __init__(self, number: int, host: str) -> None:
        self.number = number
        self.host = host
        self.began = monotonic()
