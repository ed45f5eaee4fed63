"""How scripts/build_docs.sh makes a site of these pages."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from textwrap import indent
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_docstrings import FOR_OTHER_ROOMS  # noqa: E402 - found by the line above

project = "capnweb_sync"
author = "The capnweb-chat authors"
project_copyright = f"2026, {author}"
version = release = version_of("capnweb-chat")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"capnweb_sync {release}"

# Headings can be linked to, as on GitHub.
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_ivar = True
# `type` is an attribute of two classes, and Python's own where annotations say it.
suppress_warnings = ["ref.python"]


def without_the_repository(app: Sphinx, page: str, source: list[str]) -> None:
    """Files outside of this folder are links in the repository, and names on the site."""
    source[0] = re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", source[0])


def in_its_own_markup(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Docstrings quote code as Markdown does, and have its tables, which are shown as they are."""
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``\\ ", "\n".join(lines))
    text = re.sub(r"(?:^\|.*\n?)+", lambda table: as_it_is(table[0]), text, flags=re.MULTILINE)
    lines[:] = text.splitlines()


def as_it_is(text: str) -> str:
    """A literal block."""
    return "::\n\n" + indent(text.replace("``\\ ", "").replace("``", ""), "    ") + "\n"


def skipped(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any
) -> bool | None:
    """Leave out methods that only the library calls."""
    owner = getattr(obj, "__qualname__", "").rpartition(".")[0]
    internal = " ".join(FOR_OTHER_ROOMS.get(owner, ())).split()
    return True if name in internal else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", without_the_repository)
    # Before napoleon, which makes reStructuredText of their sections.
    app.connect("autodoc-process-docstring", in_its_own_markup, priority=400)
    app.connect("autodoc-skip-member", skipped)
