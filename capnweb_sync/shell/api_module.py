"""The module of a typed API, written from the classes of a server."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ..core.stubs import RpcPromise, RpcStub
from ..core.targets import RpcTarget, members
from .spelling import Spelling, StubsError, answered, literal

LINE_LENGTH: Final = 96
"""Columns; parameters that need more stand in lines of their own."""

ON_STUBS: Final = frozenset(name for name in dir(RpcStub) if not name.startswith("_"))
ON_PROMISES: Final = frozenset(name for name in dir(RpcPromise) if not name.startswith("_"))
"""Names that stubs, and promises, have themselves: the server's are reached with brackets."""

BODY: Final = "        raise NotImplementedError"


class Member(NamedTuple):
    """A method or property, spelled for the caller."""

    name: str
    doc: str | None
    parameters: list[str] | None
    """None for a property."""
    kinds: str
    """The types of the parameters, as in a `Callable`."""
    result: str

    def lines(self) -> list[str]:
        """Its definition."""
        head = self.head()
        if self.doc is None:
            return [*head, BODY]
        return [*head, *docstring(self.doc, " " * 8), BODY]

    def head(self) -> list[str]:
        """Its definition, up to the colon."""
        if self.parameters is None:
            return ["    @property", f"    def {self.name}(self) -> {self.result}:"]
        parameters = ["self", *self.parameters]
        line = f"    def {self.name}({', '.join(parameters)}) -> {self.result}:"
        if len(line) <= LINE_LENGTH:
            return [line]
        inner = [f"        {parameter}," for parameter in parameters]
        return [f"    def {self.name}(", *inner, f"    ) -> {self.result}:"]

    def value(self, spelling: Spelling) -> str:
        """Its type, as something that one gets with brackets."""
        if self.parameters is None:
            return self.result
        return f"{spelling.use('collections.abc', 'Callable')}[{self.kinds}, {self.result}]"


def docstring(doc: str, indent: str) -> list[str]:
    """The lines of a docstring."""
    text = inspect.cleandoc(doc).replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if text.endswith('"'):
        text += " "
    first, *rest = text.splitlines() or [""]
    if not rest:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in rest), f'{indent}"""']


def write_module(targets: Sequence[type], command: str) -> str:
    """The source of a module with the APIs of `targets` and of all classes that these mention.

    `command` is what it says it was written by. Raises StubsError for a class that there can be no
    typed API for.
    """
    spelling = Spelling()
    for target in targets:
        if not issubclass(target, RpcTarget):
            raise StubsError(f"{target.__qualname__} is not derived from RpcTarget.")
        spelling.api(target)
    protocols: list[str] = []
    classes: list[str] = []
    for target in _growing(spelling.targets):
        classes += _target_classes(spelling, target)
        # A protocol may mention further targets, and these further protocols.
        done = len(protocols)
        protocols += [_protocol_class(spelling, one) for one in _growing(spelling.protocols, done)]
    head = f'"""What a server offers, for those who call it. Written by `{command}`."""'
    begin = "\n".join([head, "", "from __future__ import annotations", *_imports(spelling)])
    return "\n\n\n".join([begin, *protocols, *classes]) + "\n"


def _growing(things: list[type], done: int = 0) -> Iterable[type]:
    """Those from `done` on, also what is mentioned while these are being written."""
    while done < len(things):
        yield things[done]
        done += 1


def _imports(spelling: Spelling) -> list[str]:
    """The lines that import what was mentioned: the standard library, then the others."""
    modules = [module for module in sorted(spelling.imports) if module]
    standard = [name for name in modules if name.partition(".")[0] in sys.stdlib_module_names]
    lines = []
    for block in (standard, [module for module in modules if module not in standard]):
        lines += [""] if block else []
        for module in block:
            lines.append(f"from {module} import {', '.join(sorted(spelling.imports[module]))}")
    return lines


def _target_classes(spelling: Spelling, target: type) -> list[str]:
    name, api = target.__name__, spelling.api(target)
    known = [_member(spelling, target, name) for name in members(target)]
    held = [member for member in known if member.name in ON_PROMISES - ON_STUBS]
    shared = [member for member in known if member.name not in ON_PROMISES]
    stub = [*held_lines(held), *_by_key(spelling, known, ON_STUBS)]
    promise = _by_key(spelling, known, ON_PROMISES)
    bases = f"_{name}, {spelling.library('TypedStub')}"
    doc = [] if target.__doc__ is None else [*docstring(target.__doc__, " " * 4), ""]
    return [
        _class(f"_{name}", [*doc, *held_lines(shared)]),
        _class(f"{api}({bases})", [f'    """{name}, held."""', "", *stub]),
        _class(
            f"{api}Promise(_{name}, {spelling.library('TypedPromise')}[{api}])",
            [f'    """{name}, under way."""', "", *promise],
        ),
    ]


