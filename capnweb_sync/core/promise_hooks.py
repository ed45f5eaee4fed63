"""The hook that will be here later, and what waits for it.

Calls, looks at properties and maps of a result that is still under way wait in the order in which
they came, each with a promise of its own; none of them needs a thread. That is promise pipelining,
on the side where the result is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..deferred import Deferred
from ..errors import RpcError
from ..runtimes.steps import serving
from .hooks import Hook, Mapper, Pulled, attempt, call_hook
from .payload import Payload
from .served_calls import ServedCalls
from .stubs import Path
from .watches import Watch


class PromiseHook(Deferred[Hook], Hook):
    """A hook that will be here later: what a served call gives, or a `Future` of the
    application's. Calls of it wait in the order in which they came, without a thread. How much
    may wait is bounded for whoever asked, the application of this side included: a peer may pass
    as a callback what never settles.

    A callback that waits for it does not refer to it: the two would keep each other alive.
    """

    __slots__ = ("_calls", "_unused")

    value: Hook

    def __init__(self, calls: ServedCalls) -> None:
        super().__init__()
        self._calls = calls
        self._unused: bool | Callable[[], object] = False
        """Whether it was disposed of before it was here and nobody else waits for it, or what to
        call then."""

    @property
    def calls(self) -> ServedCalls:
        return self._calls

    def resolve(self, hook: Hook) -> None:
        """Settle with `hook`; with what it stands for if it is a promise itself, so that calls of
        this one wait in one place however many promises there are on the way."""
        if isinstance(hook, PromiseHook):
            hook.add_callback(self._copy)
        else:
            super().resolve(hook)

    def _later(self, action: Callable[[Hook], Hook], keeping: Any) -> Hook:
        """The hook that `action` gives once this is here, and which keeps `keeping` until then.
        Raises RpcError with the code `too_many` if too much is kept already."""
        result = PromiseHook(self._calls)
        asker = serving.calls
        counted = asker or self._calls
        size = counted.set_aside(keeping)

        def go_on(here: Deferred[Hook]) -> None:
            counted.give_back(size)
            before, serving.calls = serving.calls, asker
            try:
                result.resolve(attempt(action, hook_in(here)))
            finally:
                serving.calls = before

        self.add_callback(go_on)
        return result

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        if self.settled:
            return self.value.call(path, args, calls)
        self._calls.admit(args)
        try:
            args.own()
            return self._later(lambda hook: call_hook(hook, path, args, calls), path)
        except BaseException:
            args.dispose()
            raise

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: Mapper) -> Hook:
        if self.settled:
            return self.value.map(path, captures, steps, work)
        calls = serving.calls or self._calls

        def apply(hook: Hook) -> Hook:
            calls.end()
            return hook.map(path, captures, steps, work)

        try:
            calls.begin()  # like a call it keeps what may be large
            return self._later(apply, [path, steps])
        except RpcError:
            for capture in captures:
                capture.dispose()
            raise

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        if self.settled:
            return self.value.get(path, calls)
        return self._later(lambda hook: hook.get(path, calls), path)

    def dup(self) -> Hook:
        if self.settled:
            return self.value.dup()
        return self._later(lambda hook: hook.dup(), None)

    def pull(self) -> Pulled:
        if self.settled:
            return self.value.pull()
        result: Deferred[Payload] = Deferred()

        def arrived(here: Deferred[Hook]) -> None:
            pulled = hook_in(here).pull()
            if isinstance(pulled, Payload):
                result.resolve(pulled)
            else:
                result.follow(pulled)

        self.add_callback(arrived)
        return result

    def dispose(self) -> None:
        if self.settled:
            self.value.dispose()
        else:
            for callback in list(self._callbacks or ()):
                if isinstance(callback, Watch):
                    callback.let_go()
            waited_for = bool(self._callbacks)
            self.add_callback(lambda here: hook_in(here).dispose())
            if not waited_for:
                when_unused, self._unused = self._unused, True
                if callable(when_unused):
                    when_unused()

    def when_unused(self, function: Callable[[], object]) -> None:
        """Call `function` if it turns out that nobody waits for this any more."""
        if self._unused is True:
            function()
        else:
            self._unused = function

    def on_broken(self, watch: Watch) -> None:
        watch.wait_for(self)

    def describe(self) -> str:
        return self.value.describe() if self.settled else "still under way"


def hook_in(promise: Deferred[Hook]) -> Hook:
    """What a settled `PromiseHook` stands for."""
    assert promise.value is not None
    return promise.value
