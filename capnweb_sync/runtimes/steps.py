"""The step: the lock of the core's state, and what makes each change of it whole.

Between any two bytecodes, Python may run a signal's handler that raises: Ctrl+C, a task queue's
time limit. A change that is cut there, such as an id that was taken for a message that was never
sent, would make the two sides of a session disagree from then on. So:

- The lock is C's own `RLock`, in a `with`: its methods are not bytecode, so nothing comes between
  taking it and being ready to give it back. (A subclass adds attributes; an `__enter__` or
  `__exit__` in Python would have bytecodes again.)
- Whoever changes a session names it in `changing` before the first change. Names are cleared when
  the step is complete. (A broadcast, which changes thousands one after another, names the one whose
  change was cut, in an `except` around it.)
- An exception that comes out of a step ends the sessions that are named then, all at once: they are
  over and say so. What a step refuses, such as an argument that can't be sent, it takes back before
  it raises, and takes the name out.
- If an exception comes even in between, the names are left over. Whoever makes the next step finds
  them, and ends those sessions first.

Finalizers can't take the lock: Python runs them in any thread and in the middle of anything, a step
of the same thread included. They note what is to be done. It is done at once if the step is free,
otherwise by whoever has it, right after giving it back: so every step is made with `run`. What may
switch to another greenlet, as starting a thread does where gevent has patched them, must not happen
within a step either: `after` has what is done without the lock, once it is given back.
"""

from __future__ import annotations

import threading
from _thread import RLock  # of C, and native: gevent does not patch it here
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar

from ..deferred import abandon_turn
from ..errors import SessionOfParent, logger

T = TypeVar("T")


def run_safely(function: Callable[[], object]) -> None:
    """Call what nobody waits for: what it raises goes to the log, and stops nothing else."""
    try:
        function()
    except Exception:
        logger.exception("Tidying up failed")


def run_all_safely(functions: list[Callable[[], None]]) -> None:
    """Call each, whatever becomes of the others."""
    for function in functions:
        run_safely(function)


class Serving(threading.local):
    """Whose peer the step that is under way on this thread works for.

    `calls` are those of the session whose message is being taken, or whose call has just been
    done: what that costs is paid for there. None while the application wants something itself.
    What a peer wants of a promise happens when that settles, perhaps in a step for somebody else;
    so whoever sets something aside remembers for whom it was (`PromiseHook`).
    """

    calls: Any = None


serving = Serving()


class Changing(Protocol):
    """What a step changes: a session."""

    def interrupted(self) -> None:
        """A change of it was cut: end it, whatever has been done of that already."""
        ...


class Step(RLock):  # type: ignore[misc]  # final in the stubs alone
    """See the top of this file."""

    __slots__ = ("after", "changing", "noted")

    def __init__(self) -> None:
        self.changing: set[Changing] = set()
        """What the step that is under way changes; always the same set."""
        self.noted: deque[Callable[[], None]] = deque()
        self.after: deque[Callable[[], object]] = deque()
        """What to call once no step is under way on this thread. It makes steps of its own."""

    def is_mine(self) -> bool:
        """Whether this thread is making a step."""
        # What `threading.Condition` asks of its lock; the stubs do not know it.
        return bool(self._is_owned())  # type: ignore[attr-defined]

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function` as one step, or as a part of the step that this thread is making."""
        if self._is_owned():  # type: ignore[attr-defined]
            return function(*args)
        try:
            with self:
                try:
                    if self.changing:
                        self._end_interrupted()
                    result = function(*args)
                    if self.changing:
                        self.changing.clear()
                except BaseException:
                    self._end_interrupted()
                    raise
            return result
        finally:
            if self.noted or self.after:
                self._do_what_is_left()

    def note(self, function: Callable[[], None]) -> None:
        """Call `function` as a step: now if nobody is making one, otherwise right after that.

        For finalizers. Never waits, never raises for what `function` raises.
        """
        self.noted.append(function)
        self._do_what_is_left()

    def _end_interrupted(self) -> None:
        """End the sessions whose change was cut."""
        abandon_turn()
        serving.calls = None
        for session in list(self.changing):
            # Were a name left for a mistake of ours, no other session could be used any more.
            run_safely(session.interrupted)
        self.changing.clear()

    def _do_what_is_left(self) -> None:
        """What finalizers have noted, and what is to be done without the lock."""
        self._do_noted()
        while self.after and not self._is_owned():  # type: ignore[attr-defined]
            run_safely(self.after.popleft())

    def _do_noted(self) -> None:
        # Whoever fails to get the lock here leaves it to its owner, who looks after releasing it.
        while self.noted and not self._is_owned():  # type: ignore[attr-defined]
            try:
                if not self.acquire(blocking=False):
                    return
                self._run_noted()
            except BaseException:
                if self._is_owned():  # type: ignore[attr-defined]
                    self.release()
                raise
            self.release()

    def _run_noted(self) -> None:
        if self.changing:
            self._end_interrupted()
        while self.noted:
            run_safely(self._make_noted)

    def _make_noted(self) -> None:
        try:
            self.noted.popleft()()
            self.changing.clear()
        except BaseException:
            self._end_interrupted()
            raise


class InheritedStep(Step):  # type: ignore[misc]  # see `Step`
    """What a step becomes in a forked child, see `fork`: no session is changed there."""

    __slots__ = ()

    def run(self, function: Callable[..., T], *args: Any) -> NoReturn:
        """Raises SessionOfParent."""
        raise SessionOfParent

    def note(self, function: Callable[[], None]) -> None:
        """`function` is for the parent to call."""
