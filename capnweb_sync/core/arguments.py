"""How the arguments of a served call are checked: against the annotations of what is called, before
its body runs.

A signature is compiled once into `Parameters`, and `bind` makes positional arguments of what came:
a value of one of a parameter's exact types passes as it is, any other is converted by msgspec or
refused with a `TypeError` that names the parameter. Surplus arguments are ignored, as in
JavaScript.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from ..errors import RpcTypeError
from ..values.javascript import BigInt, undefined
from .stubs import RpcPromise, RpcStub
from .targets import RpcTarget

BAD_REQUEST: Final = "bad_request"
"""The code of an error about arguments."""


NO_DEFAULT: Final = inspect.Parameter.empty


NATIVE_TYPES: Final = (bytes, bytearray, datetime)
"""What the protocol has a form for and JSON has not: text is not taken for it."""


class Parameter(typing.NamedTuple):
    """One positional parameter of a served function."""

    name: str
    types: frozenset[type] | None
    """A value of exactly one of these types needs no further look; None: any value is right."""
    annotation: Any
    default: Any


class Parameters:
    """The positional parameters of a function, compiled for checking.

    Attributes:
        function: its name.
        calls: how many times they were bound: here it costs next to nothing to count calls.
    """

    __slots__ = ("_accepted", "calls", "function", "positional", "rest")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = getattr(function, "__name__", "the function")
        self.calls = 0
        self.positional: list[Parameter] | None = []
        self.rest: Parameter | None = None
        self._accepted: tuple[frozenset[type] | None, ...] = ()
        """The types of each positional parameter, for a first look at all of them."""
        try:
            signature = inspect.signature(function)
        except ValueError:  # some built-in functions do not tell theirs
            self.positional = None
            return
        hints = _parameter_hints(inspect.unwrap(_plain_function(function)))
        for parameter in signature.parameters.values():
            annotation = hints.get(parameter.name, Any)
            compiled = Parameter(
                parameter.name,
                exact_types(annotation),
                with_stubs(annotation),
                parameter.default,
            )
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = compiled
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.positional.append(compiled)
        self._accepted = tuple(parameter.types for parameter in self.positional)

    def bind(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments to call the function with. Surplus ones are left out: a newer peer may
        send more. Raises RpcTypeError, naming the argument that is missing or of a wrong type."""
        self.calls += 1
        if self.positional is None:
            return args
        if len(args) == len(self._accepted):
            for value, accepted in zip(args, self._accepted, strict=True):
                if value is undefined or (accepted is not None and type(value) not in accepted):
                    break
            else:
                return args
        values = []
        for parameter, value in zip(self.positional, args, strict=False):
            accepted = parameter.types
            if value is undefined or (accepted is not None and type(value) not in accepted):
                value = self._convert(parameter, value)
            values.append(value)
        for parameter in self.positional[len(args) :]:
            if parameter.default is NO_DEFAULT:
                raise self._missing(parameter)
            values.append(parameter.default)
        if self.rest is not None:
            rest = self.rest
            values.extend(self._convert(rest, value) for value in args[len(self.positional) :])
        return values

    def _missing(self, parameter: Parameter) -> RpcTypeError:
        return RpcTypeError(
            f"{self.function}: the argument '{parameter.name}' is missing.", code=BAD_REQUEST
        )

    def _convert(self, parameter: Parameter, value: Any) -> Any:
        """`value` as the annotation wants it; `undefined` stands for the default, as in
        JavaScript."""
        if value is undefined and parameter.default is not NO_DEFAULT:
            return parameter.default
        if parameter.types is None or type(value) in parameter.types:
            return value
        if value is undefined:
            raise self._missing(parameter)
        try:
            return msgspec.convert(
                value, parameter.annotation, builtin_types=NATIVE_TYPES, dec_hook=_instance
            )
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # of a lone surrogate
            raise RpcTypeError(
                f"{self.function}: the argument '{parameter.name}' is of the wrong type: {error}.",
                code=BAD_REQUEST,
            ) from None


