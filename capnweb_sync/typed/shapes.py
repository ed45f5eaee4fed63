"""What a class that describes a server says of each method and property."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Final, Generic, NamedTuple

from ..core.stubs import RpcPromise
from .declared import TypedPromise, TypedStub, is_api


class Shape(NamedTuple):
    """What is known of something at the peer."""

    api: type | None = None
    """The class that has its methods and properties."""
    result: Any = Any
    """The annotation of its value."""
    method: types.FunctionType | None = None
    """The method that it is, if it is one."""


UNKNOWN: Final = Shape()

NOT_APIS: Final = (TypedStub, TypedPromise, typing.Protocol, Generic, object)
"""Classes whose members are not the server's."""


@functools.cache
def members(api: type) -> Mapping[str, Any]:
    """The methods and properties that `api` knows of, by name."""
    return {
        name: member
        for base in reversed(api.__mro__)
        if base not in NOT_APIS
        for name, member in vars(base).items()
        if not name.startswith("_") and isinstance(member, (types.FunctionType, property))
    }


@functools.cache
def member_shape(api: type, name: str) -> Shape:
    """What `name` is on something that has `api`."""
    member = members(api).get(name)
    if isinstance(member, property):
        assert isinstance(member.fget, types.FunctionType)
        return promised(_annotation(member.fget, "return"))
    if member is not None:
        return Shape(method=member)
    return UNKNOWN


@functools.cache
def returned(method: types.FunctionType) -> Shape:
    """What a call of the method returns."""
    return promised(_annotation(method, "return"))


@functools.cache
def callbacks(method: types.FunctionType) -> tuple[tuple[Any, ...] | None, ...]:
    """For each parameter of the method that is a function with known parameters, these."""
    names = [
        parameter.name
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.kind is not parameter.VAR_POSITIONAL
    ]
    return tuple(_parameters(_annotation(method, name)) for name in names)


def _parameters(annotation: Any) -> tuple[Any, ...] | None:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is collections.abc.Callable and isinstance(parts[0], list):
        return tuple(parts[0])
    if origin in (typing.Union, types.UnionType):
        return next(filter(None, map(_parameters, parts)), None)
    return None


def _annotation(function: types.FunctionType, name: str) -> Any:
    def this_only() -> None:
        """Carries one annotation. Others may name what only a type checker sees."""

    this_only.__annotations__ = {name: function.__annotations__.get(name, Any)}
    return typing.get_type_hints(this_only, function.__globals__)[name]


def promised(annotation: Any) -> Shape:
    """What a method that is annotated to return this promise returns."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (TypedPromise, RpcPromise):
        (result,) = typing.get_args(annotation) or (Any,)
        return Shape(api=result if is_api(result) else None, result=result)
    for base in getattr(annotation, "__orig_bases__", ()):
        if typing.get_origin(base) is TypedPromise:
            (result,) = typing.get_args(base)
            # What is held has all names, also those that a promise has itself.
            return Shape(api=result if is_api(result) else annotation, result=result)
    return UNKNOWN
