"""Each line of the table in docs/operations.md is produced by what the table says of it."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.sync.client import connect as connect_websocket

from chatserver.tokens import issue
from tests.certificates import make_certificate
from tests.chatserver.conftest import Connect
from tests.chatserver.guests import SECRET, Guest
from tests.chatserver.test_http import get, upgrade
from tests.chatserver.wire import Rejected
from tests.conftest import StartProcess, StartServer
from tests.processes import DEADLINE, REPOSITORY, Process, Processes, free_port, wait_until
from tests.redis_server import RedisServer, require_redis

INFO = ("--log-level", "INFO")

TEXT = "nobody else is to read this"


class Line(NamedTuple):
    """A row of the table, or one of several messages of a row."""

    level: str
    logger: str
    message: str

    @property
    def pattern(self) -> str:
        """What it is found by."""
        words = ".*".join(map(re.escape, self.message.strip(" …").split(" … ")))
        return rf"^\S+ {self.level} \d+ {re.escape(self.logger)}: .*{words}"


def table() -> list[Line]:
    """What the page promises. The last row is `FloodFilter`'s, which has tests of its own."""
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    rows = page.partition("| level | logger | message | when |\n|---|---|---|---|\n")[2]
    lines = []
    for row in rows.partition("\n\n")[0].splitlines()[:-1]:
        level, logger, messages, _ = (cell.strip(" `") for cell in row.strip("|").split("|"))
        lines += [Line(level, logger, message) for message in messages.split(", ")]
    return lines


class Operator:
    """Who starts servers and has things happen to them.

    Attributes:
        directory: of the test's own.
        server: starts the chat server with an in-memory store, unless the options say otherwise.
        process: starts any command.
        processes: kills what it is given when the test is over.
        connect: connects a client.
    """

    def __init__(
        self,
        directory: Path,
        server: StartServer,
        process: StartProcess,
        processes: Processes,
        connect: Connect,
    ) -> None:
        self.directory = directory
        self.server = server
        self.process = process
        self.processes = processes
        self.connect = connect


def told(process: Process, pattern: str) -> str:
    """Wait for a line; the whole of it."""
    return process.wait_for_line(pattern, stderr=True).string


def a_visit(operator: Operator) -> list[str]:
    server = operator.server(*INFO)
    server.signal(signal.SIGURG)
    told(server, "The level was changed log_level=DEBUG")
    alice = operator.connect(server.url)
    alice.join("Alice")
    alice.say("Alice", TEXT)
    alice.call("leave", "Alice")
    alice.join("Alice")
    person = alice.push("login", None, {"name": "Person"})
    alice.send(f'["push",["pipeline",{person},["open"],[{{"title":"{TEXT}"}}]]]')
    told(server, "Opened a room person=Person")
    alice.lose()
    lost = told(server, "Closed .*code=1006")
    again = operator.connect(server.url)
    again.join("Alice", {"resume": alice.resume["Alice"]})
    again.close(1000, "")
    told(server, "Closed .*person=Alice code=1000 by=client")
    told(server, r"DEBUG \d+ capnweb_sync.calls: sendMessage for 127.0.0.1")
    server.signal(signal.SIGURG)
    told(server, "The level was changed log_level=INFO")
    server.terminate()

    assert "address=127.0.0.1 people=Alice,Person code=1006 reason=" in lost
    assert re.search(r"seconds=\d+\.\d+ calls=6 told=\d+$", lost)
    assert TEXT not in server.output
    assert alice.resume["Alice"] not in server.output
    return server.error_lines


