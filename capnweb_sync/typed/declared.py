"""The bases of the classes that describe a server: they tell type checkers what the library's own
stubs and promises are, and are never made.
"""

from __future__ import annotations

from collections.abc import Callable
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
            """See `RpcStub.dup`."""
            ...

        def dispose(self) -> None:
            """See `RpcStub.dispose`."""
            ...

        def on_broken(self, callback: Callable[[BaseException], Any]) -> None:
            """See `RpcStub.on_broken`."""
            ...

        def map(self, function: Callable[[RpcPromise], Any]) -> RpcPromise:
            """See `RpcStub.map`."""
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
            """See `RpcPromise.result`. Raises TypeError for one that is not what it should be."""
            ...

        def exception(self, timeout: float | None = None) -> BaseException | None:
            """See `RpcPromise.exception`."""
            ...

        def done(self) -> bool:
            """See `RpcPromise.done`."""
            ...

        def add_done_callback(self, fn: Callable[[Self], Any]) -> None:
            """See `RpcPromise.add_done_callback`."""
            ...

        def dup(self: TypedPromise[HeldApi]) -> HeldApi:
            """See `RpcStub.dup`."""
            ...

        def dispose(self) -> None:
            """See `RpcStub.dispose`."""
            ...

        def on_broken(self, callback: Callable[[BaseException], Any]) -> None:
            """See `RpcStub.on_broken`."""
            ...

        def map(self, function: Callable[[RpcPromise], Any]) -> RpcPromise:
            """See `RpcStub.map`."""
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
