"""The calls of clients, counted, and those logged that came more often than is allowed."""

import logging
from collections import Counter
from typing import Any, Final

from chatserver.capabilities.chat import Counts
from chatserver.errors import RateLimited
from chatserver.logs import tell

logger: Final = logging.getLogger("chatserver")


class ChatCalls(Counts):
    """The calls of one process.

    Attributes:
        refusals: what was refused otherwise, by reason: requests, and calls before they began.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals: Counter[str] = Counter(rate_limited=0, http_429=0)

    def fails(self, method: str, error: BaseException, session: Any) -> None:
        """One fails; see `CallCounts`."""
        super().fails(method, error, session)
        if isinstance(error, RateLimited):
            tell_limited(error, session, method)

    def limited(self, error: RateLimited, session: Any) -> None:
        """A call was refused before it began: those of all kinds came too often."""
        self.refusals[error.CODE] += 1
        tell_limited(error, session, None)

    def all_refusals(self) -> Counter[str]:
        """Everything that was refused, by reason."""
        refusals = self.refusals.copy()
        for (_, outcome), times in self.failed.items():
            refusals[outcome] += times
        return refusals


def tell_limited(error: RateLimited, session: Any, method: str | None) -> None:
    """Log that somebody was told to wait."""
    peer = None if session is None else session.peer
    tell(logger, logging.INFO, "Limited", peer=peer, method=method, retry_after=error.retry_after)
