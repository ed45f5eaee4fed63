"""What others install: its version, what it needs, and what scripts/build_dist.sh makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest

import capnweb_sync
from tests.chatserver.test_http import get
from tests.conftest import StartProcess
from tests.processes import REPOSITORY, ServerProcess, free_port

PROGRAMS = {"capnweb": "capnweb_sync", "chatserver": "chatserver", "chatclient": "chatclient"}

BROWSER = {"Accept": "text/html"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_tells_its_version(name: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", PROGRAMS[name], "--version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == f"{name} {capnweb_sync.__version__}\n"


def test_the_description_has_no_link_to_a_file_beside_it() -> None:
    about = metadata("capnweb-chat")

    assert about["Version"] == capnweb_sync.__version__
    description = str(about.json["description"])
    assert "# Cap'n Web for blocking Python" in description
    assert re.findall(r"\]\((?!https?:)[^)]*\)", description) == []


def test_a_wheel_made_by_the_script_serves_the_page(
    tmp_path: Path, start_process: StartProcess, full: bool
) -> None:
    if not full:
        pytest.skip("building takes long")
    subprocess.run(
        [REPOSITORY / "scripts" / "build_dist.sh", tmp_path],
        env=os.environ | {"CHAT_VENV": sys.prefix},
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"docs/tutorial.md", "tests/conftest.py", "examples/jobs/app.py", "LICENSE"} <= names
    assert not any("node_modules" in name for name in names)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    port = free_port()
    # Without the modules that stand beside this environment.
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); sys.prefix = '/nowhere';"
        f"from chatserver.__main__ import main; main(['--port', '{port}', '--store', 'memory:'])"
    )

    start_process(sys.executable, "-c", program, ready=ServerProcess.BANNER)

    status, headers, _ = get(("127.0.0.1", port), "/", BROWSER)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
