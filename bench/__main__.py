"""Measure this server and others side by side; print tables in Markdown, keep them in results/."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections import defaultdict

from bench import report
from bench.contenders import BENCH, CONTENDERS, missing
from bench.crowd import quiet_collector
from bench.machine import allow_connections, cpu_seconds_of_others, description
from bench.measure import FULL, QUICK, Plan, Reading, fan_out
from bench.protocols import PeerError

_SPARE_FILES = 100  # descriptors besides one a member
_PARTS = ("comparison", "sizes")


class _Bench:
    """One run of everything that was asked for."""

    def __init__(self, plan: Plan, names: list[str], names_of_sizes: list[str]) -> None:
        self.plan = plan
        self.names = names
        self.names_of_sizes = names_of_sizes
        self.comparison: dict[str, list[Reading]] = defaultdict(list)
        self.sizes: dict[int, dict[str, list[Reading]]] = {}
        self.failed: dict[str, str] = {}
        self._server_core = _separate_cores()

    def run(self, parts: list[str]) -> None:
        """Measure, round by round."""
        for number in range(self.plan.rounds):
            if "comparison" in parts:
                for name in self.names:
                    self._measure(number, name, self.plan.members, self.comparison[name], True)
            if "sizes" in parts:
                for members in self.plan.sizes:
                    by_name = self.sizes.setdefault(members, {})
                    for name in self.names_of_sizes:
                        into = by_name.setdefault(name, [])
                        self._measure(number, name, members, into, False)

    def _measure(
        self, number: int, name: str, members: int, into: list[Reading], latency: bool
    ) -> None:
        if name in self.failed:
            return
        _say(f"round {number + 1} of {self.plan.rounds}: {name}, {members:,} members")
        try:
            reading = fan_out(CONTENDERS[name], members, self.plan, self._server_core, latency)
        except (PeerError, RuntimeError) as error:
            self.failed[name] = f"{members:,} members: {error}"
            _say(f"{name} failed with {self.failed[name]}")
            return
        into.append(reading)


def _separate_cores() -> int:
    """Pin this process to one core and return another one for the servers."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        _say("only one core: the load generator takes its share of it, latencies mean little")
        return cores[0]
    os.sched_setaffinity(0, {cores[1]})
    return cores[0]


def _possible(plan: Plan) -> Plan:
    """The plan without the sizes for which this machine does not allow enough open files."""
    limit = allow_connections(max(*plan.sizes, plan.members) + _SPARE_FILES)
    for size in plan.sizes:
        if size + _SPARE_FILES > limit:
            _say(f"!! {size:,} members are impossible: {limit:,} open files are allowed here")
    sizes = tuple(size for size in plan.sizes if size + _SPARE_FILES <= limit)
    return dataclasses.replace(plan, sizes=sizes)


def _versions(names: list[str]) -> str:
    packages = ["websockets", "uvloop", "Flask-SocketIO", "gevent", "gevent-websocket"]
    versions = [f"{package} {importlib.metadata.version(package)}" for package in packages]
    if any(CONTENDERS[name].command(0, BENCH)[0] == "node" for name in names):
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        versions.append(f"Node {node.stdout.strip().lstrip('v')}")
        for package, version in json.loads((BENCH / "package.json").read_text())[
            "dependencies"
        ].items():
            versions.append(f"{package} {version}")
    return ", ".join(versions)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/run_bench.sh", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(CONTENDERS)}; all if none is given"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds each; rough numbers")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--sizes", help="members of the series, as in 100,1000,10000")
    parser.add_argument("--part", choices=_PARTS, action="append", help="only this part")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in CONTENDERS:
            parser.error(f"nobody is called {name}; there are {', '.join(CONTENDERS)}")
    return arguments


def main() -> int:
    """Run, print the report and keep it; 1 if somebody failed."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    if arguments.rounds:
        plan = dataclasses.replace(plan, rounds=arguments.rounds)
    if arguments.sizes:
        sizes = tuple(int(size) for size in arguments.sizes.split(","))
        plan = dataclasses.replace(plan, sizes=sizes)
    names = []
    for name in arguments.names or CONTENDERS:
        if reason := missing(name):
            _say(f"!! without {name}: {reason}")
        else:
            names.append(name)
    quiet_collector()
    plan = _possible(plan)
    bench = _Bench(plan, names, [n for n in names if arguments.names or CONTENDERS[n].sizes])
    started, before = time.perf_counter(), cpu_seconds_of_others()
    bench.run(arguments.part or list(_PARTS))
    elapsed = time.perf_counter() - started
    others = (cpu_seconds_of_others() - before) / elapsed / (os.cpu_count() or 1)

    now = datetime.datetime.now(datetime.timezone.utc)
    pieces = [report.heading(plan, description(), _versions(names), now.date().isoformat(), others)]
    comparison = {name: rounds for name, rounds in bench.comparison.items() if rounds}
    if comparison:
        pieces.append(f"{plan.members:,} members in one room, messages of 100 bytes:\n")
        pieces.append(report.comparison(comparison))
        pieces.append(f"{plan.rate:,} deliveries a second to {plan.members:,} members:\n")
        pieces.append(report.latency(comparison))
    if bench.sizes:
        pieces.append("Over the size of the room:\n")
        pieces.append(report.sizes(bench.sizes))
    for name, reason in bench.failed.items():
        pieces.append(f"{name} failed: {reason}\n")
    text = "\n".join(pieces)
    print(text)
    results = BENCH / "results"
    results.mkdir(exist_ok=True)
    part = arguments.names or arguments.part or arguments.sizes
    suffix = "-quick" if arguments.quick else "-part" if part else ""
    (results / f"{now:%Y-%m-%d-%H%M}{suffix}.md").write_text(text)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
