"""The border of the core: what it needs from the world, as three small interfaces.

The core does no I/O and starts no thread. A shell gives each session a `Transport` to send with
and a `Runtime` that says how this process waits, runs served calls and keeps two threads from
touching one table: `threads.ThreadRuntime`, or `greenlets.GeventRuntime`.

One rule makes the core safe: all of its state is touched under `Runtime.step`, and application
code never runs inside a step. The step is one lock for the process, not one per session:
capabilities connect sessions with each other, and two locks that are taken in two orders are a
deadlock. Steps are short and never wait. Under gevent, where everything is on one thread and no
step switches, nobody ever waits for that lock.

Who is called in a step, and what may come out:

    method                       called            blocks    raises
    Transport.send, close        within a step     never     nothing: a failure is the session's end
    Transport.wait_room          outside           yes       nothing
    Transport.pack               anywhere          never     nothing
    CallQueue.start              within a step     never     nothing
    Runtime.call_queue           within or not     never     nothing
    Runtime.wait                 outside           yes       RuntimeError where it would never end
    Runtime.enter, collect       anywhere          never     nothing
    Runtime.tidy_later, spawn    within or not     never     nothing

A function that is handed to `start`, `enter`, `tidy_later`, `spawn` or `collect` is the runtime's
from then on: it is called once, and dropped afterwards. In a forked child it is not: there, each of
these raises SessionOfParent or forgets the function (`InheritedRuntime`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol

from ..deferred import Deferred
from ..errors import SessionOfParent
from .steps import InheritedStep, Step


class Transport(Protocol):
    """Carries messages to the peer. The shell hands incoming ones to `RpcSession.receive`.

    The shell owns the transport, and ends it; a session refers to it as long as it lives. When the
    connection ends by itself, the shell calls `RpcSession.connection_lost` once; it may do so, too,
    after the session has called `close`, which is without effect then.

    A transport that bounds what waits to be sent may also have `wait_room(timeout: float | None) ->
    bool`: it blocks the caller, who is outside of a step, until there is room for more of a stream,
    `timeout` seconds at most; False if there is none. Streams ask it before each chunk, so that
    they never run into the bound.

    One that can't send anything later has `carries_streams`, which is false; one whose peer has
    nothing more to say has `can_answer`, likewise. `peer` says for people who is at the other end,
    the URL of a server as a rule; without it, `remote_address` does, as `accept` of a socket gives
    it.
    """

    @property
    def pack(self) -> Callable[[bytes], bytes]:
        """A function that brings one RPC message (JSON, UTF-8) into the form in which this
        transport sends it.

        It is pure, and the same for all transports of the class: a message to many is packed once
        and shared.
        """
        ...

    @property
    def can_concatenate(self) -> bool:
        """Whether packed messages, joined, may be sent as one piece, as in a stream of bytes. The
        same for all transports of the class."""
        ...

    def send(self, packed: bytes) -> None:
        """Hand over a packed message, in the order in which they are to arrive.

        Never blocks. After closing, or once the connection is lost, it drops. It does not raise
        for what becomes of the connection either: the shell reports that with `connection_lost`,
        never inside this call. `packed` may be shared with other transports: it is not changed.

        Args:
            packed: what `pack` made of one message, or several joined if `can_concatenate`.
        """
        ...

    def close(self, code: int, reason: str) -> None:
        """The session is over on our side: what was sent before still goes out, then the end.

        Never blocks, never raises. May be called when the connection is over already, and twice.

        Args:
            code: a WebSocket close code (RFC 6455, section 7.4); 3000 is the reference's.
            reason: a sentence that the transport may cut.
        """
        ...


class CallQueue(Protocol):
    """Starts the served calls of one session, in order. It lives as long as the session, and nobody
    ends it: jobs that were started before the session's end still run."""

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` soon, outside of a step and never inside this call. Never blocks, never raises,
        also when no thread can be had: the job waits for one then.

        Args:
            job: takes nothing, may block, and does not raise but for what ends the thread.
        """
        ...


class Runtime(Protocol):
    """How a process waits and runs things."""

    @property
    def step(self) -> Step:
        """The lock of the core's state; re-entrant. Whole operations are made with its `run`.

        Raises:
            SessionOfParent: in a forked child, for a runtime of its parent's.
        """
        ...

    def call_queue(self) -> CallQueue:
        """Make a queue for a new session, which owns it.

        Returns:
            The queue.
        """
        ...

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block the caller until `deferred` is settled. Called outside of a step.

        Args:
            deferred: stays the caller's; nothing is left in it when this returns or raises.
            timeout: seconds; None waits without end.

        Returns:
            False if time ran out. What `deferred` was settled with is for the caller to look at.

        Raises:
            RuntimeError: under gevent, within a step or on a foreign thread: it would never end.
            BaseException: whatever comes out of the wait: Ctrl+C, `gevent.Timeout`.
        """
        ...

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` where a step may be taken: at once, or soon on the loop's thread when
        called from a foreign one. What `function` raises when it runs at once, the caller gets.

        Args:
            function: takes nothing.
        """
        ...

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` within seconds, where a step may be taken. For work that is better
        gathered than done at once; it is short and never blocks. What it raises goes to the log.

        Args:
            function: takes nothing; short, and never blocks.
        """
        ...

    def spawn(self, function: Callable[[], None]) -> None:
        """Run a function beside everything else: what reads a stream of the application's to send
        it.

        Args:
            function: takes nothing; may block for as long as it likes, and does not raise.
        """
        ...

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> Deferred[None]:
        """Have long work done. A loop that serves many does a piece at a time, in turns with what
        others want; elsewhere it is done when this returns, or soon, if a step is under way.

        Args:
            pieces: yields after each piece, and does not raise.
            frees: whether it gives memory back; it does not wait behind all that takes more then.

        Returns:
            What is settled when it is done.
        """
        ...

    def collect(self, function: Callable[[], None]) -> None:
        """Run a function that takes a step: at once if the step is free, otherwise right after the
        step that is under way. For finalizers, which Python runs in any thread and in the middle of
        anything. Never blocks.

        Args:
            function: takes nothing; what it raises goes to the log.
        """
        ...


