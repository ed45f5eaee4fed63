"""From the `Future`s of the standard library to the core's promises and back, outcome by outcome.

Three things stand for what will be there later: `Deferred` inside the core, `PromiseHook` where it
is a value of a session, and `concurrent.futures.Future` at the border, to and from applications.
What one of them has come to passes to another as an `Outcome`.
"""

from __future__ import annotations

import concurrent.futures
from contextlib import suppress
from typing import Any, NamedTuple

from .errors import RpcError


class Outcome(NamedTuple):
    """What came of a call: `value`, or if it is not None, `error`."""

    value: Any
    error: BaseException | None = None


def outcome_of(future: concurrent.futures.Future[Any]) -> Outcome:
    """What came of a future that is done; of one that was cancelled, an RpcError that says so."""
    if future.cancelled():
        return Outcome(None, RpcError("The call was cancelled.", code="cancelled"))
    error = future.exception()
    return Outcome(None, error) if error is not None else Outcome(future.result())


def complete(
    future: concurrent.futures.Future[Any], value: Any, error: BaseException | None = None
) -> None:
    """Complete `future` with `value`, or with `error`; without effect if it was completed or
    cancelled meanwhile."""
    with suppress(concurrent.futures.InvalidStateError):
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def pass_on(source: concurrent.futures.Future[Any], target: concurrent.futures.Future[Any]) -> None:
    """Complete `target` as `source` once that is done."""
    source.add_done_callback(lambda done: complete(target, *outcome_of(done)))
