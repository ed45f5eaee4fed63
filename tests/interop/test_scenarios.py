"""The same conversations four ways: our client and the reference's, our server and the reference's.

After each, the tables of both sides are as they were. The results are printed as one table of four
columns at the end of the run.
"""

import pytest

from capnweb_sync.client import connect
from tests.interop.node import NodeProgram
from tests.interop.scenario_api import ClientMain
from tests.interop.scenarios import SCENARIOS
from tests.processes import wait_until

servers = pytest.mark.parametrize("server", ["our_server", "reference_server"], indirect=True)
scenarios = pytest.mark.parametrize("scenario", SCENARIOS)


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
