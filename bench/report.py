"""Readings as Markdown: medians, with ratios to the yardstick."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from bench.contenders import CONTENDERS, YARDSTICK
from bench.measure import MANY_UNDER_WAY, Plan, Reading

Readings = Mapping[str, Sequence[Reading]]
"""Rounds by contender."""

_TAIL = 1000  # samples from which on p99.9 says anything


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _middle(rounds: Sequence[Reading], value: Callable[[Reading], float]) -> float:
    return median(map(value, rounds))


def _rounded(number: float) -> str:
    """Three significant digits: more is noise."""
    if number <= 0:
        return "–"
    return f"{round(number, 2 - math.floor(math.log10(number))):,.0f}"


def comparison(readings: Readings) -> str:
    """The table of the comparison, one row a contender."""

    def ratio(name: str, value: Callable[[Reading], float]) -> str:
        if YARDSTICK not in readings:
            return ""
        return f"{_middle(readings[name], value) / _middle(readings[YARDSTICK], value):.2f}"

    def many(reading: Reading) -> float:
        return reading.many

    def one(reading: Reading) -> float:
        return reading.one

    return _table(
        [
            "deliveries per second of server CPU",
            f"{MANY_UNDER_WAY} under way",
            f"× {YARDSTICK}",
            "1 under way",
            f"× {YARDSTICK}",
            "KiB per idle member",
            "busy: server",
            "generator",
        ],
        (
            [
                CONTENDERS[name].title,
                _rounded(_middle(rounds, many)),
                ratio(name, many),
                _rounded(_middle(rounds, one)),
                ratio(name, one),
                f"{_middle(rounds, lambda r: r.memory_kib):.1f}",
                f"{_middle(rounds, lambda r: r.server_busy):.0%}",
                f"{_middle(rounds, lambda r: r.generator_busy):.0%}",
            ]
            for name, rounds in readings.items()
        ),
    )


def latency(readings: Readings) -> str:
    """The table of latencies in milliseconds; the rounds' messages together."""
    rows = []
    for name, rounds in readings.items():
        samples = sorted(sample for reading in rounds for sample in reading.latencies)
        if any(reading.overloaded for reading in rounds):
            cells = ["does not keep up", "", "", ""]
        else:
            cells = [f"{1000 * _quantile(samples, q):.1f}" for q in (0.5, 0.99, 0.999)]
            if len(samples) < _TAIL:
                cells[2] = "–"
            cells.append(f"{len(samples):,}")
        rows.append([CONTENDERS[name].title, *cells])
    return _table(["ms to the last member", "p50", "p99", "p99.9", "messages"], rows)


def _quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all do not exceed."""
    return samples[math.ceil(share * len(samples)) - 1]


def sizes(readings: Mapping[int, Readings]) -> str:
    """The series over sizes of the room, one row a contender and size."""
    rows = []
    for name, contender in CONTENDERS.items():
        for members, by_name in readings.items():
            rounds = by_name.get(name)
            if rounds:
                rows.append(
                    [
                        contender.title,
                        f"{members:,}",
                        _rounded(_middle(rounds, lambda r: r.many)),
                        _rounded(_middle(rounds, lambda r: r.one)),
                        f"{_middle(rounds, lambda r: r.memory_kib):.1f}",
                        f"{_middle(rounds, lambda r: r.join_seconds):.1f}",
                        f"{_middle(rounds, lambda r: r.join_cpu):.1f}",
                    ]
                )
    return _table(
        [
            "deliveries per second of server CPU",
            "members",
            f"{MANY_UNDER_WAY} under way",
            "1 under way",
            "KiB per idle member",
            "seconds to join",
            "CPU seconds to join",
        ],
        rows,
    )


def heading(plan: Plan, machine: str, versions: str, date: str, others: float) -> str:
    """What stands above the tables: where, when, and how quiet it was."""
    text = (
        f"{date}. {machine}. {versions}. Server and load generator on a core each; {plan.rounds} "
        f"round{'s' if plan.rounds > 1 else ''} in turn, medians; windows of {plan.window:g} s. "
    )
    if others >= 0.02:
        text += f"Not an idle machine: other processes used {others:.0%} of it.\n"
    else:
        text += "Other processes used less than 2 % of the machine.\n"
    return text
