"""The code in the documentation does what it says.

A page is one program, whose blocks run from top to bottom; or files, which begin with their name,
and terminals, which show what is typed and what is answered.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartProcess, StartServer
from tests.processes import Process, free_port

ROOT = Path(__file__).parents[1]

PROGRAMS = [
    "capnweb_sync",
    "flask",
    "from-flask-socketio",
    "from-javascript",
    "index",
    "reconnecting",
    "seeing",
    "streams",
    "testing",
    "typed",
]

FILES_AND_TERMINALS = ["tutorial"]

PREAMBLE = """
from gevent import monkey
monkey.patch_all()
"""

DEADLINE_SECONDS = 60

PORT = "8080"
"""Where the pages have their servers."""

INTERRUPTED = "^C"
"""Somebody types Ctrl+C; first in a block, in the terminal of the page's first one."""


def blocks(page: str, language: str) -> list[str]:
    """The code between ```language and ```."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PROGRAMS)
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    code = "\n".join([PREAMBLE, *blocks(page, "python"), "print('all of it')"])
    program.write_text(code, encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert (finished.stderr, finished.stdout) == ("", "all of it\n")


@pytest.mark.parametrize("page", ["protocol", "chatclient"])
def test_a_conversation_of_the_chat_is_what_happens(
    page: str, start_server: StartServer, tmp_path: Path
) -> None:
    conversation = "\n".join(blocks(page, "python"))
    secret = {"CHAT_SECRET": "a secret of the tests, 32 bytes long"}
    program = tmp_path / "page.py"
    url = start_server(env=secret).url
    program.write_text(conversation.replace("ws://127.0.0.1:8080/rpc/ws", url), encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, program],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", **secret},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert (finished.stderr, finished.returncode) == ("", 0)


def test_a_site_is_made_of_the_pages_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    # Everything but writing the pages.
    made = subprocess.run(
        [*build, "-b", "dummy", ROOT / "docs", tmp_path],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_SECONDS,
        check=False,
    )

    assert (made.stderr, made.returncode) == ("", 0)


class Terminal:
    """What is shown of a terminal on a page, played: it answers what the page says it does.

    A line of a page may be the beginning of one; `…` stands for any number of them.
    """

    def __init__(self, start_process: StartProcess, folder: Path) -> None:
        self._start_process = start_process
        self._folder = folder
        self._shown: list[str] = []
        self._process: Process | None = None
        self._heard = 0

    def show(self, lines: list[str]) -> None:
        """Play what is new in it."""
        new = lines if lines[0] == INTERRUPTED else lines[len(self._shown) :]
        assert lines[: len(lines) - len(new)] == self._shown[: len(lines) - len(new)]
        for line in new:
            self._play(line)
        self._shown = lines

    def _play(self, line: str) -> None:
        if line.startswith("$ "):
            enter = f"cd {self._folder}; PATH={sys.prefix}/bin:$PATH PYTHONPATH={ROOT} exec"
            self._process = self._start_process("sh", "-c", f"{enter} {line[2:]} 2>&1")
            self._heard = 0
            return
        assert self._process is not None
        if line == INTERRUPTED:
            self._process.signal(signal.SIGINT)
            self._process.wait()
        elif line != "…":
            self._process.wait_for_line(f"^{re.escape(line)}", after=self._heard)
            unheard = self._process.lines[self._heard :]
            self._heard += 1 + next(i for i, said in enumerate(unheard) if said.startswith(line))

    def end(self) -> None:
        """What has ended has said no more than what is shown."""
        assert self._process is not None
        if not self._process.running and self._shown[-1] != "…":
            self._process.wait()
            assert self._process.lines[self._heard :] == []


@pytest.mark.parametrize("page", FILES_AND_TERMINALS)
def test_the_terminals_of_a_page_show_what_happens(
    page: str, tmp_path: Path, start_process: StartProcess
) -> None:
    port = str(free_port())
    for code in blocks(page, "python"):
        (name,) = re.findall(r"\A# (\w+\.py)\n", code)
        (tmp_path / name).write_text(code.replace(PORT, port), encoding="utf-8")
    terminals: dict[str, Terminal] = {}

    for shown in blocks(page, "console"):
        lines = shown.replace(PORT, port).splitlines()
        if lines[0] == INTERRUPTED:
            here = next(iter(terminals.values()))
        else:
            here = terminals.setdefault(lines[0], Terminal(start_process, tmp_path))
        here.show(lines)

    for terminal in terminals.values():
        terminal.end()
