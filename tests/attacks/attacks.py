"""Each attack as a program: `python -m tests.attacks.attacks NAME URL SECONDS SCALE`.

It prints one line at its end: the bytes that it sent, and what became of it. `SCALE` (0 to 1)
shrinks the number of connections for short runs. No attacker logs in with more than a free name.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from tests.attacks.socket_client import (
    PING,
    PONG,
    RECEIVE_BYTES,
    Refused,
    SocketClient,
    address_of,
    call,
    frame,
    message,
    open_tcp,
)

LEAST_IMPORTANT: Final = 19


class Attack:
    """What an attack may use, and what it tells afterwards."""

    def __init__(self, url: str, seconds: float, scale: float) -> None:
        self.url = url
        self.seconds = seconds
        self.until = time.monotonic() + seconds
        self.scale = scale
        self.sent = 0
        self.fates: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() >= self.until

    def many(self, full: int) -> int:
        """How many connections this run makes of what the full one makes."""
        return max(1, round(full * self.scale))

    def note(self, sent: int, fate: str) -> None:
        """Count what one connection did and what became of it."""
        with self._lock:
            self.sent += sent
            self.fates[fate] += 1

    def client(self) -> SocketClient:
        """A new connection, whose socket gives up with the attack."""
        return SocketClient(self.url, timeout=max(0.1, self.until - time.monotonic()))

    def wait(self) -> None:
        """Hold on until time is up."""
        time.sleep(max(0.0, self.until - time.monotonic()))

    def each(self, count: int, program: Callable[[SocketClient, int], None]) -> None:
        """Run `program` on connections of its own, side by side."""

        def run(number: int) -> None:
            try:
                client = self.client()
            except (OSError, Refused) as error:
                self.note(0, f"not let in: {error}")
                return
            fate = "held out"
            try:
                program(client, number)
            except TimeoutError:
                fate = "held back"
            except (OSError, Refused) as error:
                fate = f"thrown out: {type(error).__name__}"
            finally:
                self.note(client.sent, fate)
                client.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def in_background(client: SocketClient, take: Callable[[SocketClient], None]) -> None:
    """Read in a thread, so that writing never waits for reading."""

    def run() -> None:
        with contextlib.suppress(OSError, ValueError, Refused):
            take(client)

    threading.Thread(target=run, daemon=True).start()


def read_all(client: SocketClient) -> None:
    """Take whatever comes."""
    for opcode, payload in client.frames():
        if opcode == PING:
            client.send(frame(payload, PONG))


# ---- one message that is much work


def maps(attack: Attack) -> None:
    """A long list, and many maps over it in one write."""
    zeros = message("push", [[0] * 30_000])
    burst = message("push", ["remap", 1, [], [], [None]]) * 250

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        client.send(zeros)
        while not attack.over:
            client.send(burst)

    attack.each(1, run)


def batch_maps(attack: Attack) -> None:
    """The same in HTTP batches."""
    lines = [json.dumps(["push", [[0] * 60_000]])]
    lines += [json.dumps(["push", ["remap", 1, [], [], [None]]])] * 250
    body = "\n".join(lines).encode()
    while not attack.over:
        attack.note(*post(attack, body))


def marks(attack: Attack) -> None:
    """A name of combining marks, which costs the square of its length to normalize."""
    name = "a" + "".join(chr(0x0300 + index % 2) for index in range(30_000))

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            client.push("leave", name)

    attack.each(1, run)


def zeros(attack: Attack) -> None:
    """Messages of the greatest length that decode into as many values as possible."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        count = 0
        while not attack.over:
            client.send(message("push", [[0] * 30_000]))
            count += 1
            client.send(message("release", count, 1))

    attack.each(attack.many(4), run)


# ---- much that is kept


def fill_history(attack: Attack) -> None:
    """Give history something to say: 500 messages of 3,000 characters."""
    client = attack.client()
    name = f"Filler {time.monotonic_ns()}"
    client.join(name)
    in_background(client, read_all)
    for _ in range(500):
        client.push("sendMessage", name, "x" * 3_000)
        client.send(message("release", client.pushes, 1))
    client.close()


def history_kept(attack: Attack) -> None:
    """Histories that are never released."""
    fill_history(attack)

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            client.send(message("pull", client.push("getHistory", {"limit": 500})))

    attack.each(1, run)


