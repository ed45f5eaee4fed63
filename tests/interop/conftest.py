"""Node, and the programs that run on it.

Without Node or the npm packages the tests that need them are skipped, and one loud line says so; in
CI they fail.
"""

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.interop.node import FOLDER, Codec, NodeProgram
from tests.processes import Process, Processes, not_tested

#: What a server prints once it accepts connections.
READY = r"ready (?P<url>ws://\S+)"


def missing() -> str | None:
    """What keeps the programs in JavaScript from running, as a sentence; None if nothing does."""
    if shutil.which("node") is None:
        return "Node is not installed"
    if not (FOLDER / "node_modules" / "capnweb").is_dir():
        return "the npm packages are missing, run `npm ci` in tests/interop"
    return None


@pytest.fixture(scope="session")
def node() -> str:
    """Where Node is."""
    if reason := missing():
        not_tested(f"NOTHING WAS TESTED AGAINST THE REFERENCE IMPLEMENTATION: {reason}")
    program = shutil.which("node")
    assert program is not None
    return program


@pytest.fixture(scope="session")
def codec(node: str) -> Iterator[Codec]:
    """The reference's encoder and decoder."""
    with Codec(node) as process:
        yield process


@pytest.fixture(scope="session")
def reference_client(node: str) -> Iterator[NodeProgram]:
    """The reference's client, which plays scenarios when asked."""
    with NodeProgram(node, "reference_client.mjs") as program:
        yield program


def serving(*command: str) -> Iterator[str]:
    """Start a server; the WebSocket address that it prints when it is ready."""
    with Processes() as processes:
        yield processes.add(Process(command)).wait_for_line(READY)["url"]


@pytest.fixture(scope="session")
def reference_server(node: str) -> Iterator[str]:
    """The WebSocket address where the reference serves the scenarios."""
    yield from serving(node, str(FOLDER / "reference_server.mjs"))


@pytest.fixture(scope="session")
def our_server() -> Iterator[str]:
    """The WebSocket address where we serve the scenarios."""
    yield from serving(sys.executable, "-m", "tests.interop.scenario_server")


@pytest.fixture(scope="session")
def our_server_in_threads() -> Iterator[str]:
    """The WebSocket address where we serve the scenarios in a WSGI server with threads."""
    yield from serving(sys.executable, "-m", "tests.interop.scenario_server", "threads")


@pytest.fixture(scope="session")
def reference_chat_server(node: str) -> Iterator[str]:
    """The WebSocket address of a small chat server that is written with the official library."""
    yield from serving(node, str(FOLDER / "reference_chat_server.mjs"))


@pytest.fixture(scope="session")
def chat_tables_server() -> Iterator[str]:
    """The WebSocket address of a chat server that also tells the sizes of its tables."""
    yield from serving(sys.executable, "-m", "tests.interop.chat_tables_server")
