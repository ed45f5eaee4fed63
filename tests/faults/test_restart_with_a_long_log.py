"""A start reads none of what was said, however much that is."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chatserver.wire import WireClient
from tests.faults.deployment import Deployment
from tests.processes import Processes

SHORT = 1_000
LONG = 200_000
LONG_IN_FULL = 1_000_000

MIB = 1024 * 1024

MAX_MORE_BYTES = MIB
"""What the longer log may make the server read more: deeper trees, fuller pages. Reading the events
would be a hundred times as much."""

MAX_START_SECONDS = 2.0
"""For the long log, in addition to what the short one takes: the start of the process itself is as
slow as the machine is busy."""

MAX_HISTORY_SECONDS = 0.1
"""For one answer of fifty events; milliseconds on a machine that is not busy."""

FILL = """
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)
    INSERT INTO event (id, type, user, text, time_ms, users, count, number)
    SELECT n, 'chat', 'member ' || n % 30, 'message ' || n || :filling,
    1893456000000 + n, NULL, 0, n FROM number"""

FILL_KEYS = """
    INSERT INTO sent SELECT id, randomblob(16), randomblob(16), time_ms FROM event
    ORDER BY id DESC LIMIT 100000"""
"""Of a week, so that the newest ones are looked up among others."""

FILLING = " " + "x" * 100


@dataclass
class Start:
    """What a start and the first questions cost, in bytes read and in seconds."""

    bytes_read: int
    seconds: float
    history_seconds: float
    last_id: int


def start(processes: Processes, store: str) -> Start:
    """Start a server and ask it for its newest and some older events."""
    began = time.monotonic()
    deployment = Deployment(processes, store)
    seconds = time.monotonic() - began
    client = WireClient(deployment.url)
    newest = client.call("getHistory")
    asked = time.monotonic()
    client.call("getHistory", {"before": newest[-1]["id"] // 2})
    history_seconds = time.monotonic() - asked
    reads = Path(f"/proc/{deployment.serving_pid}/io").read_text().splitlines()[0]
    client.close()
    deployment.terminate()
    return Start(int(reads.removeprefix("rchar: ")), seconds, history_seconds, newest[-1]["id"])


def filled(processes: Processes, path: Path, count: int) -> str:
    """The URL of a log of so many events."""
    store = f"sqlite:///{path}"
    Deployment(processes, store).terminate()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=off")
    connection.execute("BEGIN")
    connection.execute(FILL, {"count": count, "filling": FILLING})
    connection.execute(FILL_KEYS)
    connection.execute("COMMIT")
    connection.close()
    return store


def test_a_start_with_a_long_log_costs_what_one_with_a_short_log_costs(
    processes: Processes, tmp_path: Path, full: bool
) -> None:
    count = LONG_IN_FULL if full else LONG
    short = filled(processes, tmp_path / "short.db", SHORT)
    long = filled(processes, tmp_path / "long.db", count)
    size = (tmp_path / "long.db").stat().st_size

    few, many = start(processes, short), start(processes, long)

    print(f"{few}\n{many}\n{size / MIB:.0f} MiB")
    assert many.last_id == count
    assert size > count * len(FILLING)
    assert many.bytes_read - few.bytes_read < MAX_MORE_BYTES
    assert many.seconds - few.seconds < MAX_START_SECONDS
    assert many.history_seconds < MAX_HISTORY_SECONDS
