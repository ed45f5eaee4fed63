"""Calls per second of server CPU: this project's RPC beside the reference on Node.

    bench/.venv/bin/python -m bench.rpc [--seconds 5] [--rounds 3]

50 connections keep 1 or 10 calls of one method under way each, with the same messages to both
servers: push and pull, and the release when the answer is there. The servers have a core, the load
generator the other. `scripts/run_bench.sh rpc` sets everything up first.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import statistics
import sys
import time
from pathlib import Path

from bench.contenders import BENCH
from bench.frames import PING, PONG, masked, split, upgrade_request
from bench.machine import Server, description, free_port

CONNECTIONS = 50
WINDOWS = (1, 10)
WARM_UP = 1.0
"""Seconds before the measured window: V8 compiles what is hot."""

SERVERS = {
    "this project (gevent)": [sys.executable, str(BENCH / "peers" / "rpc_server.py")],
    "`capnweb` on Node (`ws`)": ["node", str(BENCH / "peers" / "rpc_server.mjs")],
}


class Caller:
    """One connection that always has `window` calls under way."""

    def __init__(self, port: int, window: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(upgrade_request("/", port))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(4096)
        if b" 101 " not in head:
            raise RuntimeError(f"the server answered {head[:200]!r}")
        self._rest = head.partition(b"\r\n\r\n")[2]
        self._last = 0
        self.done = 0
        self.socket.sendall(b"".join(self._call() for _ in range(window)))

    def _call(self) -> bytes:
        self._last += 1
        push = b'["push",["pipeline",0,["add"],[%d,2]]]' % self._last
        return masked(push) + masked(b'["pull",%d]' % self._last)

    def readable(self) -> None:
        """Take answers; each is followed by its release and the next call."""
        frames, self._rest = split(self._rest + self.socket.recv(65536))
        out = []
        for opcode, payload in frames:
            if opcode == PING:
                out.append(masked(payload, PONG))
                continue
            if not payload.startswith(b'["resolve",'):
                raise RuntimeError(f"the server sent {payload[:200]!r}")
            self.done += 1
            answered = payload[11:].partition(b",")[0]
            out.append(masked(b'["release",%b,1]' % answered))
            out.append(self._call())
        if out:
            self.socket.sendall(b"".join(out))


def measure(command: list[str], window: int, seconds: float, core: int) -> float:
    """Calls per second of the server's CPU time."""
    port = free_port()
    server = Server([*command, str(port)], Path.cwd(), port, core)
    callers = []
    try:
        selector = selectors.DefaultSelector()
        for _ in range(CONNECTIONS):
            caller = Caller(port, window)
            callers.append(caller)
            selector.register(caller.socket, selectors.EVENT_READ, caller)
        run(selector, WARM_UP)
        before, cpu = sum(caller.done for caller in callers), server.cpu_seconds()
        run(selector, seconds)
        calls = sum(caller.done for caller in callers) - before
        return calls / (server.cpu_seconds() - cpu)
    finally:
        for caller in callers:
            caller.socket.close()
        server.stop()


def run(selector: selectors.BaseSelector, seconds: float) -> None:
    """Let the callers call for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(0.1):
            key.data.readable()


def main() -> None:
    """Measure in turn, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="bench.rpc", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    results: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.rounds):
        for name, command in SERVERS.items():
            for window in WINDOWS:
                rate = measure(command, window, arguments.seconds, cores[0])
                results.setdefault((name, window), []).append(rate)
                print(f"{name}, {window} under way: {rate:,.0f}", file=sys.stderr)
    print(f"{description()}. Medians of {arguments.rounds}, {CONNECTIONS} connections.\n")
    print("| calls per second of server CPU | 1 under way | 10 under way |")
    print("| --- | ---: | ---: |")
    middle = {key: statistics.median(rates) for key, rates in results.items()}
    for name in SERVERS:
        print(f"| {name} | {middle[name, 1]:,.0f} | {middle[name, 10]:,.0f} |")
    ours, reference = SERVERS
    ratios = [f"{middle[ours, window] / middle[reference, window]:.2f}" for window in WINDOWS]
    print(f"| ratio | {ratios[0]} | {ratios[1]} |")


if __name__ == "__main__":
    main()
