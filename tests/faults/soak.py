"""The fault test for as long as one wants: `scripts/run_soak.sh`.

A crowd talks through the proxy while connections get every kind of trouble and the server dies,
stops and sleeps. Every minute that ends: everybody may finish, all that happened is judged, and a
line says what was seen. The exit status is 0 if nothing was found.

With --steady the one server lives on, and what it holds, which a restart would hide, is looked at
every minute: at the end it must be what it was after the first five.
"""

import argparse
import io
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

from capnweb_sync.client import reconnect
from chatserver.store import is_shared
from tests.faults.deployment import Deployment, GunicornDeployment
from tests.faults.figures import Figures, WatchedDeployment
from tests.faults.record import Outcome
from tests.faults.trial import PING_SECONDS, Trial
from tests.faults.trouble import BLACK_HOLES, CUTS, SLOWNESS, Trouble
from tests.processes import Processes
from tests.redis_server import DurableRedis

MEMBERS = 30
PAUSE = 0.1
ROUND_SECONDS = 60.0
CALAMITY_SECONDS = 8.0
"""Between two things that happen to the server, on average."""

PAUSE_SECONDS = 3 * PING_SECONDS
"""How long a server sleeps: longer than clients wait for a sign of life."""

REDIS_DOWN_SECONDS = 2.0

GRACE_SECONDS = 3.0
"""How long a name waits: some members come back too late, and have left and join again."""

MAX_DELAY = 2.0
"""Seconds between two attempts of a client at most: otherwise the members of a crowd to which
something happens all the time would mostly wait."""

MAX_SHOWN = 20
"""Findings that are printed of one minute."""

SETTLED_ROUNDS = 5
"""After so many, a server holds what it will hold."""

Calamity = Callable[[], None]


class Soak:
    """One run."""

    def __init__(
        self, trial: Trial, seed: int, calamities: dict[str, Calamity], report: TextIO
    ) -> None:
        self._trial = trial
        self._seed = seed
        self._report = report
        self._random = random.Random(seed)
        self._calamities = list(calamities.items())
        self._happened: Counter[str] = Counter()
        self._found = 0
        self._figures: list[Figures] = []

    def run(self, minutes: float) -> int:
        """Go on for so long, at least for one round; how much was found."""
        end = time.monotonic() + minutes * 60
        number = 0
        while not number or time.monotonic() < end:
            number += 1
            self._round(number, min(ROUND_SECONDS, max(end - time.monotonic(), 1)))
        if len(self._figures) > SETTLED_ROUNDS:
            self._tell(self._figures[-1].growth_since(self._figures[SETTLED_ROUNDS - 1]))
        happened = ", ".join(f"{count} × {name}" for name, count in self._happened.most_common())
        self._say(f"\n{number} rounds, seed {self._seed}. What happened: {happened}.")
        self._say(f"{self._messages()}. Found: {self._found or 'nothing'}.")
        return self._found

    def _round(self, number: int, seconds: float) -> None:
        started = time.monotonic()
        trial = self._trial
        trial.swarm.start_talking()
        faults = {**CUTS, **BLACK_HOLES, **SLOWNESS}
        with Trouble(trial.proxy, faults, seed=self._random.randrange(2**32), pause=0.3) as trouble:
            while (left := started + seconds - time.monotonic()) > 0:
                # It is the time that matters here.
                time.sleep(min(left, self._random.expovariate(1 / CALAMITY_SECONDS)))
                name, happen = self._random.choice(self._calamities)
                happen()
                self._happened[name] += 1
        self._happened.update(trouble.happened)
        findings = trial.findings()
        held = ""
        if isinstance(trial.deployment, WatchedDeployment):
            self._figures.append(Figures.of(trial.deployment, len(trial.swarm.members)))
            held = f"server {self._figures[-1]}; "
        self._say(
            f"{time.strftime('%H:%M:%S')} round {number}: {self._messages()} so far; "
            f"{sum(trouble.happened.values())} faults; judged up to event {trial.judged}; "
            f"{held}found: {len(findings) or 'nothing'}"
        )
        self._tell(findings)

    def _tell(self, findings: Sequence[str]) -> None:
        self._found += len(findings)
        for finding in findings[:MAX_SHOWN]:
            self._say(f"  {finding}")
        if len(findings) > MAX_SHOWN:
            self._say(f"  … and {len(findings) - MAX_SHOWN} more")

    def _say(self, line: str) -> None:
        print(line, file=self._report, flush=True)

    def _messages(self) -> str:
        counts = self._trial.messages
        return ", ".join(
            f"{counts[outcome]} {outcome.value}"
            for outcome in (Outcome.ANSWERED, Outcome.UNKNOWN, Outcome.REFUSED)
        )


