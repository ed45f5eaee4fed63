"""Rates over the wire: what a greedy client is told, and that nobody else notices."""

from typing import Any

import pytest

from capnweb_sync import RemoteError
from capnweb_sync.client.batch import BatchError, batch
from chatserver.settings import MIB
from tests.chatserver.conftest import Connect
from tests.chatserver.test_http import FORWARDED, get, upgrade
from tests.chatserver.wire import Rejected, WireClient
from tests.conftest import StartServer
from tests.processes import ServerProcess, wait_until

NOBODY_IS_FREE = ("--unlimited-addresses", "")


def refusal(client: WireClient, method: str, *arguments: Any) -> Rejected:
    """The error that such calls get from some call on, whatever else they get."""
    for _ in range(100):
        rejected = rejection(client, method, *arguments)
        if rejected is not None and rejected.code == "rate_limited":
            return rejected
    raise AssertionError(f"{method} is not limited")


def rejection(client: WireClient, method: str, *arguments: Any) -> Rejected | None:
    """The error that a call gets."""
    try:
        client.call(method, *arguments)
    except Rejected as rejected:
        return rejected
    return None


@pytest.mark.parametrize(
    ("option", "method", "arguments"),
    [
        ("--message-rate", "sendMessage", ["Alice", "hello"]),
        ("--address-message-rate", "sendMessage", ["Alice", "hello"]),
        ("--join-rate", "join", ["Alice", ["export", -1]]),
        ("--address-join-rate", "join", ["Alice", ["export", -1]]),
        ("--call-rate", "listUsers", []),
        ("--address-call-rate", "listUsers", []),
        ("--history-rate", "getHistory", []),
        ("--address-history-rate", "getHistory", []),
    ],
)
def test_what_is_done_too_often_is_refused_with_the_time_to_wait(
    start_server: StartServer, connect: Connect, option: str, method: str, arguments: list[Any]
) -> None:
    alice = connect(start_server(*NOBODY_IS_FREE, option, "0.1:4").url)
    alice.join("Alice")

    refused = refusal(alice, method, *arguments)

    assert 0 < refused.properties["retryAfter"] <= 10
    assert "try again in" in str(refused)


def test_a_greedy_client_costs_another_one_nothing(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server(*NOBODY_IS_FREE, "--message-rate", "0.1:3", "--call-rate", "0.1:9")
    greedy, modest = connect(server.url), connect(server.url)
    greedy.join("Greedy")
    modest.join("Modest")
    refusal(greedy, "sendMessage", "Greedy", "me")
    refusal(greedy, "listUsers")

    modest.say("Modest", "hello")

    greedy.wait_for("hello")


def test_coming_back_does_not_give_a_person_more(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server(*NOBODY_IS_FREE, "--message-rate", "0.1:3")
    first, second = connect(server.url), connect(server.url)
    first.join("Alice")
    refusal(first, "sendMessage", "Alice", "hello")

    second.join("Alice", {"resume": first.resume["Alice"]})

    with pytest.raises(Rejected) as refused:
        second.say("Alice", "hello")
    assert refused.value.code == "rate_limited"


def test_properties_are_calls(start_server: StartServer, connect: Connect) -> None:
    client = connect(start_server(*NOBODY_IS_FREE, "--call-rate", "0.1:3").url)

    for _ in range(3):
        client.get("userCount")

    with pytest.raises(Rejected) as refused:
        client.get("userCount")
    assert refused.value.code == "rate_limited"


def test_new_connections_are_refused_before_the_upgrade(start_server: StartServer) -> None:
    server = start_server(*NOBODY_IS_FREE, "--address-connect-rate", "0.01:2")

    statuses = [upgrade(server.address)[0] for _ in range(2)]
    status, headers, body = upgrade(server.address)

    assert (statuses, status) == ([101, 101], 429)
    assert 0 < int(headers["retry-after"]) <= 100
    assert "try again" in body
    assert get(server.address, "/healthz")[0] == 200


def test_one_address_holds_so_many_connections(start_server: StartServer, connect: Connect) -> None:
    server = start_server(*NOBODY_IS_FREE, "--max-address-connections", "2")
    first, second = connect(server.url), connect(server.url)
    first.join("Alice")
    second.join("Bob")

    assert upgrade(server.address)[0] == 429
    first.close()
    second.wait_for("Alice left the chat")

    connect(server.url).join("Carol")


def test_one_address_keeps_so_much_and_past_that_the_largest_is_sent_away(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server(*NOBODY_IS_FREE, "--max-address-memory", str(64 * MIB))
    small = connect(server.url)
    greedy = [connect(server.url) for _ in range(6)]
    text = "x" * 60_000

    for _ in range(11 * MIB // len(text)):
        for client in greedy:
            client.send(f'["push","{text}"]')

    wait_until(lambda: not all(client.open for client in greedy))
    assert [client.closed() for client in greedy if not client.open] == [1013]
    assert small.get("userCount") == 0


def test_batches_are_limited_and_so_is_what_is_in_them(start_server: StartServer) -> None:
    server = start_server(
        *NOBODY_IS_FREE, "--address-batch-rate", "0.01:2", "--address-call-rate", "0.01:3"
    )
    url = f"{server.http_url}/rpc/batch"
    with batch(url) as chat:
        lists = [chat.listUsers() for _ in range(4)]
        assert [users.result() for users in lists[:3]] == [[], [], []]
        with pytest.raises(RemoteError) as refused:
            lists[3].result()
    assert refused.value.code == "rate_limited"
    with batch(url) as chat, pytest.raises(RemoteError):
        chat.userCount.result()

    with pytest.raises(BatchError, match="429"), batch(url) as chat:
        chat.userCount.result()


def test_loopback_is_free_of_limits_unless_told_otherwise(
    start_server: StartServer, connect: Connect
) -> None:
    client = connect(start_server("--call-rate", "0.1:1").url)

    for _ in range(10):
        client.get("userCount")


def test_the_address_that_counts_is_the_one_that_a_believed_proxy_names(
    start_server: StartServer,
) -> None:
    server = start_server("--trust-proxies", "1", "--address-connect-rate", "0.01:1")

    def status(host: str) -> int:
        return upgrade(server.address, **{**FORWARDED, "X-Forwarded-For": host})[0]

    assert [status("192.0.2.1"), status("192.0.2.1"), status("192.0.2.2")] == [101, 429, 101]


def test_a_proxy_that_is_not_believed_is_warned_of_once(start_server: StartServer) -> None:
    server = start_server()

    for _ in range(3):
        get(server.address, "/", FORWARDED)
    server.terminate()

    assert "\n".join(server.error_lines).count("--trust-proxies 1") == 1


def test_a_proxy_that_is_believed_or_limited_is_no_reason_to_warn(
    start_server: StartServer,
) -> None:
    for options in (("--trust-proxies", "1"), NOBODY_IS_FREE):
        server: ServerProcess = start_server(*options)
        get(server.address, "/", FORWARDED)
        server.terminate()

        assert "--trust-proxies" not in "\n".join(server.error_lines)
