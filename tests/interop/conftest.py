"""Node, and the programs that run on it.

Without Node or the npm packages these tests are skipped, and say so; in CI they fail.
"""

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from typing import NoReturn

import pytest

from tests.interop.node import FOLDER, Codec, NodeProgram
from tests.processes import Process, Processes

#: What a server prints once it accepts connections.
READY = r"ready (?P<url>ws://\S+)"


@pytest.fixture(scope="session")
def node() -> str:
    """Where Node is."""
    program = shutil.which("node")
    if program is None:
        _unavailable("node is not installed")
    if not (FOLDER / "node_modules" / "capnweb").is_dir():
        _unavailable("the npm packages are missing: run `npm ci` in tests/interop")
    return program


def _unavailable(reason: str) -> NoReturn:
    """Skip, loudly; in CI, fail."""
    sentence = f"NOTHING WAS TESTED AGAINST THE REFERENCE IMPLEMENTATION: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


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
def chat_tables_server() -> Iterator[str]:
    """The WebSocket address of a chat server that also tells the sizes of its tables."""
    yield from serving(sys.executable, "-m", "tests.interop.chat_tables_server")


# ---- the table of scenarios, printed at the end

#: What pytest reports of one way to play a scenario, by scenario and column.
OUTCOMES = pytest.StashKey[dict[tuple[str, str], str]]()

COLUMNS = {
    ("test_our_client", "our_server"): "ours → ours",
    ("test_our_client", "reference_server"): "ours → npm",
    ("test_reference_client", "our_server"): "npm → ours",
    ("test_reference_client", "reference_server"): "npm → npm",
}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        parameters = item.callspec.params
        column = COLUMNS.get((item.originalname, str(parameters.get("server"))))
        if column and (call.when == "call" or not report.passed):
            item.config.stash[OUTCOMES][str(parameters["scenario"]), column] = report.outcome
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    outcomes = config.stash[OUTCOMES]
    if not outcomes:
        return
    terminalreporter.section("client → server, through one table of scenarios")
    scenarios = dict.fromkeys(scenario for scenario, _ in outcomes)
    width = max(map(len, scenarios))
    terminalreporter.line(f"{'':{width}}  " + "  ".join(COLUMNS.values()))
    for scenario in scenarios:
        cells = [outcomes.get((scenario, column), "-") for column in COLUMNS.values()]
        line = "  ".join(f"{cell:11}" for cell in cells)
        terminalreporter.line(f"{scenario:{width}}  {line.rstrip()}")
