"""A callback of `on_broken`: from when it is given until it runs, or is let go of.

Two dictionaries may hold one: that of its *owner*, the hook of the stub that was asked, with which
it is let go of; and that of its *place*, whatever will break: an entry of the import table, or the
promise of what will be there later. The place changes when a promise is resolved. All of it is
touched under the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..deferred import Deferred
from .late import AnyHook, late
from .served_calls import ServedCalls

OnBroken = Callable[[BaseException], Any]
Watches = dict["Watch", None]
"""An ordered set of them."""


class Watch:
    """One callback."""

    __slots__ = ("_callback", "_owner", "_place", "calls")

    def __init__(self, callback: OnBroken, calls: ServedCalls) -> None:
        self._callback: OnBroken | None = callback
        self.calls = calls
        """Where the callback runs, unless what breaks belongs to a session."""
        self._owner: Watches | None = None
        self._place: Watches | Deferred[Any] | None = None

    def belong_to(self, owner: Watches) -> None:
        """Be let go of together with the rest of `owner`."""
        owner[self] = None
        self._owner = owner

    def stay_in(self, place: Watches) -> None:
        """Wait in `place` for being told."""
        place[self] = None
        self._place = place

    def wait_for(self, promise: Deferred[Any]) -> None:
        """Go on to the hook that `promise` will be, at once if it is there."""
        if not promise.settled:
            self._place = promise
        promise.add_callback(self)

    def __call__(self, promise: Deferred[Any]) -> None:
        """It is there."""
        self._place = None
        assert promise.value is not None
        if self._owner is None:
            promise.value.own(self)
        promise.value.on_broken(self)

    def tell(self, error: BaseException, calls: ServedCalls) -> None:
        """Run the callback as one of `calls`."""
        calls.notify(self.run, error)
        self._leave()

    def run(self, error: BaseException) -> None:
        """Application code, once; not if the watch was let go of meanwhile."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(error)

    def let_go(self) -> None:
        """Forget the callback: it will not run any more. Idempotent."""
        self._leave()
        self._callback = None

    def take_back(self) -> None:
        """Let go, for the application, outside of a step."""
        self.calls.runtime.step.run(self.let_go)

    def _leave(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.pop(self, None)
        place, self._place = self._place, None
        if isinstance(place, Deferred):
            place.remove_callback(self)
        elif place is not None:
            place.pop(self, None)

    def __repr__(self) -> str:
        return f"on_broken({self._callback!r})"


def let_go_of(watches: Watches | None) -> None:
    """Let go of all of them: their owner has gone."""
    for watch in list(watches or ()):
        watch.let_go()


def watch(hook: AnyHook, callback: OnBroken) -> Callable[[], None]:
    """Have `callback` run when `hook` breaks, until it is disposed of; a function that takes this
    back (`RpcStub.on_broken`)."""
    watching = Watch(callback, hook.calls)
    hook.own(watching)
    hook.on_broken(watching)
    return watching.take_back


late.watch = watch
