"""The chat over HTTP batch: for what needs no events, such as a job that runs by the clock."""

import http.client
import json
from operator import itemgetter
from typing import Any

import pytest

from capnweb_sync import RemoteError
from capnweb_sync.client.batch import BatchError, batch
from tests.chatserver.conftest import Connect
from tests.chatserver.test_http import get, upgrade
from tests.chatserver.wire import FUNCTION, Rejected, WireClient, decoded
from tests.conftest import StartServer
from tests.processes import ServerProcess


def address(server: ServerProcess, path: str = "/rpc/batch") -> str:
    return server.http_url + path


@pytest.mark.parametrize("path", ["/rpc/batch", "/rpc/ws"])
def test_history_users_and_counts_come_in_one_request(
    shared_server: ServerProcess, client: WireClient, name: str, path: str
) -> None:
    client.join(name)
    said = client.say(name, "hello")

    with batch(address(shared_server, path)) as chat:
        history, users = chat.getHistory({"limit": 1}), chat.listUsers()
        count = chat.messageCount.result()

    (event,) = history.result()
    assert (event["id"], event["user"], event["text"]) == (said, name, "hello")
    assert name in users.result()
    assert count >= 1


def asked(server: ServerProcess, *calls: list[Any]) -> list[Any]:
    """What a batch of calls, written by hand, is answered: values, and Rejected. Our own client
    passes no callbacks in a batch; others do."""
    messages: list[list[Any]] = []
    for number, (method, *arguments) in enumerate(calls, 1):
        messages += [["push", ["pipeline", 0, [method], arguments]], ["pull", number]]
    body = "\n".join(map(json.dumps, messages))
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    try:
        connection.request("POST", "/rpc/batch", body)
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    answers = sorted(map(json.loads, lines), key=itemgetter(1))
    return [
        decoded(value) if kind == "resolve" else Rejected(value)
        for kind, _, value in answers
        if kind != "release"
    ]


def test_joining_saying_and_leaving_go_in_one_request(
    shared_server: ServerProcess, other: WireClient, name: str
) -> None:
    other.join(f"{name} listening")

    joined, sent, left = asked(
        shared_server,
        ["join", name, FUNCTION],
        ["sendMessage", name, "the backup is done", {"key": "k"}],
        ["leave", name],
    )

    assert joined["username"] == name
    assert sent["id"] > joined["lastId"]
    assert left == {"message": f"Goodbye, {name}!"}
    other.wait_for("the backup is done")


def test_names_are_free_when_the_batch_is_over(
    shared_server: ServerProcess, client: WireClient, name: str
) -> None:
    (joined,) = asked(shared_server, ["join", name, FUNCTION])

    assert joined["username"] == name
    assert name not in client.call("listUsers")
    assert client.join(name)["resume"] != joined["resume"]


def test_a_failed_call_has_its_code(
    shared_server: ServerProcess, client: WireClient, name: str
) -> None:
    client.join(name)

    refused = asked(shared_server, ["join", name, FUNCTION], ["sendMessage", name, "hello"])

    assert [call.code for call in refused] == ["username_taken", "not_joined"]
    assert client.say(name, "still me")


def test_a_batch_has_a_hundred_calls_at_most(shared_server: ServerProcess) -> None:
    with batch(address(shared_server)) as chat:
        calls = [chat.listUsers() for _ in range(101)]

    assert calls[99].result() is not None
    with pytest.raises(RemoteError) as refused:
        calls[100].result()
    assert refused.value.code == "too_many"


def test_a_body_that_is_too_long_is_refused(shared_server: ServerProcess) -> None:
    with pytest.raises(BatchError) as refused, batch(address(shared_server)) as chat:
        chat.sendMessage("Alice", "x" * 300_000)

    assert refused.value.status == 413


def test_what_is_no_batch_is_refused(shared_server: ServerProcess) -> None:
    assert get(shared_server.address, "/rpc/batch")[0] == 405
    assert upgrade(shared_server.address, "/rpc/batch")[0] == 405


def post(server: ServerProcess, origin: str | None) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    try:
        headers = {} if origin is None else {"Origin": origin}
        connection.request("POST", "/rpc/batch", '["push", ["pipeline", 0, ["x"]]]', headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


def test_a_page_of_another_site_may_not_and_one_of_this_site_may(
    shared_server: ServerProcess,
) -> None:
    status, _, body = post(shared_server, "https://evil.example")
    assert status == 403
    assert "--allow-origin" in body

    status, headers, _ = post(shared_server, shared_server.http_url)
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == shared_server.http_url
    assert headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in post(shared_server, None)[1]


def test_a_site_that_is_allowed_may(start_server: StartServer) -> None:
    server = start_server("--allow-origin", "https://chat.example")

    assert post(server, "https://chat.example")[0] == 200
    assert post(server, "https://other.example")[0] == 403


def test_the_first_request_of_a_server_may_be_a_batch(
    chat_server: ServerProcess, connect: Connect
) -> None:
    with batch(address(chat_server)) as chat:
        users = chat.listUsers()

    assert users.result() == []
    assert json.loads(get(chat_server.address, "/healthz")[2])["status"] == "ok"
