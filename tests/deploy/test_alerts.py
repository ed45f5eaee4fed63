"""Each alert of deploy/alerts.yml fires when what it warns of happens to a real server, and none
does before.

Prometheus itself judges (`promtool test rules`), on what the server shows at /metrics before and
after: as if an hour had been like before, and then a quarter of an hour had gone on like that.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from tests.chatserver.conftest import connect  # noqa: F401 - a fixture
from tests.chatserver.observe.flood import masked, upgraded
from tests.chatserver.observe.scraped import Scraped
from tests.chatserver.wire import Rejected, WireClient
from tests.deploy.test_deploy import accepted, tool
from tests.processes import (
    DEADLINE,
    REPOSITORY,
    Process,
    Processes,
    ServerProcess,
    free_port,
    wait_until,
)
from tests.redis_server import RedisServer, require_redis

ALERTS = REPOSITORY / "deploy" / "alerts.yml"

INTERVAL_SECONDS = 60
BEFORE, AFTER = 70, 15
"""How many intervals are as the first look was, and how many go on as the second one."""

GOES_ON = ("_total", "_bucket", "_sum", "_count", "_cpu_seconds")
"""Names of figures that only grow, and go on to."""

MIB = 1024 * 1024

Look = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Watch:
    """A server that is looked at before and after something happens to it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        wait_until(lambda: Scraped(address)("chat_worker_open_files"))
        self.before = Scraped(address).values
        self.began = time.monotonic()
        self.after: Look = {}
        self.seconds = 1.0

    def look(self, *, up: bool = True) -> None:
        """The second look."""
        self.after = Scraped(self.address).values if up else {}
        self.seconds = time.monotonic() - self.began

    def wait(self, condition: Callable[[Scraped], object]) -> None:
        """Until the server shows it."""
        wait_until(lambda: condition(Scraped(self.address)))

    def series(self) -> Iterator[dict[str, str]]:
        """What Prometheus would have stored."""
        yield {"series": 'up{job="chat"}', "values": f"1x{BEFORE} {bool(self.after):d}x{AFTER}"}
        for (name, labels), first in self.before.items():
            shown = ",".join(f'{label}="{value}"' for label, value in labels)
            second = self.after.get((name, labels))
            if second is None:
                after = f"_x{AFTER}"
            elif name.endswith(GOES_ON):
                growth = (second - first) / self.seconds * INTERVAL_SECONDS
                after = f"{first + growth}+{growth}x{AFTER}"
            else:
                after = f"{second}x{AFTER}"
            yield {"series": f"{name}{{{shown}}}", "values": f"{first}x{BEFORE} {after}"}

    def firing(self, tmp_path: Path, promtool: str) -> set[str]:
        """The alerts that fire at the end, where none does before."""
        asked = [{"expr": f"count(ALERTS{{{FIRING}}}) or vector(0)", "eval_time": f"{BEFORE}m"}]
        asked += [
            {"expr": f'count(ALERTS{{{FIRING},alertname="{name}"}}) > bool 0 or vector(0)',
             "eval_time": f"{BEFORE + AFTER}m"}
            for name in alerts()
        ]  # fmt: skip
        for query in asked:
            query["exp_samples"] = [{"labels": "{}", "value": 0}]  # type: ignore[assignment]
        test = {
            "rule_files": [str(ALERTS)],
            "evaluation_interval": "15s",
            "tests": [
                {
                    "interval": f"{INTERVAL_SECONDS}s",
                    "input_series": list(self.series()),
                    "promql_expr_test": asked,
                }
            ],
        }
        file = tmp_path / "alerts_test.yml"
        # JSON is YAML, and needs no package for it.
        file.write_text(json.dumps(test))
        said = subprocess.run(
            [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        complaints = said.stdout + said.stderr
        assert "error" not in complaints.lower().replace("chaterrors", ""), complaints
        wrong = re.findall(r'expr: "(.+)", time', complaints)
        assert not [expr for expr in wrong if "alertname" not in expr], complaints
        return {re.findall(r'alertname=\\?"(\w+)', expr)[0] for expr in wrong}


FIRING = 'alertstate="firing"'


def alerts() -> list[str]:
    """The names of all alerts."""
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


class Operator:
    """Starts servers, and connects clients to them."""

    def __init__(self, directory: Path, processes: Processes, stack: ExitStack) -> None:
        self.directory = directory
        self.processes = processes
        self._stack = stack

    def server(self, *options: str, **env: str) -> ServerProcess:
        """A server with an in-memory store, unless the options say otherwise."""
        return self.processes.add(ServerProcess(*options, env=env))

    def client(self, server: ServerProcess | str) -> WireClient:
        """A client, closed when the test is over."""
        client = WireClient(server if isinstance(server, str) else server.url)
        self._stack.callback(client.close)
        return client

    def keep(self, client: socket.socket) -> socket.socket:
        """Close it when the test is over."""
        return self._stack.enter_context(client)

    def redis(self) -> RedisServer:
        """A Redis that keeps nothing."""
        require_redis()
        return self.processes.add(RedisServer(self.directory))


def command(redis: RedisServer, *words: str) -> str:
    """What Redis answers."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=20) as cli:
        cli.sendall(" ".join(words).encode() + b"\r\n")
        return cli.recv(4096).decode()


def a_server_that_is_killed(operator: Operator) -> Watch:
    server = operator.server()
    watch = Watch(server.address)
    server.kill()
    watch.look(up=False)
    return watch


def a_crowd(operator: Operator) -> Watch:
    """As many as there may be, who ask for more than they may, and some who say nothing."""
    server = operator.server(
        *("--max-connections", "10", "--unlimited-addresses", "", "--call-rate", "1:1")
    )
    watch = Watch(server.address)
    for _ in range(150):
        operator.keep(socket.create_connection(server.address, timeout=DEADLINE))
    for client in [operator.client(server) for _ in range(10)]:
        for _ in range(10):
            client.push("listUsers")
    watch.wait(lambda now: now("chat_refusals_total", reason="rate_limited") >= 80)
    watch.wait(lambda now: now("chat_worker_open_files") > 160)
    few = int(Scraped(server.address)("chat_worker_open_files")) + 10
    _, most = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, most))
    watch.wait(lambda now: now("chat_worker_open_files_limit") == few)
    watch.look()
    return watch


def a_stop(operator: Operator) -> Watch:
    """The machine has no time for the server, for a moment."""
    server = operator.server()
    watch = Watch(server.address)
    server.signal(signal.SIGSTOP)
    time.sleep(0.5)  # which is what is to be noticed
    server.signal(signal.SIGCONT)
    watch.wait(lambda now: now("chat_loop_lag_seconds_bucket", le="+Inf")
               > now("chat_loop_lag_seconds_bucket", le="0.25"))  # fmt: skip
    watch.look()
    return watch


def a_flood(operator: Operator) -> Watch:
    """Clients that ask as fast as they can."""
    server = operator.server()
    watch = Watch(server.address)
    call = masked('["push",["pipeline",0,["listUsers"],[]]]')
    sockets = [operator.keep(upgraded(server.address)) for _ in range(4)]
    waited = waiting_seconds(server.pid)
    watch.began = began = time.monotonic()
    watch.before = Scraped(server.address).values
    while time.monotonic() < began + 1:
        for client in sockets:
            client.sendall(call * 500)
    watch.look()
    # The machine's other load is not the server's.
    watch.seconds -= waiting_seconds(server.pid) - waited
    return watch


def waiting_seconds(pid: int) -> float:
    """How long a process was ready to run and did not (the kernel's schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def a_redis_in_trouble(operator: Operator) -> Watch:
    """It is slow, it cannot save, and it is about to be full."""
    redis = operator.redis()
    server = operator.server("--store", f"{redis.url}?timeout=5")
    watch = Watch(server.address)
    command(redis, "CLIENT", "PAUSE", "1500")
    watch.wait(lambda now: now("chat_store_commit_seconds_bucket", le="+Inf")
               > now("chat_store_commit_seconds_bucket", le="1.0"))  # fmt: skip
    used = int(Scraped(server.address)("chat_redis_memory_bytes"))
    command(redis, "CONFIG", "SET", "maxmemory", str(used * 11 // 10))
    shutil.rmtree(operator.directory)
    command(redis, "BGSAVE")
    watch.wait(lambda now: not now("chat_redis_saves"))
    watch.wait(lambda now: now("chat_redis_memory_limit_bytes"))
    watch.look()
    return watch


def a_redis_that_is_away(operator: Operator) -> Watch:
    redis = operator.redis()
    server = operator.server("--store", redis.url)
    watch = Watch(server.address)
    redis.kill()
    watch.wait(lambda now: not now("chat_store_available"))
    watch.look()
    return watch


STUCK = """
from gevent import monkey; monkey.patch_all()
import gevent
from chatserver.__main__ import main
from chatserver.capabilities.chat import Chat
from chatserver.rooms.feed import Feed

def broken(self):
    raise KeyError("a bug")

Chat.listUsers = broken
Feed._tell_all = lambda self, events: gevent.sleep(3600)
main()
"""


def bugs(operator: Operator) -> Watch:
    """A method that raises, and a feed that is stuck."""
    port = free_port()
    options = ("--port", str(port), "--store", "memory:", "--message-rate", "off")
    process = operator.processes.add(Process([sys.executable, "-c", STUCK, *options]))
    process.wait_for_line("In a browser")
    watch = Watch(("127.0.0.1", port))
    alice = operator.client(f"ws://127.0.0.1:{port}/rpc/ws")
    with pytest.raises(Rejected):
        alice.call("listUsers")
    alice.join("Alice")
    for _ in range(11):
        for number in [alice.push("sendMessage", "Alice", "hello") for _ in range(100)]:
            alice.answer(number)
    watch.look()
    return watch


def clients_that_take_and_do_not_give_back(operator: Operator) -> Watch:
    """Those who release nothing, and one who reads nothing."""
    store = f"sqlite:///{operator.directory}/chat.db"
    limits = ("--max-memory", str(100 * MIB), "--max-outbox", str(2 * MIB))
    server = operator.server("--store", store, *limits)
    keepers = [operator.client(server) for _ in range(10)]
    talker = keepers[0]
    talker.join("Talker")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(server.address)
        with connect_websocket(server.url, sock=slow, max_queue=1, close_timeout=0) as deaf:
            deaf.send('["push",["pipeline",0,["join"],["Deaf",["export",-1]]]]')
            wait_until(lambda: len(talker.call("listUsers")) == 2)
            watch = Watch(server.address)
            while not Scraped(server.address)("chat_closes_total", code="1013"):
                for number in [
                    talker.push("sendMessage", "Talker", "\u20ac" * 4000) for _ in range(50)
                ]:
                    talker.answer(number)
    while Scraped(server.address)("chat_worker_memory_held_bytes") < 84 * MIB:
        for number, keeper in [(keeper.push("getHistory"), keeper) for keeper in keepers]:
            keeper.answer(number)
    watch.look()
    return watch


def a_small_disk(operator: Operator) -> Watch:
    port, disk = free_port(), operator.directory
    mount = f"mount -t tmpfs -o size=64m tmpfs {disk}"
    if subprocess.run(["unshare", "-Urm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("no file system can be mounted here: ChatDiskAlmostFull is not tested")
    server = f"{sys.executable} -m chatserver --port {port} --store sqlite:///{disk}/chat.db"
    process = Process(["unshare", "-Urm", "sh", "-c", f"{mount} && exec {server}"])
    operator.processes.add(process).wait_for_line("In a browser")
    watch = Watch(("127.0.0.1", port))
    watch.wait(lambda now: now("chat_store_disk_free_bytes"))
    watch.look()
    # Until then it had room.
    watch.before = {
        key: 1e12 if key[0] == "chat_store_disk_free_bytes" else value
        for key, value in watch.after.items()
    }
    return watch


CAUSES: dict[Callable[[Operator], Watch], set[str]] = {
    a_server_that_is_killed: {"ChatDown"},
    a_crowd: {"ChatAlmostFull", "ChatNotReady", "ChatRefusesMany", "ChatAlmostOutOfFiles"},
    a_flood: {"ChatBusy"},
    a_stop: {"ChatLoopLags"},
    a_redis_in_trouble: {"ChatStoreSlow", "ChatRedisDoesNotSave", "ChatRedisAlmostFull"},
    a_redis_that_is_away: {"ChatStoreFails"},
    bugs: {"ChatErrors", "ChatFeedBehind"},
    clients_that_take_and_do_not_give_back: {
        "ChatSlowReaders",
        "ChatMemoryGrows",
        "ChatMemoryAlmostFull",
    },
    a_small_disk: {"ChatDiskAlmostFull"},
}


@pytest.fixture
def promtool() -> str:
    """Prometheus's own judge."""
    beside_python = str(Path(sys.executable).parent)
    return tool("promtool", f"{os.environ.get('PATH', '')}:{beside_python}")


@pytest.fixture
def operator(tmp_path: Path, processes: Processes) -> Iterator[Operator]:
    directory = tmp_path / "data"
    directory.mkdir()
    with ExitStack() as stack:
        yield Operator(directory, processes, stack)


@pytest.mark.parametrize("cause", CAUSES)
def test_an_alert_fires_when_what_it_warns_of_happens(
    cause: Callable[[Operator], Watch], operator: Operator, tmp_path: Path, promtool: str
) -> None:
    watch = cause(operator)

    assert watch.firing(tmp_path, promtool) >= CAUSES[cause]


def test_each_alert_has_a_test_that_causes_it() -> None:
    assert sorted(set().union(*CAUSES.values())) == sorted(alerts())


def test_prometheus_accepts_the_alerts(promtool: str) -> None:
    accepted(promtool, "check", "rules", str(ALERTS))


def test_the_alerts_name_only_figures_that_there_are() -> None:
    known = (REPOSITORY / "chatserver" / "observe" / "families.py").read_text()
    used = set(re.findall(r"\bchat_\w+", ALERTS.read_text()))
    suffixes = r"_(?:total|bucket|sum|count)$"

    assert [name for name in used if f'"{re.sub(suffixes, "", name)}"' not in known] == []
