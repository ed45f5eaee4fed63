"""What a peer can reach, and how arguments are checked before a method's body runs.

A peer reaches the public methods and properties of classes made for it (`RpcTarget`), and
functions that were passed to it, to be called. Instance attributes, names with a leading
underscore, what comes from `object`, and everything of any other object are out of reach.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any, Final

from ..errors import RpcTypeError
from ..values.javascript import undefined


class RpcTarget:
    """Base class of objects that are passed by reference.

    The peer can call the public methods of the class and read its properties. A method may return
    a `concurrent.futures.Future`: the answer goes out when that is done.

    A class may define:

    - `_on_dispose()`, by which its objects learn when the peer has let go of them; one that goes in
      the arguments of several calls learns it once for each of them.
    - `dup()`: it is called for each call in whose arguments an object goes, and what it returns, an
      `RpcTarget`, goes instead. It must not block.
    - `_on_session(session)`: a main object gets the session that it was made the main object of,
      before the first message.

    Names with an underscore are out of a peer's reach.
    """

    __slots__ = ("__weakref__",)


DISPOSER: Final = "_on_dispose"
"""The method by which a target learns of its disposal. It has a leading underscore, so that no
peer can reach it."""

BEGINNER: Final = "_on_session"
"""The method by which a main object gets its session; out of reach likewise."""

FUNCTION_TYPES: Final = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
)


def is_function(value: Any) -> bool:
    """Whether `value` is passed by reference as a function."""
    return isinstance(value, FUNCTION_TYPES)


@functools.cache
def members(cls: type) -> Mapping[str, Any]:
    """What of `cls` a peer can reach: its public methods and properties, by name. What comes from
    a base that is no `RpcTarget` was not made for it."""
    attributes: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        made_for_peers = issubclass(base, RpcTarget)
        for name, member in vars(base).items():
            attributes[name] = member if made_for_peers else None
    kinds = (
        types.FunctionType,
        property,
        functools.cached_property,
        staticmethod,
        classmethod,
    )
    return {
        name: member
        for name, member in attributes.items()
        if not name.startswith("_") and isinstance(member, kinds)
    }


def read_member(target: RpcTarget, name: str | int) -> Any:
    """The method (bound) or the property's value called `name`; `undefined` if a peer can't reach
    one. Runs application code. Raises RpcTypeError for an instance attribute, as the reference
    does."""
    if not isinstance(name, str) or name.startswith("_"):
        return undefined
    cls: type = type(target)
    member = members(cls).get(name)
    if name in getattr(target, "__dict__", ()) and not isinstance(
        member, functools.cached_property
    ):
        raise RpcTypeError(
            f"'{name}' is an attribute of the object and cannot be reached from outside; only"
            " methods and properties of its class can."
        )
    return undefined if member is None else getattr(target, name)
