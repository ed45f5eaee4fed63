"""`capnweb stubs MODULE:CLASS …`: the typed API of a server, as a module."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .api_module import write_module
from .spelling import StubsError


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="capnweb stubs",
        description="Write the module that tells type checkers what a server offers.",
    )
    parser.add_argument(
        "classes",
        nargs="+",
        metavar="MODULE:CLASS",
        help="a class of the server's; what its methods return comes along",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write it (default: standard output)"
    )
    return parser


def stubs(arguments: Sequence[str]) -> int:
    """Run the command; the exit status. Raises StubsError."""
    commands = parser()
    options = commands.parse_intermixed_args(arguments)
    if not all(name.partition(":")[2] for name in options.classes):
        commands.error(f"a class is named MODULE:CLASS, not {' '.join(options.classes)!r}")
    # A module of the present folder, as with `python -m`.
    sys.path.insert(0, "")
    try:
        targets = [load(name) for name in options.classes]
    finally:
        sys.path.remove("")
    module = write_module(targets, f"capnweb stubs {' '.join(options.classes)}")
    if options.output is None:
        sys.stdout.write(module)
        sys.stdout.flush()
    else:
        options.output.write_text(module, encoding="utf-8")
    return 0


def load(name: str) -> type:
    """The class that `module:Class` names. Raises StubsError if there is none."""
    module, _, qualified = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise StubsError(f"{name} is not found: {error}.") from None
    if not isinstance(found, type):
        raise StubsError(f"{name} is not a class.")
    target: type = found
    return target
