"""The same conversations six ways: our client and the reference's; our server, under gevent and in
threads, and the reference's.

Most are over a WebSocket, some in an HTTP batch.

After each, the tables of both sides are as they were. The results are printed as one table of six
columns at the end of the run.
"""

import pytest

from capnweb_sync import batch, connect
from tests.interop.node import NodeProgram
from tests.interop.scenario_api import ClientMain
from tests.interop.scenarios import BATCHES, SCENARIOS
from tests.processes import wait_until

servers = pytest.mark.parametrize(
    "server", ["our_server", "our_server_in_threads", "reference_server"], indirect=True
)
scenarios = pytest.mark.parametrize("scenario", SCENARIOS)
batches = pytest.mark.parametrize("scenario", BATCHES)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> str:
    """The WebSocket address of one of the two servers."""
    url: str = request.getfixturevalue(request.param)
    return url


@servers
@scenarios
def test_our_client(server: str, scenario: str) -> None:
    with connect(server, ClientMain()) as session:

        def sizes() -> list[dict[str, int]]:
            return [session.stats(), session.main.stats().result()]

        before = sizes()

        observed = SCENARIOS[scenario].play(session.main)

        assert observed == SCENARIOS[scenario].expected
        wait_until(lambda: sizes() == before, message="the tables are as they were")


@servers
@scenarios
def test_reference_client(reference_client: NodeProgram, server: str, scenario: str) -> None:
    result = reference_client.ask({"url": server, "scenario": scenario})

    assert "error" not in result, result["error"]
    assert result["observed"] == SCENARIOS[scenario].expected
    assert result["after"] == result["before"]


def batch_address(websocket: str) -> str:
    """Where a server takes batches, of whose WebSocket the address is given."""
    return websocket.replace("ws://", "http://").replace("/rpc/ws", "/rpc/batch")


@servers
@batches
def test_our_batch(server: str, scenario: str) -> None:
    with batch(batch_address(server)) as main:
        assert BATCHES[scenario].play(main) == BATCHES[scenario].expected


@servers
@batches
def test_reference_batch(reference_client: NodeProgram, server: str, scenario: str) -> None:
    result = reference_client.ask({"url": batch_address(server), "scenario": scenario})

    assert result == {"observed": BATCHES[scenario].expected}
