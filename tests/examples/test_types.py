"""The examples are typed from end to end."""

import os
from importlib import metadata
from pathlib import Path

import pytest

from tests.capnweb_sync.typed.test_checkers import errors_by_pyright
from tests.processes import REPOSITORY


@pytest.mark.skipif(
    metadata.version("flask") < "3.1",
    reason="This Flask does not say of which types a session's contents are",
)
def test_pyright_finds_nothing_however_strict_it_is(tmp_path: Path) -> None:
    """mypy sees it with everything else."""
    found, said = errors_by_pyright(tmp_path, os.path.relpath(REPOSITORY / "examples", tmp_path))

    assert found == set(), said
