"""Annotations of a server's class, spelled for those who call it.

What arrives at a caller and what a caller may give are two things: a target that is returned is a
stub over there, while a callback that is passed is a plain function.
"""

from __future__ import annotations

import collections.abc
import concurrent.futures
import inspect
import io
import json
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final

import capnweb_sync

from ..core.stubs import RpcPromise, RpcStub
from ..core.targets import RpcTarget

STREAMS: Final = (
    collections.abc.Iterator,
    collections.abc.Generator,
    typing.IO,
    typing.BinaryIO,
    io.IOBase,
)
"""Types of results that arrive as a `ReadableStream`."""

SETS: Final = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
"""Types of results that the protocol has no form for."""

ANYTHING: Final = (Any, object, inspect.Parameter.empty)


OPEN: Final = ("Any", "object")
"""Annotations, spelled, that everything fits."""


class StubsError(Exception):
    """There can be no typed API for a class; the sentence says why."""

    code = "stubs"


class Spelling:
    """Spells annotations, and notes what has to be imported and written for them.

    Attributes:
        imports: names by the modules that they come from.
        targets: the classes whose APIs are mentioned, in the order of their mention.
        protocols: the same for what callers implement.
    """

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {}
        self.targets: list[type] = []
        self.protocols: list[type] = []
        self._names: dict[str, str] = {}
        """From which module each name is."""
        self.place = ""
        """What is being spelled, for errors."""

    def refuse(self, sentence: str) -> StubsError:
        """The error for what is being spelled."""
        return StubsError(f"{self.place}: {sentence}")

    def use(self, module: str, name: str) -> str:
        """A name of a module, which has to be imported."""
        root = name.partition(".")[0]
        if self._names.setdefault(root, module) != module:
            raise self.refuse(f"there are two things called {root}, one of {module}.")
        if module != "builtins":
            self.imports.setdefault(module, set()).add(root)
        return name

    def library(self, name: str) -> str:
        """A public name of this library."""
        return self.use("capnweb_sync", name)

    # Results: what arrives at the caller.

    def promise(self, annotation: Any) -> str:
        """What a call returns that is answered with this."""
        annotation = answered(annotation)
        if is_target(annotation):
            return self.api(annotation) + "Promise"
        if annotation in ANYTHING or is_reference(annotation):
            return self.library("RpcPromise")
        if has_set(annotation):
            raise self.refuse("a set can't be sent. Return a list.")
        return f"{self.library('TypedPromise')}[{self.received(annotation)}]"

    def received(self, annotation: Any) -> str:
        """What a value of this annotation is when it has arrived."""
        annotation = answered(annotation)
        origin = typing.get_origin(annotation) or annotation
        if is_target(annotation):
            return self.api(annotation)
        if is_reference(annotation):
            return self.library("RpcStub")
        if isinstance(origin, type) and issubclass(origin, STREAMS):
            return self.library("ReadableStream")
        return self.data(annotation, self.received)

    def api(self, target: type) -> str:
        """The name of the class for a target that is held."""
        if target not in self.targets:
            self.targets.append(target)
        return self.use("", target.__name__.removesuffix("Api") + "Api")

    # Arguments: what the caller gives.

    def argument(self, annotation: Any) -> str:
        """What may be passed for a parameter; a promise for it will do as well."""
        given = self.given(annotation)
        if is_reference(annotation) or is_target(annotation) or given in OPEN:
            return given
        return f"{given} | {self.library('TypedPromise')}[{self.received(annotation)}]"

    def given(self, annotation: Any) -> str:
        """What may stand for a value of this annotation."""
        origin = typing.get_origin(annotation) or annotation
        if is_target(annotation):
            api = self.api(annotation)
            return f"{api} | {api}Promise | {self.library('RpcTarget')}"
        if is_protocol(annotation):
            return self.protocol(annotation)
        if origin is collections.abc.Callable:
            return self.callback(annotation)
        if is_reference(annotation):
            return "object"
        if origin is capnweb_sync.ReadableStream:
            any_iterator = f"{self.use('collections.abc', 'Iterator')}[{self.data(Any)}]"
            return (
                f"{self.library('ReadableStream')} | {any_iterator} | {self.data(typing.BinaryIO)}"
            )
        return self.data(annotation, self.given)

    def callback(self, annotation: Any) -> str:
        """What may be passed for a `Callable`."""
        callable_ = self.use("collections.abc", "Callable")
        parameters, result = typing.get_args(annotation) or (Ellipsis, Any)
        arguments = (
            f"[{', '.join(map(self.received, parameters))}]"
            if isinstance(parameters, Sequence)
            else "..."
        )
        fits = f"Callable[{arguments}, RpcPromise[{self.received(result)}]]"
        what = f"Callable[{arguments}, {self.received(result)}]"
        return f"{callable_}[{arguments}, {self.answer(result, what, fits)}]"

    def answer(self, result: Any, what: str, fits: str) -> str:
        """What a callback may return whose call gives `result` to the server."""
        if result in ANYTHING:
            return self.data(Any)
        if (typing.get_origin(result) or result) is not RpcPromise:
            raise self.refuse(
                f"a call of {what} gives a promise, which is not there yet: with .result() it"
                f" waits for the answer. Annotate it as {fits}."
            )
        (value,) = typing.get_args(result) or (Any,)
        if value in ANYTHING:
            return self.data(Any)
        given = self.given(value)
        return f"{given} | {self.use('concurrent.futures', 'Future')}[{given}]"

    def protocol(self, protocol: type) -> str:
        """The name of the class of what the caller implements."""
        if protocol not in self.protocols:
            self.protocols.append(protocol)
        return self.use("", protocol.__name__)

    # Data: the same on both sides.

    def data(self, annotation: Any, part: Callable[[Any], str] | None = None) -> str:
        """An annotation as it stands; `part` spells the ones within it."""
        part = part or self.data
        origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation is None or annotation is type(None):
            return "None"
        if annotation is Ellipsis:
            return "..."
        if annotation is object:
            return "object"
        if annotation in ANYTHING or isinstance(annotation, typing.TypeVar):
            return self.use("typing", "Any")
        if origin is typing.Annotated:
            return part(parts[0])
        if origin in (typing.Union, types.UnionType):
            options = list(dict.fromkeys(map(part, parts)))
            return next((option for option in options if option in OPEN), " | ".join(options))
        if origin is typing.Literal:
            return f"{self.use('typing', 'Literal')}[{', '.join(map(literal, parts))}]"
        if origin is not None:
            return f"{self.named(origin)}[{', '.join(map(part, parts))}]"
        return self.named(annotation)

    def named(self, thing: Any) -> str:
        """The name of a class, or of what is defined like one."""
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
        module = getattr(thing, "__module__", None)
        if not isinstance(name, str) or not isinstance(module, str):
            raise self.refuse(f"the annotation {thing!r} is not understood.")
        if "<locals>" in name:
            raise self.refuse(f"{name} is defined within a function, where nobody can import it.")
        if getattr(capnweb_sync, name, None) is thing:
            module = "capnweb_sync"
        return self.use(module, name)


def literal(value: Any) -> str:
    """The source of a plain value."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def has_set(annotation: Any) -> bool:
    """Whether there is a set among what it describes."""
    origin = typing.get_origin(annotation) or annotation
    return origin in SETS or any(map(has_set, typing.get_args(annotation)))


def answered(annotation: Any) -> Any:
    """The annotation of the answer, where a future or a promise for it is returned."""
    while (typing.get_origin(annotation) or annotation) in (concurrent.futures.Future, RpcPromise):
        (annotation,) = typing.get_args(annotation) or (Any,)
    return annotation


def is_target(annotation: Any) -> bool:
    """Whether it is a class with methods of its own for a peer."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, RpcTarget)
        and annotation is not RpcTarget
    )


def is_protocol(annotation: Any) -> bool:
    """Whether it is a Protocol, which describes what the peer implements."""
    return isinstance(annotation, type) and bool(getattr(annotation, "_is_protocol", False))


def is_reference(annotation: Any) -> bool:
    """Whether it is something passed by reference whose methods are not known here."""
    origin = typing.get_origin(annotation) or annotation
    return (
        origin in (RpcStub, RpcTarget, collections.abc.Callable)
        or is_protocol(annotation)
        or origin is RpcPromise
    )