def powers_that_are_used(operator: Operator) -> list[str]:
    server = operator.server(*INFO, env={"CHAT_SECRET": SECRET})
    eve, ann = Guest(server.url, "Eve"), Guest(server.url, None, token=issue("Ann", SECRET))
    root = Guest(server.url, None, token=issue("Root", SECRET, role="admin"))
    ann.enter("attic")
    said = eve.enter("lobby").say(TEXT).result()["id"]
    moderator, admin = root.person.moderate("lobby"), root.person.administer()
    moderator.remove(said, TEXT).result()
    muted = moderator.mute("Eve", 60, TEXT).result()
    moderator.sanctions().result()
    moderator.lift(muted).result()
    moderator.kick("Eve", TEXT).result()
    moderator.ban("Eve", None, TEXT).result()
    for look in (admin.people, admin.connections, admin.rooms, admin.statistics):
        look().result()
    admin.announce(TEXT).result()
    list(admin.export("lobby").result())
    admin.ban({"address": "192.0.2.1"}, 60, TEXT).result()
    admin.disconnect("Eve", TEXT).result()
    admin.closeRoom("attic").result()
    admin.revoke("Ann").result()
    admin.erase("Ann").result()

    told(server, "Erased")
    told(server, "Closed .*person=Eve code=4004 by=server")
    told(server, "Closed .*person=Ann code=4003 by=server")
    for somebody in (eve, ann, root):
        somebody.close()

    assert any("Muted by=Root person=Eve seconds=60" in line for line in server.error_lines)
    assert TEXT not in server.output
    return server.error_lines


def a_client_that_reads_nothing(operator: Operator) -> list[str]:
    server = operator.server("--max-outbox", "65536")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(server.address)
        with connect_websocket(server.url, sock=slow, max_queue=1, close_timeout=0) as deaf:
            deaf.send('["push",["pipeline",0,["join"],["Deaf",["export",-1]]]]')
            bob = operator.connect(server.url)
            wait_until(lambda: bob.call("listUsers") == ["Deaf"])
            bob.join("Bob")
            while not server.error_lines:
                bob.say("Bob", "x" * 4000)

    line = told(server, "Closed .*person=Deaf code=1013 by=server")
    assert int(line.rpartition("waited_bytes=")[2]) > 60_000
    return server.error_lines


def more_than_the_rates_allow(operator: Operator) -> list[str]:
    rates = ("--address-connect-rate", "0.1:2", "--message-rate", "0.1:1")
    server = operator.server(*INFO, "--unlimited-addresses", "", *rates)
    alice = operator.connect(server.url)
    alice.join("Alice")
    alice.say("Alice", TEXT)
    with pytest.raises(Rejected):
        alice.say("Alice", TEXT)
    told(server, r"Limited peer=127.0.0.1:\d+ method=sendMessage retry_after=")
    wait_until(lambda: upgrade(server.address)[0] == 429)
    told(server, "Refused")
    return server.error_lines


