"""Which file may import which: the floors of `docs/architecture.md`, read off the code itself.

All imports count: also those inside of functions, and those that only type checkers see. A lower
floor that names something of a higher one, even in an annotation, is a lower floor that has to be
read together with it.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = {
    "capnweb_sync": (
        ("errors", "close_codes", "limits", "deferred", "urls", "origins", "floods"),
        ("futures",),
        ("handshake", "wsgi_requests"),
        ("values",),
        ("runtimes",),
        ("line", "observe"),
        ("core",),
        ("streams",),
        ("codec",),
        ("session",),
        ("typed",),
        ("client", "server", "server_threads"),
        ("wsgi_batch",),
        ("wsgi",),
        ("testing", "shell"),
        ("__main__",),
    ),
    "chatserver": (
        ("errors", "futures", "gc_tuning", "loop", "output"),
        ("addresses", "certificate", "logs"),
        ("people",),
        ("store", "tokens"),
        ("options",),
        ("rooms",),
        ("capabilities",),
        ("settings",),
        ("observe", "entrance"),
        ("service", "page", "data", "invite"),
        ("routes",),
        ("app", "admin"),
        ("gunicorn_conf", "__main__"),
    ),
}
"""From the bottom up; files and folders that stand side by side do not import each other. Files
that are alone in their package's last row may import anything of it."""

SHELLS = tuple(
    f"capnweb_sync.{room}"
    for room in (
        *("client", "line", "server", "server_threads", "wsgi", "wsgi_batch"),
        *("wsgi_requests", "runtimes", "shell", "testing", "__main__"),
    )
)
"""What does I/O and starts threads. Everything else of the library is the core."""

ON_THE_PUBLIC_API = ("capnweb_sync.shell", "capnweb_sync.__main__")
"""Programs that use the library as anybody may."""

NOT_IN_THE_CORE = {"flask", "gevent", "geventwebsocket", "websocket", "werkzeug", "socket"} | {
    "asyncio",
    "selectors",
    "ssl",
    "subprocess",
}

LATE_LIBRARIES = {"capnweb_sync.wsgi", "capnweb_sync.wsgi_requests", "capnweb_sync"}
"""Where importing the library of a shell waits until it is used: who never serves needs no Flask,
and who never connects no websocket-client."""


class Import(NamedTuple):
    """One imported name."""

    importer: str
    imported: str
    name: str
    inside_function: bool


def modules() -> dict[str, Path]:
    """Every module of the three packages."""
    found = {}
    for package in ("capnweb_sync", "chatserver", "chatclient"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str) -> Iterator[Import]:
    """Everything that `module` imports."""
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, alias.name, id(node) in inside)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                imported = whole if whole in MODULES else source
                yield Import(module, imported, alias.name, id(node) in inside)


IMPORTS = [found for module in sorted(MODULES) for found in imports_of(module)]
OURS = [found for found in IMPORTS if found.imported in MODULES]


def place(module: str) -> tuple[int, str] | None:
    """On which floor a module stands, and in which room of it; None for a package's own file."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    for number, floor in enumerate(FLOORS.get(package, ())):
        if room in floor:
            return number, room
    return None


def said(found: Import) -> str:
    """An import as a person looks for it."""
    return f"{found.importer} imports {found.name} of {found.imported}"


def test_every_file_stands_on_a_floor() -> None:
    homeless = [
        module
        for module in MODULES
        if module.partition(".")[0] in FLOORS and "." in module and place(module) is None
    ]

    assert homeless == []


@pytest.mark.parametrize("package", sorted(FLOORS))
def test_the_architectures_page_shows_these_floors(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition(f"### `{package}`")[2].partition("\n\n|")[2].partition("\n\n")[0]
    cells = [row.strip("|").partition("|")[0] for row in table.splitlines()[2:]]
    shown = [name for cell in cells for name in re.findall(r"`(\w+)(?:/|\.py)?`", cell)]
    numbers = {name: number for number, floor in enumerate(FLOORS[package]) for name in floor}

    assert set(shown) | {"__main__"} == set(numbers)
    assert [numbers[name] for name in shown] == sorted(numbers[name] for name in shown)


def test_no_import_goes_up_or_sideways() -> None:
    wrong = []
    for found in OURS:
        above, below = place(found.importer), place(found.imported)
        if above is None or below is None or above[1] == below[1]:
            continue
        same_package = found.importer.partition(".")[0] == found.imported.partition(".")[0]
        if same_package and below[0] >= above[0]:
            wrong.append(said(found))

    assert wrong == []


def test_no_file_of_a_package_imports_the_package_itself() -> None:
    """Its `__init__` imports everything else, so that would be a circle."""
    wrong = [
        said(found)
        for found in OURS
        if found.imported in ("capnweb_sync", "chatserver", "chatclient")
        and found.importer.startswith(f"{found.imported}.")
        and not found.importer.startswith(ON_THE_PUBLIC_API)
        and f"{found.imported}.{found.name}" not in MODULES
        and (found.imported, found.name) != ("capnweb_sync", "__version__")
    ]

    assert wrong == []


def test_imports_form_no_circle() -> None:
    graph: dict[str, dict[str, str]] = {module: {} for module in MODULES}
    for found in OURS:
        if found.imported != found.importer:
            graph[found.importer][found.imported] = found.name
    done: set[str] = set()

    def look(module: str, way: list[str]) -> None:
        if module in way:
            steps = [*way[way.index(module) :], module]
            names = [
                f"{above} imports {graph[above][below]} of {below}"
                for above, below in itertools.pairwise(steps)
            ]
            pytest.fail("a circle: " + ", ".join(names))
        if module not in done:
            for imported in graph[module]:
                look(imported, [*way, module])
            done.add(module)

    for module in graph:
        look(module, [])


def test_server_and_client_never_import_each_other_nor_the_library_them() -> None:
    apart = {
        "capnweb_sync": ("chatserver", "chatclient"),
        "chatserver": ("chatclient",),
        "chatclient": ("chatserver",),
    }
    wrong = [
        said(found)
        for found in IMPORTS
        if found.imported.partition(".")[0] in apart[found.importer.partition(".")[0]]
    ]

    assert wrong == []


def test_the_core_does_no_io_and_knows_no_framework() -> None:
    wrong = [
        said(found)
        for found in IMPORTS
        if found.importer.startswith("capnweb_sync.")
        and not found.importer.startswith(SHELLS)
        and found.imported.partition(".")[0] in NOT_IN_THE_CORE
    ]

    assert wrong == []


def test_the_library_imports_inside_of_functions_only_what_a_shell_loads_late() -> None:
    wrong = [
        said(found)
        for found in IMPORTS
        if found.importer.startswith("capnweb_sync")
        and found.inside_function
        and found.importer not in LATE_LIBRARIES
    ]

    assert wrong == []


def test_only_known_libraries_are_imported() -> None:
    known = {"flask", "gevent", "geventwebsocket", "gunicorn", "msgspec", "prompt_toolkit"} | {
        "redis",
        "websocket",
        "werkzeug",
        "precis_i18n",
        "jwt",
        "prometheus_client",  # by the observer for it
        "simple_websocket",
        "wsproto",
        "pytest",  # by the plugin for those who test with it
        "typing_extensions",  # by type checkers alone, which bring it
        "capnweb_sync",
        "chatserver",
        "chatclient",
    }
    unknown = {
        found.imported.partition(".")[0]
        for found in IMPORTS
        if found.imported.partition(".")[0] not in known | sys.stdlib_module_names
    }

    assert unknown == set()
