"""Where application code runs: the served calls of a session, in their order and up to its limit.

A call is counted from the moment it is read until it is done; past the limit it is rejected. It
runs as a job of the session's queue, never in the reader and never inside a step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from ..errors import (
    RpcError,
    drop_locals,
    fresh_copy,
    logger,
    meant_for_peer,
    redacted,
    shortened,
)
from ..limits import Limits
from ..observe.counts import CallCounts
from ..observe.observer import Path, method_name
from ..observe.seen import Seen
from ..runtimes.interface import CallQueue, Runtime, default_runtime
from ..runtimes.steps import Changing
from .budgets import MAX_COPIED_VALUES, count_values
from .ledger import UNWEIGHED, WAITING_COST, Ledger, size_of
from .payload import Payload

CHUNK_COST: Final = 1024
"""Bytes that a chunk takes here beside its own and beside its entry, roughly: promises, and the
place in its queue. Chunks of a byte each would otherwise take many times what they count."""


OnSendError = Callable[[BaseException], "BaseException | None"]
"""What decides what the peer learns of an exception: another one, sent as it is, or None."""


class Serving(Changing, Protocol):
    """The session whose calls are served."""

    @property
    def peer(self) -> str:
        """Who is at the other end, for people."""
        ...

    @property
    def send_stack_traces(self) -> bool:
        """Whether errors carry their tracebacks to the peer."""
        ...

    def overdrawn(self) -> None:
        """It keeps more than it may: end it."""
        ...


class ServedCalls:
    """The calls that one session serves: their queue, their number, their limit."""

    __slots__ = (
        "_begun",
        "_copies_left",
        "_queue",
        "answered",
        "before_call",
        "counts",
        "ledger",
        "limits",
        "on_send_error",
        "received_size",
        "result_timeout",
        "runtime",
        "seen",
        "session",
        "under_way",
    )

    def __init__(
        self,
        runtime: Runtime,
        queue: CallQueue,
        limits: Limits,
        ledger: Ledger | None = None,
    ) -> None:
        self.runtime = runtime
        self._queue = queue
        self.limits = limits
        self.ledger = ledger or Ledger(limits.max_memory)
        """What the session keeps for its peer."""
        self.under_way = 0
        self.before_call: Callable[[], None] | None = None
        """Called before each call of the peer's, and each reading of a property, is begun, in the
        reader: it must not block. An RpcError that it raises refuses the call."""
        self.result_timeout: float | None = None
        """Seconds that `result()` of a promise of this session waits without a timeout of its own;
        None is without end."""
        self.received_size = 0
        """Bytes of the message that is being taken."""
        self._copies_left = MAX_COPIED_VALUES
        self._begun = 0
        self.answered = 0
        """Bytes of answers for one message, or when one call was done."""
        self.counts: CallCounts | None = None
        """Where calls are counted, if anybody asks for that."""
        self.seen: Seen | None = None
        """Those who observe the calls of the session, if anybody does."""
        self.on_send_error: OnSendError | None = None
        """What the application has to say on errors that are sent."""
        self.session: Serving | None = None
        """Whose calls these are, until its end; None for calls that no session makes."""

    def change(self) -> None:
        """What follows in this step changes the session."""
        if self.session is not None:
            self.runtime.step.changing.add(self.session)

    def interrupt(self) -> None:
        """A call has been cut, so that it will have no answer: end the session."""
        if self.session is not None:
            self.runtime.step.run(self.session.interrupted)

    def end_overdrawn(self) -> None:
        """At the end of a message, or of a call: more is kept than may be, so end the session."""
        if self.session is not None:
            self.session.overdrawn()

    def begin(self) -> None:
        """Count one more. Raises RpcError with the code `too_many` past the limit, and what
        `before_call` raises."""
        if self.under_way >= self.limits.max_calls:
            raise RpcError(
                f"More than {self.limits.max_calls} calls are under way on this connection."
                " Wait for some of them to finish.",
                code="too_many",
            )
        if self._begun >= self.limits.max_calls_per_message:
            raise RpcError(
                f"One message starts more than {self.limits.max_calls_per_message} calls.",
                code="too_many",
            )
        if self.before_call is not None:
            self.before_call()
        self._begun += 1
        self.under_way += 1

    def end(self) -> None:
        """One is done."""
        self.under_way -= 1

    def end_with(self, args: Payload) -> None:
        """One is done, and these arguments of it are given up."""
        self.under_way -= 1
        if args.weight:
            self.ledger.held -= args.weight

    def admit(self, args: Payload) -> None:
        """Count a call that the application of this side makes of what the peer has passed, as one
        of the peer's: it waits for as long as the peer likes. Without effect if it is counted.
        Raises RpcError with the code `too_many` past the limit; the arguments are given up then."""
        if args.on_dispose is not None:
            return
        try:
            self.begin()
        except RpcError:
            args.dispose()
            raise
        args.on_dispose = self.end_with

    def set_aside(self, what: Any) -> int:
        """Count `what` waits for a promise: a path, or more. How much is to be given back when it
        waits no more. Raises RpcError with the code `too_many` if there is no room."""
        size = WAITING_COST + size_of(what, self.ledger.room)
        self._need(size)
        self.ledger.hold(size)
        return size

    def _need(self, size: int) -> None:
        """Raises RpcError with the code `too_many` if so many bytes are too many; the session ends
        soon."""
        if size > self.ledger.room:
            self.ledger.overdrawn = True
            raise RpcError(too_much(self.limits.max_memory), code="too_many")

    def renew_copies(self) -> None:
        """A message is taken, or a call is done: what it may copy and begin starts anew."""
        self._copies_left = MAX_COPIED_VALUES
        self._begun = 0
        self.answered = 0

    def pay_copy(self, value: Any) -> None:
        """Pay for a copy of `value`. Raises RpcError with the code `too_many` if that is too
        much for one message."""
        if self._copies_left > 0:
            self._copies_left -= count_values(value, self._copies_left)
        if self._copies_left <= 0:
            raise RpcError(
                "One message names results with stubs, or of data classes, so often that more than"
                f" {MAX_COPIED_VALUES} values would have to be copied.",
                code="too_many",
            )

    def begin_write(self, args: Payload) -> None:
        """A call that was counted turns out to be one to a stream: these are not bounded by their
        number but by their bytes, as the writer's window is, until the chunk has been taken.
        Raises RpcError with the code `too_many` past the limit."""
        if args.on_dispose != self.end_with:
            return  # made by the application of this side
        self.under_way -= 1
        args.on_dispose = self._end_write
        size = CHUNK_COST + min(args.received_size, UNWEIGHED)
        self._need(size)
        args.weight += size
        self.ledger.hold(size)

    def _end_write(self, args: Payload) -> None:
        self.ledger.held -= args.weight

    def hold(self, size: int) -> None:
        """Keep bytes of streams for their reader. Raises RpcError with the code `too_many` past
        the limit."""
        self._need(size)
        self.ledger.hold(size)

    def give_back(self, size: int) -> None:
        """Bytes that were held have been taken."""
        self.ledger.give_back(size)

    def take(self, args: Payload, value: Any) -> None:
        """Weigh a value that a promise brings into the arguments of a call. Raises RpcError with
        the code `too_many` past the limit."""
        size = size_of(value, self.ledger.room)
        self._need(size)
        if args.on_dispose is not None:  # a call that is counted
            args.weight += size
            self.ledger.hold(size)

    def failure(self, error: BaseException, path: Path) -> BaseException:
        """What becomes known of an exception that a call of `path` raised, and is kept for as long
        as the peer likes: without its traceback, unless that is sent, since the frames in it are 3
        KB and more. Outside of a step: it may write to the log, and asks the application."""
        known = self.decided(error)
        if known is None:
            peer = "a peer" if self.session is None else self.session.peer
            known = redacted(
                error, f"A served call failed, {shortened(method_name(path))} for {peer}"
            )
        drop_locals(known)
        if self.session is not None and self.session.send_stack_traces:
            return known
        return fresh_copy(known).with_traceback(None)

    def decided(self, error: BaseException) -> RpcError | None:
        """What the application has decided the peer shall learn of `error`; None if it has not."""
        if self.on_send_error is None:
            return None
        try:
            instead: object = self.on_send_error(error)
        except Exception:
            logger.exception("on_send_error failed; the peer learns what it does without it")
            return None
        if instead is None:
            return None
        if not isinstance(instead, BaseException):
            logger.error(
                "on_send_error has returned %.50r, which is no exception; the peer learns what it"
                " does without it",
                instead,
            )
            return None
        return meant_for_peer(instead)

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in its turn."""
        self._queue.start(job)

    def notify(self, function: Callable[..., Any], *args: Any) -> None:
        """Run application code that nobody waits for; what it raises goes to the log."""
        self._queue.start(Callback(function, args))


