"""The Python in the documentation does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PREAMBLE = """
from gevent import monkey
monkey.patch_all()
"""

DEADLINE_SECONDS = 60


@pytest.mark.parametrize("page", ["capnweb_sync", "seeing", "typed"])
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    blocks = python_blocks((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    program = tmp_path / "page.py"
    program.write_text("\n".join([PREAMBLE, *blocks, "print('all of it')"]), encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, program],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert (finished.stderr, finished.stdout) == ("", "all of it\n")


def python_blocks(page: str) -> list[str]:
    """The code between ```python and ```."""
    return [part.partition("```")[0] for part in page.split("```python\n")[1:]]
