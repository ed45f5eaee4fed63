"""What applications hold: `RpcStub`, a reference to something at the peer, and `RpcPromise`, the
result of a call that may not be there yet.

Both are a hook (see `hooks.py`) and a path from it. Calling, reading a property and awaiting a
result all go through the hook, so the rest of the core never needs to look inside.
"""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ..deferred import Deferred
from ..errors import SessionOfParent, fresh_copy
from ..futures import complete
from ..runtimes.interface import Runtime
from .late import AnyHook, late
from .misuse import Elsewhere, NotThereYet, no_keywords

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    Result = TypeVarWithDefault("Result", covariant=True, default=Any)
else:
    # Defaults came with Python 3.13; only type checkers need this one.
    Result = TypeVar("Result", covariant=True)

Path = tuple[str | int, ...]
"""Property names that lead from one value to another: strings, and numbers for list items."""

Self = TypeVar("Self", bound="RpcStub")


class RpcStub(Elsewhere):
    """A reference to an object or function, usually at the peer.

    `stub.method(*args)` calls at once and returns an `RpcPromise`; `stub.name` and
    `stub["name"]` are promises for a property; `stub(*args)` calls a function. A stub belongs to
    whoever received it as a result; stubs in the arguments of a served call end with the call,
    unless kept with `dup()`. `dispose()` or `with stub:` releases it.

    `RpcStub(target)` makes one for a local `RpcTarget` or function; passed several times, it lets
    the target learn of its disposal once instead of once for each time.
    """

    __slots__ = ("__weakref__", "_hook", "_path")

    _hook: Any
    """An `AnyHook`: for the files that stand above this one, a `Hook`."""
    _path: Path | None
    """None for a stub; for a promise the path from the hook, empty for the hook's own result."""

    def __init__(self, target: Any) -> None:
        """
        Args:
            target: an `RpcTarget`, a function, or any value that can be sent; what is in it belongs
                to the stub from then on.

        Raises:
            TypeError: `target` can't be sent.
        """
        late.check_sendable(target)
        self._hook = late.hook_for_value(target)
        self._path = None

    @classmethod
    def _of(cls: type[Self], hook: AnyHook, path: Path | None = None) -> Self:
        stub = cls.__new__(cls)
        stub._hook = hook
        stub._path = path
        return stub

    def _place(self) -> tuple[Any, Path]:
        """The hook, and the path from it. Asking a property's promise for its result, perhaps in
        another thread, replaces both: first the hook, then the path."""
        path = self._path
        if not path:
            return self._hook, ()
        place: tuple[Any, Path] = self._hook.runtime.step.run(
            lambda: (self._hook, self._path or ())
        )
        return place

    def __call__(self, *args: Any, **named: NoReturn) -> RpcPromise:
        """Call the function that this stands for. Raises TypeError for keyword arguments."""
        if named:
            raise no_keywords(named)
        hook = self._hook
        if self._path:
            result = hook.runtime.step.run(self._call_property, args)
        else:
            result = hook.invoke((), args)
        return RpcPromise._of(result, ())

    def _call_property(self, args: tuple[Any, ...]) -> Any:
        """Call in the step that finds the place (see `_place`): one step, not two."""
        return self._hook._invoke(self._path or (), args)

    def __getattr__(self, name: str) -> RpcPromise:
        if name.startswith("__"):
            raise AttributeError(name)
        hook, path = self._place()
        return RpcPromise._of(hook, (*path, name))

    def __getitem__(self, key: str | int) -> RpcPromise:
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise TypeError(f"A property is named by a string or a whole number, not {key!r}.")
        hook, path = self._place()
        return RpcPromise._of(hook, (*path, key))

    def __bool__(self) -> bool:
        return True

    def map(self, function: Callable[[RpcPromise], Any]) -> RpcPromise:
        """Apply `function` to the value, or to each item of a list, where the value is: in one
        round trip, without it coming here first.

        The function runs once, now, on a placeholder, and describes what to do: it may call and
        read properties of the placeholder and of other stubs, and use `map` itself, but it can't
        look at values or have side effects. Null and undefined are mapped to themselves.

        Args:
            function: takes a placeholder, and returns what is to become of the value.

        Returns:
            A promise for the mapped value, or for the list of them (`map.ts` in the reference).

        Raises:
            RpcError: the function did what can't be recorded, the session is over, or the stub was
                disposed of. What the function raises comes out, too.
        """
        promise: RpcPromise = late.map_stub(self, function)
        return promise

    def dup(self) -> RpcStub:
        """Make another stub for the same thing, to be disposed of on its own.

        Returns:
            The stub, the caller's. Of a promise, a stub for what it will be.

        Raises:
            RpcError: this one was disposed of.
        """
        stub: RpcStub = self._hook.runtime.step.run(self._dup)
        return stub

    def _dup(self) -> RpcStub:
        if self._path is None:
            return RpcStub._of(self._hook.dup())
        return RpcStub._of(self._hook.get(self._path, self._hook.calls))

    def dispose(self) -> None:
        """Release it. Later use fails. A property's promise has nothing of its own to release."""
        if not self._path:
            try:
                self._hook.runtime.step.run(self._dispose)
            except SessionOfParent:
                pass  # It stays the parent's, whatever a forked child does.

    def _dispose(self) -> None:
        hook, self._hook = self._hook, late.disposed
        hook.dispose()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.dispose()

    def on_broken(self, callback: Callable[[BaseException], Any]) -> Callable[[], None]:
        """Run a callback when every further use would fail: the connection is lost, or the promise
        is rejected. It runs like a served call, never inside this one.

        A stub that is disposed of, or dropped, takes its callbacks along.

        Args:
            callback: called with the exception, once.

        Returns:
            A function that takes this back.
        """
        take_back: Callable[[], None] = self._hook.runtime.step.run(self._watch, callback)
        return take_back

    def _watch(self, callback: Callable[[BaseException], Any]) -> Callable[[], None]:
        return late.watch(self._hook, callback)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A stub can't be copied or pickled. Use dup() for another one.")

    def __repr__(self) -> str:
        described: str = self._hook.describe()
        if self._path:
            described = f"{'.'.join(map(str, self._path))} of {described}"
        return f"<{self._kind()} {described}>"

    def _kind(self) -> str:
        """What it is, for people."""
        return type(self).__name__