def nested(attack: Attack) -> None:
    """Nested lists, pushed and kept."""
    value: object = 0
    for _ in range(60):
        value = [[value]]
    expression = [[value] * 100]

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            client.send(message("push", expression))

    attack.each(1, run)


def pipes(attack: Attack) -> None:
    """As many pipes as the table takes, and then away, again and again."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        client.send(message("pipe") * 60_000)

    while not attack.over:
        attack.each(1, run)


def batch_repeats(attack: Attack) -> None:
    """A batch that names one history many times; some of the answers nobody reads."""
    fill_history(attack)
    lines = [json.dumps(["push", ["pipeline", 0, ["getHistory"], [{"limit": 500}]]])]
    lines += [json.dumps(["push", ["pipeline", 1]])] * 1_400
    lines += [json.dumps(["pull", number]) for number in range(2, 1_402)]
    body = "\n".join(lines).encode()
    held = [send_request(attack, body) for _ in range(attack.many(10))]
    while not attack.over:
        attack.note(*post(attack, body))
    for connection in held:
        connection.close()


def promises(attack: Attack) -> None:
    """Calls that wait for a promise which never settles."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            client.push("sendMessage", ["promise", -1 - client.pushes], "x" * 1_000)

    attack.each(1, run)


# ---- many connections


def silent(attack: Attack) -> None:
    """TCP connections that say nothing, or a byte now and then."""
    raise_descriptors()
    held: list[socket.socket] = []
    for number in range(attack.many(20_000)):
        if attack.over:
            break
        try:
            connection = open_tcp(attack.url, source_of(number))
        except OSError as error:
            attack.fates[f"not let in: {type(error).__name__}"] += 1
            continue
        held.append(connection)
        if number % 2:
            with contextlib.suppress(OSError):
                connection.send(b"GET / HTTP/1.1\r\nX: ")
                attack.sent += 18
    while not attack.over:
        for connection in held[::2]:
            with contextlib.suppress(OSError):
                attack.sent += connection.send(b"x")
        time.sleep(0.5)
    attack.fates["held"] += len(held)


def heads(attack: Attack) -> None:
    """Heads of requests that go on and on."""

    def run(number: int) -> None:
        sent = 0
        fate = "held out"
        try:
            with open_tcp(attack.url, source_of(number)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
                for index in range(90):
                    line = b"X-%d: " % index + b"y" * 60_000 + b"\r\n"
                    connection.sendall(line)
                    sent += len(line)
                attack.wait()
        except OSError as error:
            fate = f"thrown out: {type(error).__name__}"
        attack.note(sent, fate)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(attack.many(200))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sockets(attack: Attack) -> None:
    """WebSockets from one address that answer pings and do nothing else."""
    raise_descriptors()
    held: list[SocketClient] = []
    for _ in range(attack.many(10_000)):
        if attack.over:
            break
        try:
            held.append(attack.client())
        except (OSError, Refused) as error:
            attack.fates[f"not let in: {error}"] += 1
            time.sleep(0.01)
    attack.wait()
    attack.fates["held"] += len(held)


# ---- many messages


def messages(attack: Attack) -> None:
    """Short messages, as fast as they can."""

    def run(client: SocketClient, number: int) -> None:
        name = f"Loud {number}"
        client.join(name)
        in_background(client, read_all)
        while not attack.over:
            burst = b"".join(
                call("sendMessage", name, "hi") + message("release", client.pushes + index + 1, 1)
                for index in range(50)
            )
            client.pushes += 50
            client.send(burst)

    attack.each(attack.many(100), run)


def counts(attack: Attack) -> None:
    """Asking for `userCount`, as fast as they can."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            burst = b""
            for _ in range(50):
                client.pushes += 1
                burst += message("push", ["pipeline", 0, ["userCount"]])
                burst += message("pull", client.pushes) + message("release", client.pushes, 1)
            client.send(burst)

    attack.each(attack.many(100), run)


def long_messages(attack: Attack) -> None:
    """Messages of 4,000 characters on one connection: what is written to the disk."""

    def run(client: SocketClient, number: int) -> None:
        client.join("Writer")
        in_background(client, read_all)
        while not attack.over:
            client.push("sendMessage", "Writer", "😀" * 4_000)
            client.send(message("release", client.pushes, 1))

    attack.each(1, run)


def joins(attack: Attack) -> None:
    """Joining and leaving in a loop."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        turn = 0
        while not attack.over:
            turn += 1
            name = f"Moth {number} {turn}"
            answer = client.push("join", name, ["export", -turn])
            left = client.push("leave", name)
            client.send(message("pull", answer) + message("pull", left))
            client.send(message("release", answer, 1) + message("release", left, 1))

    attack.each(attack.many(8), run)


def callbacks(attack: Attack) -> None:
    """Callbacks that make the server call itself."""

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        for index in range(10):
            client.push(
                "join", f"Echo {number} {index}", {"onMessage": ["pipeline", 0, ["getHistory"]]}
            )
        attack.wait()

    attack.each(attack.many(50), run)


def histories(attack: Attack) -> None:
    """Histories asked for and released at once."""
    fill_history(attack)

    def run(client: SocketClient, number: int) -> None:
        in_background(client, read_all)
        while not attack.over:
            asked = client.push("getHistory", {"limit": 500})
            client.send(message("release", asked, 1))

    attack.each(attack.many(3), run)


def pings(attack: Attack) -> None:
    """Empty pings, and nothing of the answers is read."""

    def run(client: SocketClient, number: int) -> None:
        burst = frame(b"", PING) * 10_000
        while not attack.over:
            client.send(burst)

    attack.each(attack.many(4), run)


TWO_READINGS: Final = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +49\r\n\r\n",
    b"GET /\r\n\r\n",
)
"""Requests that another server in front may read differently, so that one hides in the other."""


