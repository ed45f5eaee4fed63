"""One attack on one server, with bystanders: what it cost everyone else."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.socket_client import address_of
from tests.processes import POLL_INTERVAL, Process, Processes, ServerProcess, wait_until

SAMPLE_SECONDS = 0.02
"""Between two looks at the server's memory."""

CALM_SECONDS = 3.0
"""How long the bystanders are undisturbed first."""

SETTLED_SECONDS = 20.0
"""How long the server may take until it has given back what the attacker held."""

PERCENTILE = 0.99


@dataclass(frozen=True)
class Outcome:
    """What one attack did.

    Attributes:
        sent: bytes that the attacker sent.
        calm: seconds, p99 of the bystanders before.
        during: the same while the attack lasted; infinite if nothing was heard at all.
        before: resident memory of the server, in bytes.
        most: the same at most.
        after: the same once the attacker was gone.
        end: seconds, the longest latency of the bystanders from when the attacker's connections
            ended until all was given back; infinite if nothing was heard.
        kept: bytes that the server says it still keeps for clients then.
        fate: what became of the attacker.
        connections: how many it had, one after another or at a time.
        left: sockets that the server has open beyond those of before.
        starved: seconds that the server and the bystanders were ready to run meanwhile, and had to
            wait for a processor. No server can help that.
        starved_at_end: the same from the attacker's end on.
    """

    sent: int
    calm: float
    during: float
    before: int
    most: int
    after: int
    end: float
    kept: int
    fate: str
    connections: int
    left: int
    starved: float
    starved_at_end: float


def p99(latencies: list[float]) -> float:
    """The latency that 99 of 100 stay below; infinite if there is none."""
    if not latencies:
        return math.inf
    return sorted(latencies)[math.ceil(len(latencies) * PERCENTILE) - 1]


def resident(pid: int) -> int:
    """Resident memory of a process in bytes (`proc(5)`, VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def sockets(pid: int) -> int:
    """How many sockets a process has open (`proc(5)`). Files may be kept: those of a database."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(entry).startswith("socket:")
    return count


def starved(pid: int) -> float:
    """Seconds that the threads of a process have waited for a processor (the second figure of
    `/proc/PID/task/TID/schedstat`, in ns); 0 where the kernel does not say."""
    waited = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # ended meanwhile, or not said
            waited += int((thread / "schedstat").read_text().split()[1])
    return waited / 1e9


class Bystanders:
    """The pair, in a process of its own."""

    def __init__(self, processes: Processes, url: str) -> None:
        self._process = processes.add(Process([sys.executable, "-m", "tests.attacks.pair", url]))
        self.pid = self._process.pid

    def heard(self, since: float, until: float) -> list[float]:
        """Latencies of what was said between these moments (`time.monotonic`)."""
        noted = [json.loads(line) for line in self._process.lines]
        return [late for at, late in noted if since <= at < until]

    def heard_since(self, moment: float) -> bool:
        """Whether something that was said after `moment` has been heard."""
        return bool(self.heard(moment, math.inf))


def attacked(
    processes: Processes,
    server: ServerProcess,
    name: str,
    seconds: float,
    scale: float,
    *,
    calm_seconds: float = CALM_SECONDS,
    memory_seconds: float = SETTLED_SECONDS,
) -> Outcome:
    """Let the attack run against the server, and measure. The allocator has `memory_seconds` to
    give back what it does."""
    bystanders = Bystanders(processes, server.url)
    started = time.monotonic()
    wait_until(lambda: bystanders.heard_since(started), message="the bystanders talk")
    calm_since = time.monotonic()
    time.sleep(calm_seconds)
    calm = p99(bystanders.heard(calm_since, time.monotonic()))
    before = most = resident(server.pid)
    held = sockets(server.pid)
    done = threading.Event()

    def sample() -> None:
        nonlocal most
        while not done.wait(SAMPLE_SECONDS):
            most = max(most, resident(server.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    since = time.monotonic()
    starved_before = starved(server.pid) + starved(bystanders.pid)
    program = [sys.executable, "-m", "tests.attacks.attacks", name, server.url]
    attacker = processes.add(Process([*program, str(seconds), str(scale)]))
    try:
        attacker.wait(timeout=seconds * 3 + 60)
        until = time.monotonic()
        again = heard_again(bystanders, until)
        starved_until = starved(server.pid) + starved(bystanders.pid)
        left = settled(lambda: sockets(server.pid) - held)
        kept = settled(lambda: kept_for_clients(server.url))
        starved_after = starved(server.pid) + starved(bystanders.pid)
        settle(lambda: resident(server.pid), before, memory_seconds)
    finally:
        done.set()
        sampler.join()
    hungry = starved_until - starved_before, starved_after - starved_until
    during = p99(bystanders.heard(since, until)) if again else math.inf
    said = json.loads(attacker.lines[-1]) if attacker.lines else (0, "it failed", 0, until)
    sent, fate, connections, ended = said
    end = max(bystanders.heard(ended, math.inf), default=math.inf)
    after = resident(server.pid)
    return Outcome(
        sent, calm, during, before, most, after, end, kept, fate, connections, left, *hungry
    )


def heard_again(bystanders: Bystanders, since: float) -> bool:
    """Wait until the bystanders talk again; whether they do."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while not bystanders.heard_since(since) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    return bystanders.heard_since(since)


def settled(left: Callable[[], int]) -> int:
    """What is left once nothing is, or time is up."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while (now := left()) > 0 and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    return max(0, now)


def kept_for_clients(url: str) -> int:
    """Bytes that the server says it keeps for its clients."""
    host, port = address_of(url)
    connection = http.client.HTTPConnection(host, port, timeout=SETTLED_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return int(json.load(connection.getresponse())["memory"])


def settle(memory: Callable[[], int], before: int, seconds: float) -> None:
    """Wait until memory is nearly what it was, or falls no more."""
    deadline = time.monotonic() + seconds
    recent = [memory()]
    while time.monotonic() < deadline and recent[-1] > before * 1.1:
        time.sleep(0.1)
        recent.append(memory())
        if len(recent) > 10 and statistics.pstdev(recent[-10:]) < 64 * 1024:
            return
