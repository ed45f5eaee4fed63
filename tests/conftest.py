"""What every test may use: `--full`, real processes that end with the test, a running server."""

import gc
import signal
from collections.abc import Iterator
from typing import Protocol

import hypothesis
import pytest

from tests.processes import Process, Processes, ServerProcess

pytest_plugins = ["tests.interop.outcomes"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long tests at full length")


def pytest_configure(config: pytest.Config) -> None:
    """End in order when we are told to, so that no process of a test is left behind."""
    config.addinivalue_line("markers", "alone: measures what other tests would disturb")

    def end(*_: object) -> None:
        pytest.exit("told to end by SIGTERM", returncode=128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def pytest_collection_finish() -> None:
    """Keep what all tests have in common, modules above all, out of the collector's way: the many
    tests that collect garbage, to see what is left, spend most of their time on it."""
    gc.collect()
    gc.freeze()


# No deadline for an example, nor for making them: on a busy machine it would say nothing about the
# code. The same examples in each run, so that a failure is the change's, not the day's.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether `--full` was given."""
    return bool(pytestconfig.getoption("--full"))


class StartProcess(Protocol):
    """What the fixture `start_process` is."""

    def __call__(
        self, *command: str, env: dict[str, str] | None = None, ready: str | None = None
    ) -> Process: ...


class StartServer(Protocol):
    """What the fixture `start_server` is."""

    def __call__(self, *options: str, env: dict[str, str] | None = None) -> ServerProcess: ...


@pytest.fixture
def processes() -> Iterator[Processes]:
    """The processes of this test; each is killed with its group when the test is over."""
    with Processes() as mine:
        yield mine


@pytest.fixture
def start_process(processes: Processes) -> StartProcess:
    """Start a command; with `ready`, wait until this pattern is found in a line of its output."""

    def start(
        *command: str, env: dict[str, str] | None = None, ready: str | None = None
    ) -> Process:
        process = processes.add(Process(command, env=env))
        if ready is not None:
            process.wait_for_line(ready)
        return process

    return start


@pytest.fixture
def start_server(processes: Processes) -> StartServer:
    """Start the chat server on a free port with these options, and wait until it is ready."""

    def start(*options: str, env: dict[str, str] | None = None) -> ServerProcess:
        return processes.add(ServerProcess(*options, env=env))

    return start


@pytest.fixture
def chat_server(start_server: StartServer) -> ServerProcess:
    """A chat server of this test's own, with an in-memory store."""
    return start_server()