def _plain_function(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__func__", function)


def _parameter_hints(function: Any) -> dict[str, Any]:
    """The annotations of the parameters, resolved. That of the result is not looked at: it may
    name what exists for a type checker only."""
    if not isinstance(function, types.FunctionType):
        return typing.get_type_hints(function, include_extras=True)

    def parameters_only() -> None:
        """Carries the annotations."""

    parameters_only.__annotations__ = {
        name: annotation
        for name, annotation in function.__annotations__.items()
        if name != "return"
    }
    return typing.get_type_hints(parameters_only, function.__globals__, include_extras=True)


def _instance(expected: Any, value: Any) -> Any:
    """msgspec's question about a type that it does not know: an instance of it is right, and a
    stub where it is a class that describes one (see `typed`)."""
    if isinstance(value, RpcStub) and hasattr(expected, "_held"):
        return expected._held(value)
    expected = typing.get_origin(expected) or expected  # Callable[[int], None] and the like
    if isinstance(value, expected):
        return value
    raise msgspec.ValidationError(f"expected {expected.__name__}, got {type(value).__name__}")


EXACT: Final[dict[Any, frozenset[type]]] = {
    str: frozenset({str}),
    bool: frozenset({bool}),
    int: frozenset({int, BigInt}),
    float: frozenset({float, int}),
    bytes: frozenset({bytes}),
    list: frozenset({list}),
    dict: frozenset({dict}),
    None: frozenset({type(None)}),
    type(None): frozenset({type(None)}),
    type(undefined): frozenset({type(undefined)}),
    RpcStub: frozenset({RpcStub, RpcPromise}),
    Callable: frozenset({RpcStub, RpcPromise}),
}
"""For an annotation, the types whose values are right as they are."""


def exact_types(annotation: Any) -> frozenset[type] | None:
    """The types whose values fit `annotation` without a further look; None if any value does, an
    empty set if each value must be looked at."""
    if annotation in (Any, object):
        return None
    if isinstance(annotation, typing.Hashable) and annotation in EXACT:
        return EXACT[annotation]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounded = any(isinstance(extra, msgspec.Meta) for extra in parts[1:])
        return frozenset() if bounded else exact_types(parts[0])
    if origin in (typing.Union, types.UnionType):
        options = [exact_types(part) for part in parts]
        return None if None in options else frozenset().union(*(o for o in options if o))
    if origin in (dict, Mapping) and parts == (str, Any):
        return EXACT[dict]
    if origin in (list, Sequence) and parts == (Any,):
        return EXACT[list]
    if origin is Callable or arrives_as_stub(annotation):
        return EXACT[RpcStub]
    return frozenset()


def arrives_as_stub(annotation: Any) -> bool:
    """Whether a value that `annotation` describes arrives as a stub: an object of a class made
    for peers, or a Protocol, which describes one of the peer's."""
    if not isinstance(annotation, type):
        return False
    if getattr(annotation, "_is_protocol", False):
        # One that is made for `isinstance` tells by itself what fits.
        return not getattr(annotation, "_is_runtime_protocol", False)
    return issubclass(annotation, RpcTarget)


def with_stubs(annotation: Any) -> Any:
    """`annotation` with `RpcStub` where a value arrives as a stub, for msgspec."""
    if arrives_as_stub(annotation):
        return RpcStub
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (None, Callable, typing.Literal):
        return annotation
    if origin is typing.Annotated:
        inner = with_stubs(parts[0])
        return annotation if inner == parts[0] else inner
    replaced = tuple(with_stubs(part) for part in parts)
    if replaced == parts:
        return annotation
    if origin is types.UnionType:
        return functools.reduce(operator.or_, replaced)
    return origin[replaced]


_compiled: weakref.WeakKeyDictionary[Any, Parameters] = weakref.WeakKeyDictionary()


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """The compiled parameters of `function`, remembered while it exists. Raises NameError if an
    annotation names what cannot be found."""
    if isinstance(function, types.MethodType):
        return _bound_parameters(function)
    try:
        return _compiled[function]
    except KeyError:
        compiled = _compiled[function] = Parameters(function)
        return compiled


def _bound_parameters(method: types.MethodType) -> Parameters:
    """Those of a bound method: remembered with its function, without `self`."""
    function = method.__func__
    known = _bound.get(id(function))
    if known is not None and known[0]() is function:
        return known[1]
    return _compile_bound(method, function)


def _compile_bound(method: types.MethodType, function: Callable[..., Any]) -> Parameters:
    compiled = Parameters(method)
    key = id(function)
    _bound[key] = weakref.ref(function, lambda _: _bound.pop(key, None)), compiled
    return compiled


def calls_by_method() -> Counter[str]:
    """How many calls of methods there were in this process, by their names."""
    calls: Counter[str] = Counter()
    for _, parameters in list(_bound.values()):
        calls[parameters.function] += parameters.calls
    return calls


_bound: dict[int, tuple[weakref.ref[Any], Parameters]] = {}
"""By the id of the function, for as long as that exists: each call of a peer's looks here, and a
`WeakKeyDictionary` makes a reference for each look."""
