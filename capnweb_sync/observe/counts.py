"""Served calls in plain integers: what a server that answers thousands a second can afford.

An `Observer` is told of each call in a queue of its own, which costs some microseconds. This costs
less than a hundredth of a call: how many there were, arguments know (`Parameters.calls`); what went
wrong is counted here, and one call in 32 is timed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import perf_counter
from typing import Any, Final

from ..errors import RemoteError, RpcError
from .durations import Durations

TIMED_MASK: Final = 31
"""Calls whose number among those of their method has these bits equal to 1 are timed: the first,
and every 32nd from there on. Those whose arguments need evaluating, which take longer, are all."""

MAX_NAMES: Final = 500
"""Methods and outcomes that are told apart: more than fit into any graph."""

OTHER: Final = "other"


class CallCounts:
    """The served calls of any number of sessions: given to one as `session.calls.counts`.

    Attributes:
        failed: calls that did not go well, by method, the first name of their path, and outcome:
            the code of the error, `internal` for one that was not meant for the peer, `error` for
            one without a code. The method of calls is `other` until one of it has gone well: a peer
            makes up names.
        seconds: how long they took, those that went well, by method.
    """

    def __init__(self) -> None:
        self.failed: Counter[tuple[str, str]] = Counter()
        self.seconds: defaultdict[str, Durations] = defaultdict(Durations)

    def timed(self, method: str, began: float) -> None:
        """One that went well is over; for the call.

        Args:
            method: what was called.
            began: on the clock of `time.perf_counter`.
        """
        self.seconds[method].note(perf_counter() - began)

    def fails(self, method: str, error: BaseException, session: Any) -> None:
        """One fails; for the call. Outside of a step.

        Args:
            method: what was called.
            error: what application code has raised.
            session: whose call it is.
        """
        known = method if method in self.seconds else OTHER
        outcome = outcome_of(error)
        if (known, outcome) not in self.failed and len(self.failed) >= MAX_NAMES:
            known = outcome = OTHER
        self.failed[known, outcome] += 1


def outcome_of(error: BaseException) -> str:
    """What came of a call, in a word."""
    if isinstance(error, RemoteError):
        return "remote"
    if isinstance(error, RpcError):
        return error.code or "error"
    return "internal"