class SeenCalls(ServedCalls):
    """Those of a session whose calls are observed."""

    __slots__ = ()

    def start(self, job: Callable[[], None]) -> None:
        called: Callable[[], tuple[Path, bool]] | None = getattr(job, "called", None)
        if called is not None and self.seen is not None:  # none for a write to a stream
            self.seen.serving(job, *called())
        self._queue.start(job)


def too_much(most: int) -> str:
    """What a peer is told that makes this side keep more than `most` bytes."""
    return f"This side would keep more than {most} bytes for its peer."


class Callback:
    """A call without an answer: a callback of the application on this side."""

    __slots__ = ("_args", "_function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args

    def __call__(self) -> None:
        try:
            self._function(*self._args)
        except BaseException:
            logger.exception("The callback %r failed", self._function)


LOCAL_LIMITS = Limits(max_calls=2**31, max_calls_per_message=2**31, max_memory=sys.maxsize)
"""The application may ask of itself what it likes."""


class LocalCalls(ServedCalls):
    """Calls that the application makes of its own targets: it learns what they raised."""

    __slots__ = ()

    def failure(self, error: BaseException, path: Path) -> BaseException:
        return error

    def pay_copy(self, value: Any) -> None:
        return None


_local: LocalCalls | None = None


def local_calls() -> ServedCalls:
    """For calls on local targets that no session makes, such as on `RpcStub(target)`."""
    global _local
    runtime = default_runtime()
    if _local is None or _local.runtime is not runtime:
        _local = LocalCalls(runtime, runtime.call_queue(), LOCAL_LIMITS)
    return _local
