"""What scripts/build_dist.sh makes has the page."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.chatserver.test_http import get
from tests.conftest import StartProcess
from tests.processes import REPOSITORY, ServerProcess, free_port

BROWSER = {"Accept": "text/html"}


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
    assert list(tmp_path.glob("*.tar.gz"))
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
