"""The loggers of connections, calls and messages."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from capnweb_sync.observe import redact_wire
from capnweb_sync.observe.logs import MAX_SHOWN
from capnweb_sync.testing import pair
from tests.capnweb_sync.loopback import Loopback
from tests.capnweb_sync.observe.test_observer import Api


@pytest.fixture(autouse=True)
def wire_as_it_is() -> Iterator[None]:
    yield
    redact_wire(None)


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, with what chance decides left out."""
    return [
        re.sub(r"\d+\.\d+ (m?s)\b", r"# \1", f"{record.levelname} {record.getMessage()}")
        for record in log.records
    ]


def test_connections_are_logged_with_why_they_ended_and_how_much_they_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "capnweb_sync.connection")

    both = Loopback(Api())
    both.api.add(1, 2).result()
    both.client.close(3000, "Bye.\x1b[2J")
    both.server.connection_lost(3000, "Bye.\x1b[2J")
    both.pump()

    assert [line for line in lines(caplog) if "served, 0" in line or "opened" in line] == [
        "INFO opened: an unknown peer",
        "INFO opened: an unknown peer",
        "INFO closed: an unknown peer, code 3000, Bye.\\x1b[2J, after # s, 1 calls served, 0 made",
    ]


def test_calls_are_logged_with_method_peer_time_and_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "capnweb_sync.calls")

    with pair(Api) as both:
        both.main.add(1, 2).result()
        both.main.refuse().exception()
        both.settle()

    assert sorted(lines(caplog)) == [
        "DEBUG add for pair://this-process: done after # ms",
        "DEBUG add of pair://this-process: done after # ms",
        "DEBUG refuse for pair://this-process: failed, RpcError('No.') after # ms",
        "DEBUG refuse of pair://this-process: failed, RemoteError('No.') after # ms",
    ]


def test_messages_are_logged_cut_and_without_what_the_application_calls_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    redact_wire(lambda text: text.replace("hunter2", "***"))
    caplog.set_level(logging.DEBUG, "capnweb_sync.wire")

    both = Loopback(lambda text: text)
    both.api("hunter2").result()
    both.api("x" * 2000).result()
    both.pump()

    assert "hunter2" not in caplog.text
    assert 'DEBUG an unknown peer > ["push",["pipeline",0,[],["***"]]]' in lines(caplog)
    assert f"x… ({2000 + 31} characters)" in caplog.text
    assert max(map(len, lines(caplog))) < MAX_SHOWN + 100


def test_what_the_application_cannot_redact_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(text: str) -> str:
        raise ZeroDivisionError

    redact_wire(fail)
    caplog.set_level(logging.DEBUG, "capnweb_sync.wire")

    both = Loopback(lambda text: text)
    assert both.api("hunter2").result() == "hunter2"
    both.pump()

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "hunter2" not in caplog.text