def a_certificate_that_is_replaced_by_halves(operator: Operator) -> list[str]:
    shown = make_certificate(operator.directory / "shown")
    next_one = make_certificate(operator.directory / "next")
    files = "--tls-certificate", str(shown.certificate), "--tls-key", str(shown.key)
    server = operator.server(*INFO, *files)
    with socket.create_connection(server.address, timeout=DEADLINE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        port = plain.getsockname()[1]
        told(server, rf"No TLS with 127\.0\.0\.1:{port}: ")
    shown.certificate.write_bytes(next_one.certificate.read_bytes())
    server.signal(signal.SIGHUP)
    told(server, "The certificate before is shown")
    shown.replace(next_one)
    server.signal(signal.SIGHUP)
    told(server, "was replaced")
    return server.error_lines


def a_disk_that_cannot_be_written_to(operator: Operator) -> list[str]:
    path = operator.directory / "chat.db"
    server = operator.server("--store", f"sqlite:///{path}")
    alice = operator.connect(server.url)
    alice.join("Alice")
    with closing(sqlite3.connect(path, isolation_level=None)) as other_program:
        other_program.execute("BEGIN IMMEDIATE")
        with pytest.raises(Rejected):
            alice.say("Alice", "never")
    told(server, "The store answers again")
    with closing(sqlite3.connect(path, isolation_level=None)) as other_program:
        other_program.execute("DROP TABLE event")
        with pytest.raises(Rejected):
            alice.call("getHistory")
    told(server, "The store cannot be read")
    return server.error_lines


def two_processes_on_one_file(operator: Operator) -> list[str]:
    store = ("--store", f"sqlite:///{operator.directory}/chat.db")
    operator.server(*store)
    command = (sys.executable, "-m", "chatserver", "--port", str(free_port()), *store)
    second = operator.process(*command)
    told(second, "Another process")
    return second.error_lines


def a_redis_that_is_slow_forgets_and_dies(operator: Operator) -> list[str]:
    require_redis()
    redis = operator.processes.add(RedisServer(operator.directory))
    server = operator.server("--store", f"{redis.url}?timeout=2")
    with socket.create_connection(("127.0.0.1", redis.port), timeout=DEADLINE) as cli:
        cli.sendall(b"CLIENT PAUSE 1500\r\n")
        told(server, "The store is slow")
        cli.sendall(b"FLUSHALL\r\n")
        told(server, "The log began anew")
    redis.kill()
    told(server, "The log cannot be followed")
    return server.error_lines


TWO_BUGS = """
from gevent import monkey; monkey.patch_all()
from chatserver.__main__ import main
from chatserver.capabilities.chat import Chat
from chatserver.rooms.feed import Feed

def broken(self):
    raise KeyError("a bug")

follow = Feed.follow

failures = [KeyError("another bug")]

def broken_once(self):
    if failures:
        raise failures.pop()
    follow(self)

Chat.listUsers = broken
Feed.follow = broken_once
main()
"""


def two_bugs(operator: Operator) -> list[str]:
    port = free_port()
    options = ("--port", str(port), "--store", "memory:", "--no-access-log")
    server = operator.process(sys.executable, "-c", TWO_BUGS, *options, ready="In a browser")
    with pytest.raises(Rejected) as refused:
        operator.connect(f"ws://127.0.0.1:{port}/rpc/ws").call("listUsers")
    told(server, refused.value.properties["reference"])
    told(server, "^  KeyError: 'a bug'")
    operator.connect(f"ws://127.0.0.1:{port}/rpc/ws").join("Alice")
    told(server, "goes on")
    return server.error_lines


def a_proxy_that_is_not_believed(operator: Operator) -> list[str]:
    server = operator.server()
    get(server.address, "/", {"X-Forwarded-For": "192.0.2.1"})
    told(server, "A proxy")
    return server.error_lines


def an_output_that_is_closed(operator: Operator) -> list[str]:
    command = f"exec {sys.executable} -m chatserver --port {free_port()} --store memory: >&-"
    server = operator.process("sh", "-c", command)
    told(server, "Standard output")
    return server.error_lines


def a_log_that_is_not_read_for_a_while(operator: Operator) -> list[str]:
    port = free_port()
    command = [sys.executable, "-m", "chatserver", "--port", str(port), "--store", "memory:"]
    requests = 2000
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        fcntl.fcntl(server.stderr, fcntl.F_SETPIPE_SZ, 4096)
        server.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
            answers = b""
            while answers.count(b"HTTP/1.1 200 OK") < requests:
                answers += client.recv(65536)
        server.terminate()
        lines = server.stderr.read().splitlines()
        assert server.wait() == 0

    left_out = next(int(line.split()[4]) for line in lines if "were left out" in line)
    assert sum("Request" in line for line in lines) + left_out >= requests
    return lines


SCENARIOS: list[Callable[[Operator], list[str]]] = [
    a_visit,
    powers_that_are_used,
    a_client_that_reads_nothing,
    more_than_the_rates_allow,
    a_certificate_that_is_replaced_by_halves,
    a_disk_that_cannot_be_written_to,
    two_processes_on_one_file,
    a_redis_that_is_slow_forgets_and_dies,
    two_bugs,
    a_proxy_that_is_not_believed,
    an_output_that_is_closed,
    a_log_that_is_not_read_for_a_while,
]


def test_what_happens_is_logged_as_the_page_says_and_every_line_of_it_is_produced(
    tmp_path: Path,
    start_server: StartServer,
    start_process: StartProcess,
    processes: Processes,
    connect: Connect,
) -> None:
    found: set[Line] = set()
    for scenario in SCENARIOS:
        folder = tmp_path / scenario.__name__
        folder.mkdir()
        operator = Operator(folder, start_server, start_process, processes, connect)

        lines = scenario(operator)

        produced = {
            line for line in table() if any(re.search(line.pattern, text) for text in lines)
        }
        assert produced, scenario.__name__
        found |= produced

    assert [line for line in table() if line not in found] == []
