"""Results, and what callbacks get, as they are annotated: msgspec converts data, and stubs become
stubs with an API.

msgspec can't tell custom types in a union from each other, nor replace a stub that is described by
a Protocol; so annotations with stubs in them are taken apart here.
"""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..core.arguments import NATIVE_TYPES
from ..core.stubs import RpcStub
from ..values.javascript import undefined
from .declared import is_api

Hold = Callable[[RpcStub, type], Any]
"""Makes of a stub one that knows the class which describes it."""

LISTS: Final = (
    list,
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)
DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
UNIONS: Final = (typing.Union, types.UnionType)


def converted(value: Any, annotation: Any, hold: Hold, what: str = "The result") -> Any:
    """`value` as the annotation says. Raises TypeError that tells where it is something else, and
    of what."""
    try:
        return _converted(value, annotation, hold)
    except Mismatch as mismatch:
        raise TypeError(
            f"{what} is not what the API says: {mismatch.sentence} - at `${mismatch.where}`."
        ) from None


class Mismatch(Exception):
    """A value is not what its annotation says; `where` is the way to it from the whole."""

    def __init__(self, sentence: str, where: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.where = where

    @staticmethod
    def of(annotation: Any, value: Any) -> Mismatch:
        """For a value of a wrong type."""
        name = getattr(annotation, "__name__", str(annotation))
        return Mismatch(f"Expected `{name}`, got `{type(value).__name__}`")


def _converted(value: Any, annotation: Any, hold: Hold) -> Any:
    if annotation is Any or annotation is object:
        return value
    if value is undefined:
        value = None  # what a function without a result returns in JavaScript
    if is_api(annotation):
        if isinstance(value, RpcStub):
            return hold(value, annotation)
        raise Mismatch.of(annotation, value)
    if has_api(annotation):
        return _converted_parts(value, annotation, hold)

    def fitting(expected: Any, inner: Any) -> Any:
        """msgspec's question about a type that it does not know; whether the answer is an instance
        of it, it looks itself."""
        return hold(inner, expected) if is_api(expected) and isinstance(inner, RpcStub) else inner

    try:
        return msgspec.convert(value, annotation, builtin_types=NATIVE_TYPES, dec_hook=fitting)
    except msgspec.ValidationError as error:
        sentence, _, where = str(error).partition(" - at `$")
        raise Mismatch(sentence, where.rstrip("`")) from None


@functools.cache
def has_api(annotation: Any) -> bool:
    """Whether there are stubs with an API among what `annotation` describes."""
    if typing.get_origin(annotation) in (typing.Literal, typing.Annotated):
        return False
    return is_api(annotation) or any(has_api(part) for part in typing.get_args(annotation))


def _converted_parts(value: Any, annotation: Any, hold: Hold) -> Any:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        return _converted_option(value, parts, hold)
    if isinstance(value, list) and origin in LISTS:
        return [_part(item, parts[0], hold, f"[{place}]") for place, item in enumerate(value)]
    if isinstance(value, list) and origin is tuple:
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            items = enumerate(zip(value, kinds, strict=True))
            return tuple(_part(item, kind, hold, f"[{place}]") for place, (item, kind) in items)
    if isinstance(value, dict) and origin in DICTS:
        return {name: _part(item, parts[1], hold, f"[{name!r}]") for name, item in value.items()}
    raise Mismatch.of(annotation, value)


def _part(value: Any, annotation: Any, hold: Hold, where: str) -> Any:
    try:
        return _converted(value, annotation, hold)
    except Mismatch as mismatch:
        raise Mismatch(mismatch.sentence, where + mismatch.where) from None


def _converted_option(value: Any, options: tuple[Any, ...], hold: Hold) -> Any:
    """The value as the options of a union have it: a stub as the one with an API, data as what the
    others make together."""
    data = [option for option in options if not has_api(option)]
    for option in options:
        if option in data:
            continue
        if isinstance(value, RpcStub) or not is_api(option):
            return _converted(value, option, hold)
    if not data:
        raise Mismatch.of(options[0], value)
    return _converted(value, functools.reduce(lambda one, other: one | other, data), hold)
