"""Stubs and promises that know which class describes them, and so what their results shall be."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..core.arguments import BAD_REQUEST
from ..core.stubs import RpcPromise, RpcStub
from ..core.targets import is_function
from ..errors import RpcTypeError
from .declared import KnowsItsApi, MainApi, TypedStub
from .results import converted
from .shapes import UNKNOWN, Shape, callbacks, member_shape, members, returned


class WithApi(KnowsItsApi):
    """What stubs and promises with an API have in common; before `RpcStub` in their order."""

    __slots__ = ()

    _shape: Shape

    if not TYPE_CHECKING:

        def __call__(self, *args: Any, **named: Any) -> RpcPromise:
            method = self._shape.method
            if method is None or named:
                return super().__call__(*args, **named)
            return with_shape(super().__call__(*with_kinds(method, args)), returned(method))

        def __getattr__(self, name: str) -> RpcPromise:
            return self._member(super().__getattr__(name), name)

        def __getitem__(self, key: str | int) -> RpcPromise:
            return self._member(super().__getitem__(key), str(key))

        def dup(self) -> RpcStub:
            """Another stub for the same thing, of the same API."""
            return held(super().dup(), self._shape)

    def _api(self) -> type | None:
        return self._shape.api

    def _member(self, promise: RpcPromise, name: str) -> RpcPromise:
        api = self._shape.api
        return promise if api is None else with_shape(promise, member_shape(api, name))

    def _kind(self) -> str:
        what = "RpcPromise" if isinstance(self, RpcPromise) else "RpcStub"
        api = self._shape.api
        return what if api is None else f"{what} of {api.__name__}:"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *members(self._shape.api or object)})


class StubWithApi(WithApi, RpcStub):
    """A stub that knows what its methods return."""

    __slots__ = ("_shape",)


class PromiseWithApi(WithApi, RpcPromise[Any]):
    """A promise that knows what it is for."""

    __slots__ = ("_converted", "_shape")

    _converted: tuple[Any] | None
    """The result as it is annotated, once it has been asked for."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result, `timeout` seconds at most. Raises what the call raised, and
        TypeError for a result that is not what it should be."""
        value = super().result(timeout)
        if self._converted is None:
            self._converted = (converted(value, self._shape.result, hold),)
        return self._converted[0]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait likewise; the exception that `result` would raise, or None."""
        error = super().exception(timeout)
        if error is None:
            try:
                self.result()
            except TypeError as mismatch:
                return mismatch
        return error


def held(stub: RpcStub, shape: Shape) -> StubWithApi:
    """`stub`, which is known to have this shape."""
    typed = StubWithApi._of(stub._hook)
    typed._shape = shape
    return typed


def with_kinds(method: types.FunctionType, args: tuple[Any, ...]) -> Iterable[Any]:
    """The arguments for a method, where the functions get what its annotations say."""
    if not any(map(is_function, args)):
        return args
    kinds = callbacks(method)
    return (
        with_converted(arg, kind) if kind is not None and is_function(arg) else arg
        for arg, kind in itertools.zip_longest(args, kinds[: len(args)])
    )


def with_converted(function: Callable[..., Any], kinds: tuple[Any, ...]) -> Callable[..., Any]:
    """`function`, called with arguments of these types. A newer server may send more of them."""

    def called_back(*args: Any) -> Any:
        try:
            values = [
                converted(arg, kind, hold, "What a callback got")
                for arg, kind in zip(args, kinds, strict=False)
            ]
        except TypeError as mismatch:
            raise RpcTypeError(str(mismatch), code=BAD_REQUEST) from None
        return function(*values)

    return called_back


def hold(stub: RpcStub, api: type) -> Any:
    """`stub`, which is described by `api`."""
    return held(stub, Shape(api=api, result=api))


def with_shape(promise: RpcPromise, shape: Shape) -> RpcPromise:
    """`promise`, which is known to have this shape."""
    if shape is UNKNOWN:
        return promise
    hook, path = promise._place()
    typed = PromiseWithApi.__new__(PromiseWithApi)
    typed._hook = hook
    typed._path = path
    typed._delivery = None
    typed._shape = shape
    typed._converted = None
    return typed


def with_api(stub: RpcStub, api: Callable[..., MainApi]) -> MainApi:
    """`stub`, which has the methods of the class `api` and whose results are converted."""
    if not isinstance(api, type):
        raise TypeError(f"The API is a class that describes the server, not {api!r}.")
    main: MainApi = hold(stub, api)
    return main


# Where a class that describes a server annotates a parameter of a callback.
TypedStub._held = classmethod(lambda api, stub: hold(stub, api))  # type: ignore[assignment]