def two_readings(attack: Attack) -> None:
    """Requests that RFC 9112 has refused, each with another one behind it."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    while not attack.over:
        for request in TWO_READINGS:
            with open_tcp(attack.url) as connection:
                connection.sendall(request + hidden)
                answer = b"".join(iter(lambda: connection.recv(RECEIVE_BYTES), b""))
            answers = answer.count(b"HTTP/1.1 ")
            attack.note(len(request), f"answered {answer[9:12].decode()}, {answers} time")


def cut_batches(attack: Attack) -> None:
    """Batches that end before their end."""
    body = b'["push",["pipeline",0,["listUsers"],[]]]\n' * 100
    while not attack.over:
        connection = send_request(attack, body[: len(body) // 2], len(body))
        connection.close()
        attack.note(len(body) // 2, "cut short")


# ---- HTTP


def source_of(number: int) -> str:
    """An address of this machine: each has ports for some 28,000 connections only."""
    return f"127.0.0.{2 + number // 20_000}"


def raise_descriptors() -> None:
    """Take as many descriptors as may be had."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def send_request(attack: Attack, body: bytes, length: int | None = None) -> socket.socket:
    """A batch whose answer is not read."""
    connection = open_tcp(attack.url)
    size = len(body) if length is None else length
    connection.sendall(
        f"POST /rpc/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + body
    )
    return connection


def post(attack: Attack, body: bytes) -> tuple[int, str]:
    """Send a batch and read its answer: bytes sent, and what came of it."""
    host, port = address_of(attack.url)
    connection = http.client.HTTPConnection(host, port, timeout=attack.seconds + 30)
    try:
        connection.request("POST", urlsplit(attack.url)._replace(path="/rpc/batch").path, body)
        answer = connection.getresponse()
        size = len(answer.read())
        return len(body), f"answered {answer.status} with {size // 1024} KiB"
    except (OSError, http.client.HTTPException) as error:
        return len(body), f"thrown out: {type(error).__name__}"
    finally:
        connection.close()


ATTACKS: Final[dict[str, Callable[[Attack], None]]] = {
    attack.__name__: attack
    for attack in (
        maps,
        batch_maps,
        marks,
        zeros,
        history_kept,
        nested,
        pipes,
        batch_repeats,
        promises,
        silent,
        heads,
        sockets,
        messages,
        counts,
        long_messages,
        joins,
        callbacks,
        histories,
        pings,
        cut_batches,
        two_readings,
    )
}
"""By name, in the order of the table."""


def main(name: str, url: str, seconds: str, scale: str) -> None:
    """Attack, and say what came of it, and when its connections ended."""
    os.nice(LEAST_IMPORTANT)  # what an attacker does on its own machine costs the server nothing
    attack = Attack(url, float(seconds), float(scale))
    with contextlib.suppress(OSError, Refused):
        ATTACKS[name](attack)
    ended = min(attack.until, time.monotonic())
    fates = ", ".join(f"{count} {fate}" for fate, count in attack.fates.most_common(3))
    print(json.dumps([attack.sent, fates, attack.fates.total(), ended]))


if __name__ == "__main__":
    main(*sys.argv[1:])