def calamities_of(
    deployment: Deployment, redis: DurableRedis | None, choose: random.Random
) -> dict[str, Calamity]:
    """What can happen to these servers, by name. When it returns, they are up again."""

    def restart(end: Callable[[], object]) -> Calamity:
        def happen() -> None:
            end()
            deployment.start()

        return happen

    def sleep() -> None:
        deployment.pause()
        time.sleep(PAUSE_SECONDS)
        deployment.go_on()

    calamities: dict[str, Calamity] = {"SIGSTOP and SIGCONT": sleep}
    if isinstance(deployment, WatchedDeployment):
        return calamities
    calamities["kill -9 of everything"] = restart(deployment.kill)
    calamities["SIGTERM"] = restart(deployment.terminate)
    if isinstance(deployment, GunicornDeployment):
        calamities["kill -9 of a worker"] = lambda: deployment.kill_worker(
            choose.choice(deployment.workers())
        )
        calamities["SIGHUP"] = deployment.reload
    if redis is not None:

        def kill_redis() -> None:
            redis.kill()
            time.sleep(REDIS_DOWN_SECONDS)
            redis.start()

        calamities["kill -9 of Redis"] = kill_redis
    return calamities


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says. The exit status."""
    parser = argparse.ArgumentParser(prog="run_soak.sh", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, help="of everything random (default: another one)")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where the log is (default: a database in a temporary folder; with several workers a"
        " redis-server of its own, which is killed, too)",
    )
    parser.add_argument("--workers", type=int, default=1, help="gunicorn's; 1 is without gunicorn")
    parser.add_argument("--members", type=int, default=MEMBERS, help=f"(default: {MEMBERS})")
    parser.add_argument(
        "--pause",
        type=float,
        default=PAUSE,
        help=f"seconds that each waits before a message at most (default: {PAUSE})",
    )
    parser.add_argument(
        "--steady", action="store_true", help="never kill the server, and look whether it grows"
    )
    options = parser.parse_args(arguments)
    if options.workers > 1 and options.steady:
        parser.error("--steady looks at one process")
    if options.workers > 1 and options.store and not is_shared(options.store):
        parser.error("several workers need a store that they share: --store redis://host:port/0")
    seed = random.randrange(2**32) if options.seed is None else options.seed
    report = sys.stdout
    print(f"seed {seed}", file=report, flush=True)
    reconnect.MAX_DELAY = MAX_DELAY  # type: ignore[misc]
    with redirect_stdout(io.StringIO()) as output_of_servers:
        found = soak(options, seed, report)
    if found:
        print(output_of_servers.getvalue(), file=sys.stderr)
    return min(found, 1)


def soak(options: argparse.Namespace, seed: int, report: TextIO) -> int:
    """Run servers and a crowd; how much was found. What servers wrote is printed at the end."""
    settings = {
        "ping_interval": PING_SECONDS,
        "ping_timeout": PING_SECONDS,
        "grace": GRACE_SECONDS,
    }
    store, workers = options.store, options.workers
    with tempfile.TemporaryDirectory() as folder, Processes() as processes:
        redis = None
        if store is None and workers > 1:
            redis = DurableRedis(processes, Path(folder))
            store = redis.url
        elif store is None:
            store = f"sqlite:///{folder}/chat.db"
        if workers > 1:
            deployment: Deployment = GunicornDeployment(processes, store, workers, **settings)
        else:
            kind = WatchedDeployment if options.steady else Deployment
            deployment = kind(processes, store, **settings)
        with Trial(deployment, options.members, seed=seed, pause=options.pause) as trial:
            calamities = calamities_of(deployment, redis, random.Random(seed))
            return Soak(trial, seed, calamities, report).run(options.minutes)


if __name__ == "__main__":
    sys.exit(main())
