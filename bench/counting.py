"""What counting costs a delivery and a call, in instructions.

    python -m bench.counting

`/metrics` counts on the way of each message. The server runs as it is, and with those lines taken
out, under Valgrind, which counts instructions: the same work has the same number of them, whatever
else the machine does. What is done once a second in any case is measured by the clock.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench.crowd import Crowd
from bench.machine import free_port
from bench.protocols import CapnWebSpeech
from bench.walk import Speaker

MEMBERS = 40
WARM_UP, TIMES = 100, 320
ROUNDS = 5
WRITES = 200

COUNTING: Final = (
    (
        "capnweb_sync/server/connection.py",
        "        self._connections.received_bytes += len(data)\n",
        "",
    ),
    ("capnweb_sync/server/outbox.py", "sent += outbox.flush()", "outbox.flush()"),
    ("capnweb_sync/server/outbox.py", "        self.sent_bytes += sent\n", ""),
    ("capnweb_sync/core/arguments.py", "        self.calls += 1\n", ""),
    (
        "capnweb_sync/session/plain_call.py",
        "        if parameters.calls & TIMED_MASK == 1:\n",
        "        if False:\n",
    ),
    (
        "capnweb_sync/session/plain_call.py",
        "        if self._began and error is None:\n            self._time()\n",
        "",
    ),
    (
        "chatserver/rooms/feed.py",
        "                    self.deliveries += len(cast) * len(told)\n",
        "",
    ),
    ("chatserver/rooms/stays.py", "            self.messages += 1\n", ""),
    (
        "chatserver/store/commits.py",
        "        self.note(seconds)\n        self.operations += operations\n",
        "",
    ),
)
"""Where it is counted, and what takes its place."""

SERVE: Final = """
from gevent import monkey; monkey.patch_all()
import sys
from chatserver.observe import metrics
metrics.LOOK_SECONDS = metrics.ASK_SECONDS = 1e6
from chatserver.__main__ import main
sys.exit(main())
"""
"""The server without what it does once a second, which takes Valgrind's slowness for time."""

WRITE: Final = """
from gevent import monkey; monkey.patch_all()
import time
from chatserver import create_app
from chatserver.service import service_of
metrics = service_of(create_app({"STORE": "memory:"})).metrics
for each in range(%d):
    began = time.process_time()
    metrics._files.write(metrics._worker.samples())
    print(time.process_time() - began)
"""


class Cost(NamedTuple):
    """Instructions of one delivery, and of one call."""

    delivery: float
    call: float


class Counted:
    """A server under Valgrind, whose instructions are counted where one wants it."""

    def __init__(self, code: Path, folder: Path) -> None:
        """Start what is in the folder `code`."""
        self.port = free_port()
        self._profile = folder / "profile"
        self._dumps = 0
        options = ("--port", str(self.port), "--store", "memory:", "--log-level", "WARNING")
        idle = ("--ping-interval", "86400", "--unlimited-addresses", "127.0.0.0/8")
        profile = ("--instr-atstart=no", f"--callgrind-out-file={self._profile}")
        self.process = subprocess.Popen(
            [
                "valgrind",
                "--tool=callgrind",
                *profile,
                sys.executable,
                "-c",
                SERVE,
                *options,
                *idle,
            ],
            cwd=code,
            env={**os.environ, "PYTHONPATH": str(code), "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        while "In a browser" not in (line := self.process.stdout.readline()):
            assert line, "the server has not started"

    def control(self, *options: str) -> None:
        """Tell Valgrind something."""
        command = ["callgrind_control", *options, str(self.process.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def instructions(self, act: Callable[[], None]) -> int:
        """How many it takes for what `act` does."""
        self.control("-i", "on")
        act()
        self.control("-d")
        self.control("-i", "off")
        self._dumps += 1
        found = re.search(
            "^totals: ([0-9]+)", Path(f"{self._profile}.{self._dumps}").read_text(), re.MULTILINE
        )
        assert found is not None
        return int(found[1])


def cost_of(code: Path) -> Cost:
    """What is spent by the server in this folder."""
    with tempfile.TemporaryDirectory() as folder:
        server = Counted(code, Path(folder))
        speaker = Speaker(server.port)

        def call(calls: int) -> None:
            for _ in range(calls):
                # A short answer: nobody is here yet.
                speaker.read_until(f'["resolve",{speaker.ask("listUsers")},[[]]]')

        call(WARM_UP)
        calls = server.instructions(lambda: call(TIMES)) / TIMES
        crowd = Crowd(CapnWebSpeech("/rpc/ws", acknowledges=False), server.port)
        crowd.join(MEMBERS)
        crowd.settle(2)

        def tell(messages: int) -> None:
            for _ in range(messages):
                crowd.begin(1)
                while crowd.under_way:
                    crowd.pump(more=False)

        tell(WARM_UP)
        deliveries = server.instructions(lambda: tell(TIMES)) / TIMES / MEMBERS
        crowd.close()
        server.process.terminate()
        server.process.wait()
    return Cost(deliveries, calls)


def copies(folder: Path) -> tuple[Path, Path]:
    """The code without counting, and as it is; in folders whose names are as long."""
    here = Path(__file__).parents[1]
    without, with_it = folder / "without", folder / "with_it"
    for copy in (without, with_it):
        for package in ("capnweb_sync", "chatserver"):
            shutil.copytree(here / package, copy / package, ignore=shutil.ignore_patterns("web"))
    for name, line, instead in COUNTING:
        text = (without / name).read_text()
        assert line in text, f"{name} does not count with {line!r} any more"
        (without / name).write_text(text.replace(line, instead, 1))
    return without, with_it


def main() -> None:
    """Measure, and print what counting costs."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        without, with_it = copies(Path(folder))
        readings = [(cost_of(without), cost_of(with_it)) for _ in range(rounds)]
        for place, what in enumerate(Cost._fields):
            before, after = ([costs[variant][place] for costs in readings] for variant in range(2))
            growth = statistics.median(after) / statistics.median(before) - 1
            print(f"a {what}, instructions: {shown(before)}, counted {shown(after)}, {growth:+.2%}")
        command = [sys.executable, "-c", WRITE % WRITES]
        output = subprocess.run(command, cwd=with_it, capture_output=True, text=True, check=True)
    seconds = statistics.median(map(float, output.stdout.split()))
    print(f"writing the figures once a second: {seconds:.2%} of a core")


def shown(readings: list[float]) -> str:
    """The median, and between which they are."""
    return f"{statistics.median(readings):.0f} ({min(readings):.0f} to {max(readings):.0f})"


if __name__ == "__main__":
    main()
