"""/metrics: what it shows, of one worker and of several, and to whom."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from chatserver.observe import files
from chatserver.observe.metrics import may_see
from chatserver.settings import Settings, network
from tests.chatserver.conftest import Connect
from tests.chatserver.observe.flood import masked, upgraded
from tests.chatserver.observe.scraped import Scraped
from tests.chatserver.test_http import get, upgrade
from tests.chatserver.wire import Rejected
from tests.conftest import StartServer
from tests.faults.deployment import GunicornDeployment
from tests.processes import Processes, ServerProcess, free_port, wait_until
from tests.redis_server import RedisServer, require_redis


def test_everything_that_happens_is_counted(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    server = start_server("--store", f"sqlite:///{tmp_path}/chat.db")
    alice, bob = connect(server.url), connect(server.url)
    for client, name in ((alice, "Alice"), (bob, "Bob")):
        client.join(name)
    alice.say("Alice", "hello")
    bob.wait_for("hello")
    with pytest.raises(Rejected):
        alice.call("sendMessage", "Carol", "I am not here")
    with pytest.raises(Rejected):
        alice.call("made" + "up")
    bob.close()
    upgrade(server.address, Origin="https://evil.example")
    wait_until(lambda: Scraped(server.address)("chat_closes_total", code="1000") == 1)

    now = Scraped(server.address)

    assert now("chat_connections") == now("chat_people") == now("chat_worker_connections") == 1
    assert now("chat_connections_opened_total") == 2
    assert now("chat_messages_total") == now("chat_rooms") == 1
    assert now("chat_deliveries_total") >= 3
    assert now("chat_calls_total", method="join") == 2
    assert now("chat_calls_total", method="sendMessage") == 2
    assert now("chat_failed_calls_total", method="sendMessage", outcome="not_joined") == 1
    assert now("chat_failed_calls_total", method="other", outcome="error") == 1
    assert now("chat_call_seconds_count", method="sendMessage") == 1
    assert now("chat_call_seconds_count", method="join") == 2
    assert now("chat_refusals_total", reason="not_joined") == 1
    assert now("chat_refusals_total", reason="http_403") == 1
    assert now("chat_websocket_bytes_total", direction="in") > 200
    assert now("chat_websocket_bytes_total", direction="out") > 500
    assert now("chat_store_commit_seconds_count") >= 3
    assert now("chat_store_operations_total") >= now("chat_store_commit_seconds_count")
    assert now("chat_store_available") == now("chat_worker_ready") == 1
    assert now("chat_feed_behind_events") == now("chat_outbox_bytes") == 0
    assert now("chat_worker_cpu_seconds", pid=str(server.pid)) > 0.05
    assert now("chat_worker_resident_bytes") > 20e6
    assert now("chat_worker_open_files_limit") > now("chat_worker_open_files") > 5
    assert now("chat_worker_threads") >= 1
    assert now("chat_store_disk_free_bytes") > 0
    wait_until(lambda: Scraped(server.address)("chat_loop_lag_seconds_count") > 1)


def test_of_several_workers_the_sum_is_shown_whatever_becomes_of_one(
    processes: Processes, connect: Connect, tmp_path: Path
) -> None:
    require_redis()
    redis = processes.add(RedisServer(tmp_path))
    deployment = GunicornDeployment(processes, redis.url, 2)
    clients = [connect(deployment.url) for _ in range(8)]
    for number, client in enumerate(clients):
        client.join(f"Alice {number}")

    def joined() -> float:
        return Scraped(deployment.address)("chat_calls_total", method="join")

    wait_until(lambda: joined() == 8)
    wait_until(lambda: Scraped(deployment.address)("chat_worker_ready") == 2)
    now = Scraped(deployment.address)
    assert now("chat_connections") == now("chat_people") == 8
    assert now("chat_redis_memory_bytes") > 0
    assert now("chat_redis_saves") == 1
    gone, stays = deployment.workers()
    its_connections = now("chat_worker_connections", pid=str(gone))
    deployment.kill_worker(gone)

    def left() -> float:
        return Scraped(deployment.address)("chat_connections")

    wait_until(lambda: left() == 8 - its_connections)
    # What the dead one has counted stays.
    assert joined() == 8
    directory = directory_of(stays)
    assert deployment.terminate() == 0
    assert not directory.exists()


def directory_of(pid: int) -> Path:
    """Where a worker writes its figures."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    line = next(line for line in maps.splitlines() if files.PREFIX in line)
    return Path(line.split()[-1]).parent