_default: Runtime | None = None
_make_default: Callable[[], Runtime]
"""Set by `threads`, which stands above this file, when the package is imported."""


def default_runtime() -> Runtime:
    """The runtime of stubs that belong to no session: threads, unless a shell has set another."""
    global _default
    if _default is None:
        _default = _make_default()
    return _default


def make_default_with(function: Callable[[], Runtime]) -> None:
    """Have `function` make the default runtime when it is first needed in a process."""
    global _make_default
    _make_default = function


def set_default_runtime(runtime: Runtime) -> None:
    """Make `runtime` the one for stubs that belong to no session."""
    global _default
    _default = runtime


class InheritedRuntime:
    """What a runtime becomes in a forked child, see `fork`: whoever uses something of its sessions
    is told so, and what only lets go of it is forgotten. Each use of a session begins with a step,
    so nothing has to be asked with each call, and no session has to be found."""

    @property
    def step(self) -> NoReturn:
        """Raises SessionOfParent."""
        raise SessionOfParent

    def call_queue(self) -> NoReturn:
        """Raises SessionOfParent."""
        raise SessionOfParent

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> NoReturn:
        """Raises SessionOfParent."""
        raise SessionOfParent

    def forget(self, function: Callable[[], None]) -> None:
        """`function` is for the parent to run."""

    def in_turns(self, pieces: Iterator[object], *, frees: bool = False) -> NoReturn:
        """Raises SessionOfParent."""
        raise SessionOfParent

    enter = tidy_later = spawn = collect = forget


def inherit(runtime: Runtime) -> None:
    """Make `runtime` an `InheritedRuntime`: this process is a child of the one that made it."""
    global _default
    if _default is runtime:
        _default = None
    # Sessions have it at hand.
    runtime.step.__class__ = InheritedStep
    runtime.__class__ = InheritedRuntime
