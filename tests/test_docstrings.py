"""Every public name says what it takes, what it gives and what it raises.

Public is what the packages export (`__all__`), and the public methods of what they export. The form
is that of Google's style guide, as `websockets` has it: `Args`, `Returns`, `Raises`. Types stand in
the annotations; units and sources are for people to look at.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PACKAGES = {
    "capnweb_sync": None,
    "capnweb_sync.server": None,
    "capnweb_sync.testing": None,
    "chatclient": None,
    "chatserver": ["create_app"],
}
"""With the names that a package without `__all__` exports."""

FOR_OTHER_ROOMS = {
    # The floors of `RpcSession`.
    "Lifecycle": {"change changed interrupted hook_dropped"},
    "Unneeded": {"push_unneeded release_unneeded"},
    "Outgoing": {
        "send_call send_stream send_map send_pull send_release send_resolve send_reject",
        "pull_begun pull_done import_id create_pipe",
        "export_stub export_promise export_sink forget_export unexport",
    },
    "Incoming": {
        "peer_aborted import_stub import_promise export_hook new_pipe pipe_readable map_work",
    },
    "ReadableStream": {"of_pipe held"},
    "WritableStream": {"of_hook held"},
    "Connection": {"start outbox_low"},
    "Closing": {"let_go shed outbox_finished outbox_failed outbox_overflowed outbox_low"},
    "Connections": {"add remove reserve release"},
    "HttpConnections": {"admitted wait make_room"},
    "Service": {"connections"},
    # `Runtime` says it.
    "GeventRuntime": {"call_queue wait enter collect tidy_later in_turns spawn"},
}
"""Methods that the library itself calls, from another of its rooms; their contracts stand at the
protocols that they fulfil."""


class Public(NamedTuple):
    """A function or method that anybody may call, or a class that anybody may make."""

    name: str
    function: Callable[..., Any]
    doc: str
    is_property: bool = False


def exported() -> Iterator[tuple[str, Any]]:
    for package, names in PACKAGES.items():
        module = importlib.import_module(package)
        for name in names or module.__all__:
            yield f"{package}.{name}", getattr(module, name)


def is_ours(cls: Any) -> bool:
    return cls.__module__.partition(".")[0] in {"capnweb_sync", "chatclient", "chatserver"}


def inherited(cls: type, name: str) -> bool:
    """Whether a class that is not ours has a say in what this is."""
    return any(hasattr(base, name) for base in cls.__mro__[1:] if not is_ours(base))


def members_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Its own, and those that it has from classes of ours which nobody else can see."""
    seen: set[str] = set()
    for floor in cls.__mro__:
        if floor is not cls and (not is_ours(floor) or floor in EXPORTED):
            continue
        for name, member in vars(floor).items():
            if name not in seen:
                seen.add(name)
                yield name, member


def functions_of(path: str, cls: type) -> Iterator[Public]:
    internal = {
        name
        for floor in cls.__mro__
        for names in FOR_OTHER_ROOMS.get(floor.__name__, ())
        for name in names.split()
    }
    made: Any = vars(cls).get("__init__")
    by_hand = inspect.isfunction(made) and not dataclasses.is_dataclass(cls)
    if by_hand and not getattr(cls, "_is_protocol", False):
        yield Public(path, made, f"{cls.__doc__}\n{inspect.getdoc(made) or ''}")
    for name, member in members_of(cls):
        if name.startswith("_") or name in internal or inherited(cls, name):
            continue
        if isinstance(member, property):
            assert member.fget is not None
            yield Public(f"{path}.{name}", member.fget, inspect.getdoc(member.fget) or "", True)
        elif isinstance(member, (staticmethod, classmethod)) or inspect.isfunction(member):
            function: Any = getattr(member, "__func__", member)
            yield Public(f"{path}.{name}", function, inspect.getdoc(function) or "")


def public() -> Iterator[Public]:
    for path, value in exported():
        if inspect.isclass(value):
            yield from functions_of(path, value)
        elif inspect.isfunction(value):
            yield Public(path, value, inspect.getdoc(value) or "")


EXPORTED = {value for _, value in exported() if inspect.isclass(value)}

PUBLIC = [found for found in dict.fromkeys(public()) if is_ours(found.function)]


def section(doc: str, title: str) -> str:
    """The lines below `Args:` and the like."""
    found = re.search(rf"^ *{title}:\n((?: +.*\n|\n)*)", f"{doc}\n", re.MULTILINE)
    return found.group(1) if found else ""


def entries(doc: str, title: str) -> set[str]:
    """The names that a section explains."""
    return set(re.findall(r"^ +\*{0,2}(\w+): ", section(doc, title), re.MULTILINE))


def raised(function: Callable[..., Any]) -> set[str]:
    """The exceptions that a function itself makes and raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    inner = {
        id(node)
        for nested in ast.walk(tree.body[0])
        if isinstance(nested, ast.FunctionDef) and nested is not tree.body[0]
        for node in ast.walk(nested)
    }
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and id(node) not in inner:
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(made, ast.Name) and made.id[0].isupper():
                names.add(made.id)
    return names


def test_every_public_name_is_in_the_reference() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    directive = re.compile(r"^.. auto\w+:: (\w+)$", re.MULTILINE)
    there = set()
    for part in page.split("currentmodule:: ")[1:]:
        package = part.partition("\n")[0]
        there |= {f"{package}.{name}" for name in directive.findall(part)}
    expected = {path for path, _ in exported() if PACKAGES[path.rpartition(".")[0]] is None}

    # The library's own, which has it under its first name.
    assert expected - there == {"chatclient.Status"}


def test_every_public_name_has_a_docstring() -> None:
    silent = [path for path, value in exported() if inspect.isroutine(value) and not value.__doc__]
    silent += [path for path, value in exported() if inspect.isclass(value) and not value.__doc__]
    silent += [found.name for found in PUBLIC if not found.doc.strip()]

    assert silent == []


@pytest.mark.parametrize("found", PUBLIC, ids=lambda found: found.name)
def test_a_public_function_says_what_it_takes_gives_and_raises(found: Public) -> None:
    signature = inspect.signature(found.function)
    taken = {name for name in signature.parameters if name not in {"self", "cls"}}
    returns = signature.return_annotation
    missing = [f"Args: {name}" for name in sorted(taken - entries(found.doc, "Args"))]
    gives = returns not in {None, "None", "NoReturn", "Self", inspect.Signature.empty}
    if gives and not found.is_property and not section(found.doc, "Returns"):
        missing.append("Returns")
    documented = entries(found.doc, "Raises")
    missing += [f"Raises: {name}" for name in sorted(raised(found.function) - documented)]
    if re.search(r"\bRaises?\b(?!:)", found.doc):
        missing.append("Raises: what stands in a sentence")

    assert missing == []


@pytest.mark.parametrize(
    ("path", "cls"),
    [
        (path, value)
        for path, value in exported()
        if inspect.isclass(value) and (dataclasses.is_dataclass(value) or hasattr(value, "_fields"))
    ],
)
def test_a_public_record_says_what_its_fields_are(path: str, cls: type) -> None:
    fields = set(cls.__annotations__) - {"_fields"}
    source = textwrap.dedent(inspect.getsource(cls))
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    beneath = {
        field.target.id
        for field, doc in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
    }
    above = set(re.findall(r"#: [^\n]*\n(?: +#[^\n]*\n)* +(\w+):", source))
    explained = beneath | above | entries(cls.__doc__ or "", "Attributes")

    assert fields - explained == set(), path