def test_what_a_killed_server_leaves_behind_goes_with_the_next_start(
    start_server: StartServer,
) -> None:
    server = start_server()
    Scraped(server.address)
    left = directory_of(server.pid)
    server.kill()
    assert left.exists()

    again = start_server()

    assert not left.exists()
    Scraped(again.address)
    mine = directory_of(again.pid)
    again.terminate()
    assert not mine.exists()


NOT_BELIEVED = {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}
BEHIND = {"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "127.0.0.1"}}


@pytest.mark.parametrize(
    ("environ", "settings", "seen"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, {}, True),
        ({"REMOTE_ADDR": "::1"}, {}, True),
        ({"REMOTE_ADDR": "::ffff:127.0.0.1"}, {}, True),
        ({"REMOTE_ADDR": "192.0.2.1"}, {}, False),
        ({"REMOTE_ADDR": ""}, {}, False),
        ({"REMOTE_ADDR": "192.0.2.1"}, {"metrics_from": (network("192.0.2.0/24"),)}, True),
        ({"REMOTE_ADDR": "127.0.0.1", **NOT_BELIEVED}, {}, False),
        ({"REMOTE_ADDR": "192.0.2.1", **BEHIND, **NOT_BELIEVED}, {"trust_proxies": 1}, False),
        ({"REMOTE_ADDR": "127.0.0.1", **BEHIND, **NOT_BELIEVED}, {"trust_proxies": 1}, True),
        ({"REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": "80"}, {"metrics_port": 9000}, False),
        ({"REMOTE_ADDR": "192.0.2.1", "SERVER_PORT": "9000"}, {"metrics_port": 9000}, True),
    ],
)
def test_the_figures_are_for_this_machine_and_for_whom_the_operator_says(
    environ: dict[str, Any], settings: dict[str, Any], seen: bool
) -> None:
    assert may_see(environ, Settings(**settings)) is seen


def test_with_a_port_for_metrics_there_is_nothing_else_there_and_no_metrics_elsewhere(
    start_server: StartServer,
) -> None:
    port = free_port()
    server = start_server("--metrics-port", str(port))

    assert get(server.address, "/metrics")[0] == 403
    assert Scraped(("127.0.0.1", port))("chat_worker_ready") == 1
    assert get(("127.0.0.1", port), "/readyz")[0] == 200
    assert get(("127.0.0.1", port), "/")[0] == 404
    assert upgrade(("127.0.0.1", port))[0] == 404


def test_a_worker_of_gunicorn_has_the_port_for_metrics_too(processes: Processes) -> None:
    port = free_port()
    GunicornDeployment(processes, "memory:", 1, metrics_port=port)

    assert Scraped(("127.0.0.1", port))("chat_worker_ready") == 1


def test_health_is_told_soon_while_clients_ask_as_fast_as_they_can(
    chat_server: ServerProcess,
) -> None:
    call = masked('["push",["pipeline",0,["listUsers"],[]]]')
    with ExitStack() as stack:
        flooding = [stack.enter_context(upgraded(chat_server.address)) for _ in range(8)]
        for client in flooding:
            client.setblocking(False)
        waits: list[float] = []
        while len(waits) < 20:
            for client in flooding:
                with suppress(BlockingIOError):
                    client.send(call * 500)
            began = time.monotonic()
            assert get(chat_server.address, "/readyz")[0] == 200
            waits.append(time.monotonic() - began)

    # Tens of milliseconds; a check that is not answered within seconds has a server restarted.
    assert sorted(waits)[len(waits) // 2] < 0.5
