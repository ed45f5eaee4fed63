"""What pages, docstrings and comments call a file, a module or a function is there.

Files move and functions get better names; prose does not follow by itself.
"""

from __future__ import annotations

import ast
import importlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from capnweb_sync.observe.logs import LOGS
from chatserver.logs import UNBOUNDED

ROOT = Path(__file__).parents[1]

PACKAGES = ("capnweb_sync", "chatserver", "chatclient")

FILE = re.compile(r"(?<![\w./-])(?:\.\./)*(?:[\w-]+/)*[\w-]+\.py\b")
MODULE = re.compile(rf"(?<![\w./@])(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
CODE = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")

CONTENTS = re.compile(r"^(?:\| `(\w+)` \||    (\w+) {2,}|(\w+) {2,})", re.MULTILINE)
"""A line of a package's table of contents, in the forms that they have."""

EXAMPLES = {"bank_api.py", "conftest.py", "a_small_server.py", "bot.py"}
"""Files of the reader's own."""


LOGGERS = {logger.name for logger, _, _ in LOGS} | {logger.name for logger in UNBOUNDED}


@cache
def tracked() -> frozenset[str]:
    """Every file that the repository has or is about to have."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no repository, whose files could be told", allow_module_level=True)
    return frozenset(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def pages() -> list[str]:
    return sorted(name for name in tracked() if name.endswith(".md"))


def sources() -> list[str]:
    return sorted(name for name in tracked() if name.endswith(".py"))


def docstrings(text: str) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, and those under attributes."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


def prose(text: str) -> str:
    """All that a source says to people: docstrings and comments."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    return "\n".join([*docstrings(text), *comments])


@cache
def said(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    return text if name.endswith(".md") else prose(text)


def is_file(name: str, where: str) -> bool:
    """Whether `name`, as the file `where` writes it, is a file of the repository."""
    if name in EXAMPLES or f"\n# {name}\n" in said(where):  # which the page has its readers write
        return True
    beside = (ROOT / where).parent / name
    if beside.exists():
        return True
    end = name.lstrip("./")
    return any(path == end or path.endswith(f"/{end}") for path in tracked())


def is_there(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one, or is a logger's."""
    if name in LOGGERS:
        return True
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_files_that_are_named_exist() -> None:
    missing = [
        f"{where}: {name}"
        for where in [*pages(), *sources()]
        for name in FILE.findall(said(where))
        if not is_file(name, where)
    ]

    assert missing == []


def test_modules_that_are_named_exist() -> None:
    missing = [
        f"{where}: {name}"
        for where in [*pages(), *sources()]
        for name in set(MODULE.findall(said(where)))
        if not re.fullmatch(rf"(?:{'|'.join(PACKAGES)})\.(?:py|md|cfg|git|service)", name)
        and not is_there(name)
    ]

    assert missing == []


@pytest.mark.parametrize(
    "package", [name for name in sources() if name.startswith(PACKAGES) and "__init__" in name]
)
def test_a_packages_table_of_contents_names_its_files(package: str) -> None:
    folder = (ROOT / package).parent
    contents = next(docstrings((ROOT / package).read_text(encoding="utf-8")), "")
    named = {name for match in CONTENTS.findall(contents) for name in match if name}
    there = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}

    assert named - there - {"file", "module"} == set()


def test_the_architecture_names_what_the_code_has() -> None:
    code = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in sources())
    words = set(re.findall(r"\w+", code)) | {
        part for name in tracked() for part in Path(name).with_suffix("").parts
    }
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    missing = {name for name in CODE.findall(page) if not set(name.split(".")) <= words}

    assert missing == set()


def test_no_docstring_only_points_elsewhere() -> None:
    """What is said elsewhere in full is said here in a line."""
    pointing = [
        f"{name}: {text}"
        for name in sources()
        if name.startswith(PACKAGES)
        for text in docstrings((ROOT / name).read_text(encoding="utf-8"))
        if re.fullmatch(r"See `[^`]+`[.;]?", text.strip()) or text.strip() in {"…", "..."}
    ]

    assert pointing == []
