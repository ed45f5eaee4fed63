"""Node, and the programs that run on it.

Without Node or the npm packages the tests that need them are left out, and one loud line says so;
in CI they fail.
"""

import os
import shutil
import sys
from collections.abc import Generator, Iterator

import pytest

from tests.interop.node import FOLDER, Codec, NodeProgram
from tests.processes import Process, Processes

NOTHING_TESTED = "NOTHING WAS TESTED AGAINST THE REFERENCE IMPLEMENTATION"

#: Why that is so, in this run.
NOT_TESTED = pytest.StashKey[str]()

#: What a server prints once it accepts connections.
READY = r"ready (?P<url>ws://\S+)"


def missing() -> str | None:
    """What keeps the programs in JavaScript from running, as a sentence; None if nothing does."""
    if shutil.which("node") is None:
        return "Node is not installed"
    if not (FOLDER / "node_modules" / "capnweb").is_dir():
        return "the npm packages are missing, run `npm ci` in tests/interop"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without Node, leave out what needs it; in CI, let it fail."""
    reason = missing()
    if reason is None or os.environ.get("CI") == "true":
        return
    left_out = [item for item in items if _needs_node(item)]
    if left_out:
        items[:] = [item for item in items if not _needs_node(item)]
        config.hook.pytest_deselected(items=left_out)
        config.stash[NOT_TESTED] = f"{reason}; {len(left_out)} tests were left out"


def _needs_node(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    # A server may be the parameter of a fixture, which then asks for it by name.
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "node" in item.fixturenames or "reference_server" in parameters


@pytest.fixture(scope="session")
def node() -> str:
    """Where Node is."""
    reason = missing()
    assert reason is None, f"{NOTHING_TESTED}: {reason}"
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


# ---- the table of scenarios, printed at the end

#: What pytest reports of one way to play a scenario, by scenario and column.
OUTCOMES = pytest.StashKey[dict[tuple[str, str], str]]()

CLIENTS = {
    "test_our_client": "ours",
    "test_our_batch": "ours",
    "test_reference_client": "npm",
    "test_reference_batch": "npm",
}

SERVERS = {"our_server": "ours", "our_server_in_threads": "threads", "reference_server": "npm"}

COLUMNS = tuple(f"{client} → {server}" for client in ("ours", "npm") for server in SERVERS.values())


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        parameters = item.callspec.params
        client = CLIENTS.get(item.originalname)
        if client and (call.when == "call" or not report.passed):
            column = f"{client} → {SERVERS[str(parameters['server'])]}"
            item.config.stash[OUTCOMES][str(parameters["scenario"]), column] = report.outcome
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if NOT_TESTED in config.stash:
        line = f"{NOTHING_TESTED}: {config.stash[NOT_TESTED]}"
        terminalreporter.line(line, yellow=True, bold=True)
    outcomes = config.stash[OUTCOMES]
    if not outcomes:
        return
    terminalreporter.section("client → server, through one table of scenarios")
    scenarios = dict.fromkeys(scenario for scenario, _ in outcomes)
    width = max(map(len, scenarios))
    terminalreporter.line(f"{'':{width}}  " + "  ".join(COLUMNS))
    for scenario in scenarios:
        cells = [outcomes.get((scenario, column), "-") for column in COLUMNS]
        line = "  ".join(
            f"{cell:{len(column)}}" for cell, column in zip(cells, COLUMNS, strict=True)
        )
        terminalreporter.line(f"{scenario:{width}}  {line.rstrip()}")
