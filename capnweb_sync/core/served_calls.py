"""Where application code runs: the served calls of a session, in their order and up to its limit.

A call is counted from the moment it is read until it is done; past the limit it is rejected. It
runs as a job of the session's queue, never in the reader and never inside a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from capnweb_sync.core.budgets import MAX_COPIED_VALUES

from ..errors import RpcError, drop_locals, logger, redacted
from ..limits import Limits
from ..runtimes.interface import CallQueue, Runtime, default_runtime
from ..runtimes.steps import Changing
from .budgets import count_values
from .payload import Payload

CHUNK_OVERHEAD: Final = 1024
"""Bytes that a chunk takes here beside its own, roughly: promises and entries of tables. Chunks of
a byte each would otherwise take many times what their bound says."""


class ServedCalls:
    """The calls that one session serves: their queue, their number, their limit."""

    __slots__ = (
        "_chunk_bytes",
        "_copies_left",
        "_queue",
        "_waiting",
        "_weight",
        "before_call",
        "limits",
        "received_size",
        "runtime",
        "session",
        "under_way",
    )

    def __init__(self, runtime: Runtime, queue: CallQueue, limits: Limits) -> None:
        self.runtime = runtime
        self._queue = queue
        self.limits = limits
        self.under_way = 0
        self.before_call: Callable[[], None] | None = None
        """Called before each call of the peer's, and each reading of a property, is begun, in the
        reader: it must not block. An RpcError that it raises refuses the call."""
        self._weight = 0
        self.received_size = 0
        """Bytes of the message that is being taken."""
        self._chunk_bytes = 0
        self._waiting = 0
        self._copies_left = MAX_COPIED_VALUES
        self.session: Changing | None = None
        """Whose calls these are, until its end; None for calls that no session makes."""

    def change(self) -> None:
        """What follows in this step changes the session."""
        if self.session is not None:
            self.runtime.step.changing.add(self.session)

    def interrupt(self) -> None:
        """A call has been cut, so that it will have no answer: end the session."""
        if self.session is not None:
            self.runtime.step.run(self.session.interrupted)

    def begin(self) -> None:
        """Count one more. Raises RpcError with the code `too_many` past the limit, and what
        `before_call` raises."""
        if self.under_way >= self.limits.max_calls:
            raise RpcError(
                f"More than {self.limits.max_calls} calls are under way on this connection."
                " Wait for some of them to finish.",
                code="too_many",
            )
        if self.before_call is not None:
            self.before_call()
        self.under_way += 1

    def end(self) -> None:
        """One is done."""
        self.under_way -= 1

    def end_with(self, args: Payload) -> None:
        """One is done, and these arguments of it are given up."""
        self.under_way -= 1
        self._weight -= args.weight

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

    def set_aside(self) -> None:
        """Count one more thing that waits for a promise. Raises RpcError with the code `too_many`
        past the limit."""
        if self._waiting >= self.limits.max_table_entries:
            raise RpcError(
                f"More than {self.limits.max_table_entries} things wait for promises.",
                code="too_many",
            )
        self._waiting += 1

    def go_on(self) -> None:
        """One of these need not wait any more."""
        self._waiting -= 1

    def renew_copies(self) -> None:
        """A message is taken, or a call is done: what it may have copied begins anew."""
        self._copies_left = MAX_COPIED_VALUES

    def pay_copy(self, value: Any) -> None:
        """Pay for a copy of `value`. Raises RpcError with the code `too_many` if that is too
        much for one message."""
        if self._copies_left > 0:
            self._copies_left -= count_values(value, self._copies_left)
        if self._copies_left <= 0:
            raise RpcError(
                "One message names results with stubs so often that more than"
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
        args.on_dispose = None
        size = args.received_size + CHUNK_OVERHEAD
        self.hold(size)

        def end(args: Payload) -> None:
            self.give_back(size)
            self._weight -= args.weight

        args.on_dispose = end

    def hold(self, size: int) -> None:
        """Keep bytes of streams for their reader. Raises RpcError with the code `too_many` past
        the limit."""
        most = self.limits.max_stream_bytes
        if self._chunk_bytes + size > most:
            raise RpcError(
                f"More than {most} bytes of streams are waiting for their readers.",
                code="too_many",
            )
        self._chunk_bytes += size

    def give_back(self, size: int) -> None:
        """Bytes that were held have been taken."""
        self._chunk_bytes -= size

    def take(self, args: Payload, value: Any) -> None:
        """Weigh a value that a promise brings into the arguments of a call. Raises RpcError with
        the code `too_many` past the limit."""
        most = self.limits.max_argument_values
        added = count_values(value, most)
        if self._weight + added > most:
            raise RpcError(
                f"Promises bring more than {most} values into the arguments of calls.",
                code="too_many",
            )
        if args.on_dispose is not None:  # a call that is counted
            args.weight += added
            self._weight += added

    def failure(self, error: BaseException) -> BaseException:
        """What becomes known of an exception that a call raised. Outside of a step: it may write
        to the log."""
        known = redacted(error)
        drop_locals(known)
        return known

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` in its turn."""
        self._queue.start(job)

    def notify(self, function: Callable[..., Any], *args: Any) -> None:
        """Run application code that nobody waits for; what it raises goes to the log."""
        self._queue.start(Callback(function, args))


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


LOCAL_LIMITS = Limits(max_calls=2**31, max_table_entries=2**31, max_argument_values=2**63)
"""The application may ask of itself what it likes."""


class LocalCalls(ServedCalls):
    """Calls that the application makes of its own targets: it learns what they raised."""

    __slots__ = ()

    def failure(self, error: BaseException) -> BaseException:
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
