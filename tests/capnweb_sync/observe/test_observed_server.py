"""Observers and loggers over real connections: a gevent server, and clients on threads."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator

import pytest

from capnweb_sync import batch
from capnweb_sync.client.connect import ConnectError, connect
from tests.capnweb_sync.observe.test_observer import Everything
from tests.processes import Process, Processes


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with Processes() as processes:
        server = Process([sys.executable, "-m", "tests.capnweb_sync.observe.observed_server"])
        processes.add(server)
        yield server


def test_both_sides_of_a_connection_see_each_other(server: Process) -> None:
    port = server.wait_for_line("^ready (.*)")[1]
    seen = Everything()

    with connect(f"ws://me:hunter2@127.0.0.1:{port}/rpc?token=secret", observer=seen) as session:
        assert session.main.add(1, 2).result() == 3
        session.main.fail().exception()

    assert seen.told[0] == ("opens", f"ws://127.0.0.1:{port}/rpc")
    assert seen.told[-1] == ("closes", 1000, "", 0, 2)
    server.wait_for_line(r"^opens 127\.0\.0\.1:\d+ False$")
    server.wait_for_line(r"^ends add None$")
    server.wait_for_line(r"^ends fail ValueError\('the secret'\)$")
    server.wait_for_line(r"^closes 1000 2$")


def test_a_batch_is_seen_as_one(server: Process) -> None:
    port = server.wait_for_line("^ready (.*)")[1]
    seen = Everything()

    with batch(f"http://127.0.0.1:{port}/", observer=seen) as api:
        promise = api.add(1, 2)

    assert promise.result() == 3
    assert seen.of("begins", "ends") == [("begins", "add", "out"), ("ends", "add", None)]
    server.wait_for_line(r"^opens 127\.0\.0\.1:\d+ True$")
    server.wait_for_line(r"^closes None 1$")


def test_the_servers_log_says_who_came_and_went_and_whose_call_failed(server: Process) -> None:
    port, before = server.wait_for_line("^ready (.*)")[1], len(server.lines)

    with connect(f"ws://127.0.0.1:{port}/") as session:
        session.main.fail().exception()

    handshake = r"^capnweb_sync\.connection DEBUG handshake: from 127\.0\.0\.1 for '/', .*: 101$"
    server.wait_for_line(handshake, after=before)
    opened = r"^capnweb_sync\.connection INFO opened: (127\.0\.0\.1:\d+)$"
    address = server.wait_for_line(opened, after=before)[1]
    server.wait_for_line(
        rf"^capnweb_sync ERROR A served call failed, fail for {re.escape(address)}; reference"
    )
    server.wait_for_line(
        rf"^capnweb_sync\.connection INFO closed: {re.escape(address)}, code 1000,"
        r" the connection was closed, after \d+\.\d{3} s, 1 calls served, 0 made$"
    )


def test_the_clients_log_has_handshakes_without_secrets(
    server: Process, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.wait_for_line("^ready (.*)")[1]
    caplog.set_level(logging.DEBUG, "capnweb_sync.connection")

    with connect(f"ws://me:hunter2@127.0.0.1:{port}/rpc?token=secret"):
        pass
    with pytest.raises(ConnectError):
        connect("ws://me:hunter2@127.0.0.1:9/rpc?token=secret")

    handshakes = [text for text in caplog.messages if text.startswith("handshake: ")]
    assert len(handshakes) == 2
    assert f"with ws://127.0.0.1:{port}/rpc: 101, after " in handshakes[0]
    assert "hunter2" not in caplog.text