def held_lines(known: Iterable[Member]) -> list[str]:
    """The definitions, with a line between them."""
    return [line for member in known for line in (*member.lines(), "")]


def _class(head: str, body: list[str]) -> str:
    while body and not body[-1]:
        body = body[:-1]
    return "\n".join([f"class {head}:", *(body or ["    pass"])])


def _by_key(spelling: Spelling, known: list[Member], hidden: frozenset[str]) -> list[str]:
    """How names that the library's classes have themselves are reached."""
    values = [
        (f"{spelling.use('typing', 'Literal')}[{literal(member.name)}]", member.value(spelling))
        for member in known
        if member.name in hidden
    ]
    if len(values) == 1:
        ((key, value),) = values
        return [f"    def __getitem__(self, key: {key}) -> {value}:", BODY]
    lines = []
    for key, value in values:
        overload = spelling.use("typing", "overload")
        lines += [f"    @{overload}", f"    def __getitem__(self, key: {key}) -> {value}: ...", ""]
    if lines:
        any_ = spelling.use("typing", "Any")
        lines += [f"    def __getitem__(self, key: str) -> {any_}:", BODY]
    return lines


def _member(spelling: Spelling, target: type, name: str) -> Member:
    spelling.place = f"{target.__qualname__}.{name}"
    member = members(target)[name]
    if isinstance(member, (property, functools.cached_property)):
        getter = member.fget if isinstance(member, property) else member.func
        assert isinstance(getter, types.FunctionType)
        result = _hints(spelling, getter).get("return", Any)
        return Member(name, getter.__doc__, None, "", spelling.promise(result))
    parameters, kinds, result, doc = _signature(spelling, member, spelling.argument)
    return Member(name, doc, parameters, kinds, spelling.promise(answered(result)))


def _hints(spelling: Spelling, function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError as error:
        raise spelling.refuse(f"an annotation can't be resolved at run time ({error}).") from None


def _signature(
    spelling: Spelling, member: Any, spell: Any
) -> tuple[list[str], str, Any, str | None]:
    """The parameters of a method, their types, the annotation of its result, its docstring."""
    function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise spelling.refuse(
            "nothing awaits it. A method is a plain function: def, without async."
        )
    hints = _hints(spelling, function)
    described = list(inspect.signature(function).parameters.values())
    if not isinstance(member, staticmethod):
        described = described[1:]  # self, cls
    positional, kinds, rest = [], [], []
    exact = True
    for parameter in described:
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise spelling.refuse(
                    f"a peer can't pass {parameter.name}, which is taken by its name only."
                )
            continue
        kind = spell(hints.get(parameter.name, Any))
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = [f"*{parameter.name}: {kind}"]
            exact = False
        else:
            optional = parameter.default is not parameter.empty
            exact = exact and not optional
            default = f" = {_default(spelling, parameter.default)}" if optional else ""
            positional.append(f"{parameter.name}: {kind}{default}")
            kinds.append(kind)
    # By position only: the protocol knows no names of arguments.
    parameters = [*positional, *(["/"] if positional else []), *rest]
    return (
        parameters,
        f"[{', '.join(kinds)}]" if exact else "...",
        hints.get("return", Any),
        function.__doc__,
    )


def _methods(protocol: type) -> dict[str, types.FunctionType]:
    return {
        name: member
        for base in reversed(protocol.__mro__)
        if base not in (object, typing.Generic, typing.Protocol)
        for name, member in vars(base).items()
        if isinstance(member, types.FunctionType)
        if name == "__call__" or not name.startswith("_")
    }


def _default(spelling: Spelling, value: Any) -> str:
    """The default of a parameter, as far as it can be written. What is left out is not sent."""
    if type(value) in (str, int, bool, type(None)) or (
        type(value) is float and math.isfinite(value)
    ):
        return literal(value)
    return f'{spelling.use("typing", "cast")}("{spelling.use("typing", "Any")}", ...)'


def _protocol_class(spelling: Spelling, protocol: type) -> str:
    lines = [] if protocol.__doc__ is None else [*docstring(protocol.__doc__, " " * 4), ""]
    for name, member in _methods(protocol).items():
        spelling.place = f"{protocol.__qualname__}.{name}"
        parameters, _, result, doc = _signature(spelling, member, spelling.received)
        spelled = "None" if result is None else getattr(result, "__name__", str(result))
        answer = spelling.answer(result, f"{name}() -> {spelled}", f"RpcPromise[{spelled}]")
        head = Member(name, None, parameters, "", answer).head()
        if doc is None:
            lines += [*head[:-1], f"{head[-1]} ...", ""]
        else:
            lines += [*head, *docstring(doc, " " * 8), "        ...", ""]
    return _class(f"{protocol.__name__}({spelling.use('typing', 'Protocol')})", lines)
