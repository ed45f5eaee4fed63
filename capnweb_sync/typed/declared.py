"""The bases of the classes that describe a server: they tell type checkers what the library's own
stubs and promises are, and are never made.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ..core.stubs import Result, RpcPromise, RpcStub

if TYPE_CHECKING:
    from typing_extensions import Self
    from typing_extensions import TypeVar as TypeVarWithDefault

    MainApi = TypeVarWithDefault("MainApi", default=RpcStub)
    """The class that describes a server's main object; without one it is an `RpcStub`."""
else:
    MainApi = TypeVar("MainApi")

HeldApi = TypeVar("HeldApi", bound="TypedStub")


class KnowsItsApi:
    """A stub or promise that knows which class describes it."""

    __slots__ = ()

    def _api(self) -> type | None:
        """That class."""
        raise NotImplementedError


class _LooksAtApi(type):
    """Lets `isinstance(stub, BankApi)` be true for what has this API."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, KnowsItsApi) and issubclass(instance._api() or object, cls)


class TypedStub(metaclass=_LooksAtApi):
    """For type checkers what an `RpcStub` is, apart from being anything that one likes."""

    _held: ClassVar[Callable[[RpcStub], TypedStub]]
    """Makes of a stub one that knows that this class describes it; `stubs` sets it."""

    if TYPE_CHECKING:

        def dup(self) -> Self:
            """Another stub for the same thing, to be disposed of on its own."""
            ...

        def dispose(self) -> None:
            """Release it; later use fails."""
            ...

        def on_broken(self, callback: Callable[[BaseException], Any]) -> Callable[[], None]:
            """Run `callback(error)` when every further use would fail, unless what this returns is
            called before."""
            ...

        def map(self, function: Callable[[RpcPromise], Any]) -> RpcPromise:
            """Apply `function` to the value, or to each item of a list, where the value is."""
            ...

        def __enter__(self) -> Self: ...

        def __exit__(
            self,
            exc_type: type[BaseException] | None,
            exc: BaseException | None,
            traceback: TracebackType | None,
        ) -> None: ...


class TypedPromise(Generic[Result]):
    """For type checkers what an `RpcPromise` is, apart from being anything that one likes."""

    if TYPE_CHECKING:

        def result(self, timeout: float | None = None) -> Result:
            """Wait for the result, `timeout` seconds at most, and return it. Raises what the call
            raised, and TypeError for a result that is not what it should be."""
            ...

        def exception(self, timeout: float | None = None) -> BaseException | None:
            """Wait likewise; the exception that `result` would raise, or None."""
            ...

        def done(self) -> bool:
            """Whether `result` would return at once."""
            ...

        def add_done_callback(self, fn: Callable[[Self], Any]) -> None:
            """Run `fn(promise)` once the result is there, never inside this call."""
            ...

        def future(self) -> Future[Result]:
            """A `concurrent.futures.Future` for the result; cancelling it gives the promise up."""
            ...

        def dup(self: TypedPromise[HeldApi]) -> HeldApi:
            """Another stub for the same thing, to be disposed of on its own."""
            ...

        def dispose(self) -> None:
            """Release it; later use fails."""
            ...

        def on_broken(self, callback: Callable[[BaseException], Any]) -> Callable[[], None]:
            """Run `callback(error)` when every further use would fail, unless what this returns is
            called before."""
            ...

        def map(self, function: Callable[[RpcPromise], Any]) -> RpcPromise:
            """Apply `function` to the value, or to each item of a list, where the value is."""
            ...

        def __enter__(self) -> Self: ...

        def __exit__(
            self,
            exc_type: type[BaseException] | None,
            exc: BaseException | None,
            traceback: TracebackType | None,
        ) -> None: ...


def is_api(annotation: Any) -> bool:
    """Whether a value of this annotation is a stub with an API."""
    return isinstance(annotation, type) and (
        issubclass(annotation, TypedStub) or getattr(annotation, "_is_protocol", False)
    )
