"""The border of the core: what it needs from the world, as three small interfaces.

The core does no I/O and starts no thread. A shell gives each session a `Transport` to send with
and a `Runtime` that says how this process waits, runs served calls and keeps two threads from
touching one table: `threads.ThreadRuntime`, or `greenlets.GeventRuntime`.

One rule makes the core safe: all of its state is touched under `Runtime.step`, and application
code never runs inside a step. The step is one lock for the process, not one per session:
capabilities connect sessions with each other, and two locks that are taken in two orders are a
deadlock. Steps are short and never wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from ..deferred import Deferred
from ..errors import SessionOfParent
from .steps import InheritedStep, Step


class Transport(Protocol):
    """Carries messages to the peer. The shell hands incoming ones to `RpcSession.receive`.

    A transport that bounds what waits to be sent may also have `wait_room(timeout: float | None) ->
    bool`: it blocks the caller, who is outside of a step, until there is room for more of a stream,
    `timeout` seconds at most; False if there is none. Streams ask it before each chunk, so that
    they never run into the bound.

    One that can't send anything later has `carries_streams`, which is false.
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
        """Hand over a packed message. Never blocks, never raises; after closing it drops."""
        ...

    def close(self, code: int, reason: str) -> None:
        """The session is over on our side. `code` is a WebSocket close code (RFC 6455, section
        7.4), `reason` a sentence that the transport may cut. Never blocks, never raises."""
        ...


class CallQueue(Protocol):
    """Starts the served calls of one session, in order."""

    def start(self, job: Callable[[], None]) -> None:
        """Run `job` soon, never inside this call. A job does not raise."""
        ...


class Runtime(Protocol):
    """How a process waits and runs things."""

    @property
    def step(self) -> Step:
        """The lock of the core's state; re-entrant. Whole operations are made with its `run`."""
        ...

    def call_queue(self) -> CallQueue:
        """A queue for a new session."""
        ...

    def wait(self, deferred: Deferred[Any], timeout: float | None) -> bool:
        """Block the caller until `deferred` is settled, `timeout` seconds at most (None: without
        end). False if time ran out. Called outside of a step."""
        ...

    def enter(self, function: Callable[[], None]) -> None:
        """Run `function` where a step may be taken: at once, or soon on the loop's thread when
        called from a foreign one."""
        ...

    def tidy_later(self, function: Callable[[], None]) -> None:
        """Run `function` within seconds, where a step may be taken. For work that is better
        gathered than done at once; it is short and never blocks."""
        ...

    def spawn(self, function: Callable[[], None]) -> None:
        """Run `function`, which may block for as long as it likes and does not raise, beside
        everything else: what reads a stream of the application's to send it."""
        ...

    def collect(self, function: Callable[[], None]) -> None:
        """Run `function`, which takes a step: at once if the step is free, otherwise right after
        the step that is under way. For finalizers, which Python runs in any thread and in the
        middle of anything. Never blocks, never raises."""
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

    enter = tidy_later = spawn = collect = forget


def inherit(runtime: Runtime) -> None:
    """Make `runtime` an `InheritedRuntime`: this process is a child of the one that made it."""
    global _default
    if _default is runtime:
        _default = None
    # Sessions have it at hand.
    runtime.step.__class__ = InheritedStep
    runtime.__class__ = InheritedRuntime