class RpcPromise(NotThereYet, RpcStub, Generic[Result]):
    """The result of a call, or a property, that may not be there yet. In annotations,
    `RpcPromise[int]` says what the result is; without it, it can be anything.

    `result`, `exception`, `done` and `add_done_callback` are those of a Future, and `future` makes
    one. Everything else on it is a promise again, so a chain of calls costs one round trip;
    `promise["done"]` reaches names that Python's own hide. A result that nobody asks for is never
    sent. Disposing of a promise disposes of the result.

    Where a `result()` was forgotten, it says so: a promise is neither true nor false, has no
    length and no items, and is not to be compared with a plain value. It equals itself only.
    """

    __slots__ = ("_delivery",)

    _delivery: Deferred[Any] | None

    def __init__(self, value: Any) -> None:
        """
        Args:
            value: a `concurrent.futures.Future`, or a value that is there.

        Raises:
            TypeError: the value can't be sent.
        """
        if not isinstance(value, concurrent.futures.Future):
            late.check_sendable(value)
        self._hook = late.hook_for_promise(value)
        self._path = ()
        self._delivery = None

    @classmethod
    def _of(cls, hook: AnyHook, path: Path | None = ()) -> RpcPromise:
        promise = cls.__new__(cls)
        promise._hook = hook
        promise._path = path
        promise._delivery = None
        return promise

    def _deliver(self) -> Deferred[Any]:
        """Ask for the result; the same answer each time. To be called under the step."""
        if self._delivery is None:
            if self._path:
                self._hook, self._path = self._hook.get(self._path, self._hook.calls), ()
            self._delivery = self._hook.deliver()
        return self._delivery

    def _settled(self, timeout: float | None) -> Deferred[Any]:
        runtime: Runtime = self._hook.runtime
        delivery = runtime.step.run(self._deliver)
        if delivery.settled:
            return delivery
        if timeout is None:
            timeout = self._hook.calls.result_timeout
        if not runtime.wait(delivery, None if timeout == math.inf else timeout):
            raise concurrent.futures.TimeoutError(
                f"There was no answer within {round(timeout or 0, 3):g} s. The call may still be"
                " under way."
            )
        return delivery

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the result. A call whose result nobody asks for is never answered.

        Args:
            timeout: seconds; None is the session's `result_timeout`, which is without end unless it
                was set, and `math.inf` is without end in any case.

        Returns:
            The result; stubs in it belong to the caller, and end with `dispose()` of the promise.

        Raises:
            RemoteError: what the peer raised; in the same process, whatever the call raised.
            SessionClosed: the session ended first.
            TimeoutError: time ran out; the call goes on. It is that of `concurrent.futures`.
        """
        delivery = self._settled(timeout)
        if delivery.error is None:
            return delivery.value  # type: ignore[return-value]
        try:
            raise fresh_copy(delivery.error)
        finally:
            # The error refers to this frame by its traceback; without the way back it is no cycle.
            del self, delivery

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait like `result`.

        Args:
            timeout: seconds; None waits without end.

        Returns:
            The exception that `result` would raise; None if there is a result.

        Raises:
            TimeoutError: time ran out.
        """
        return self._settled(timeout).error

    def done(self) -> bool:
        """Ask for the result, like `result`, but do not wait for it.

        Returns:
            Whether `result` would return at once.
        """
        settled: bool = self._hook.runtime.step.run(self._deliver).settled
        return settled

    def add_done_callback(self, fn: Callable[[RpcPromise], Any]) -> None:
        """Have a function called once the result is there, like a served call of the session: never
        inside this one and never in the thread that reads.

        Args:
            fn: called with this promise.
        """
        self._hook.runtime.step.run(self._add_done_callback, fn)

    def _add_done_callback(self, fn: Callable[[RpcPromise], Any]) -> None:
        calls = self._hook.calls
        self._deliver().add_callback(lambda _: calls.notify(fn, self))

    def future(self) -> concurrent.futures.Future[Result]:
        """A `concurrent.futures.Future` for the result, for whatever takes one: `wait` and
        `as_completed` of that module, `asyncio.wrap_future`.

        Asks for the result, like `done`. Cancelling the future gives the promise up, as `dispose`
        does. A served call that waits for a future keeps the next calls of its session waiting,
        which `result` does not.

        Returns:
            The future, with the result or the exception that `result` would give.
        """
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        runtime: Runtime = self._hook.runtime

        def settle() -> None:
            error = self.exception()
            if error is None:
                complete(future, self.result(), None)
            else:
                complete(future, None, fresh_copy(error))

        def give_up(future: concurrent.futures.Future[Result]) -> None:
            if future.cancelled():
                future.set_running_or_notify_cancel()  # tells those who wait for it among others
                runtime.enter(self.dispose)

        future.add_done_callback(give_up)

        def begin() -> None:
            # The callbacks of a future are application code: not for the thread that reads.
            self._deliver().add_callback(lambda _: runtime.spawn(settle))

        runtime.step.run(begin)
        return future
