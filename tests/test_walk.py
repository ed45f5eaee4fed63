"""The ways of `docs/architecture.md` are those that a message takes, in this order."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DEADLINE_SECONDS = 60

WAYS = {
    "message": [
        "Connection._readable",
        "FrameReader.feed",
        "Incoming.receive_all",
        "add_plain_call",
        "ServedCalls.begin",
        "PlainCall.pull",
        "read_member",
        "Parameters.bind",
        "Chat.sendMessage",
        "Stays.send",
        "ChatState.append",
        "Export._resolve",
        "Outgoing.send_resolve",
        "Outbox.append",
        "broadcast_all",
        "Unneeded.push_unneeded",
        "FlushQueue._flush",
    ],
    "join": [
        "Connection._readable",
        "Incoming.import_stub",
        "Parameters.bind",
        "Chat.join",
        "RpcSession.owns",
        "Stays.join",
        "ChatState.claim",
        "Coming._welcome",
        "Payload.dispose",
        "Outgoing.send_resolve",
        "broadcast_all",
        "FlushQueue._flush",
    ],
    "call": [
        "RpcStub.__call__",
        "Outgoing.send_call",
        "WebSocketTransport.send",
        "RpcPromise.result",
        "Import.pull",
        "ThreadRuntime.wait",
        "Import.let_go",
        "Incoming.receive",
        "Import.resolve",
    ],
}


@pytest.mark.parametrize("name", WAYS)
def test_a_way_goes_through_these_functions(name: str) -> None:
    walked = subprocess.run(
        [sys.executable, "-m", "bench.walk", name, "--rounds", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    passed = iter(line.split()[0] for line in walked.stdout.splitlines()[1:])

    assert [station for station in WAYS[name] if station not in passed] == []
