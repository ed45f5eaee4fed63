"""What happens to connections at random, again and again, seeded."""

import random
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from tests.processes import DEADLINE
from tests.proxy.link import BLACK_HOLE, DOWN, HEALTHY, STALLED, UP, Impairment, Link
from tests.proxy.proxy import Proxy

Fault = Callable[[Link], None]

CUTS: dict[str, Fault] = {
    "cut": Link.cut,
    "reset": Link.reset,
    "half-closed by the client": lambda link: link.half_close(UP),
    "half-closed by the server": lambda link: link.half_close(DOWN),
}
"""Ends that at least one side learns of at once."""

BLACK_HOLES: dict[str, Fault] = {
    "black hole": lambda link: link.impair(BLACK_HOLE),
    "black hole for what the client sends": lambda link: link.impair(BLACK_HOLE, UP),
    "black hole for what the server sends": lambda link: link.impair(BLACK_HOLE, DOWN),
}
"""Ends that nobody learns of."""

SLOWNESS: dict[str, Fault] = {
    "late": lambda link: link.impair(Impairment(delay=0.2)),
    "slow": lambda link: link.impair(Impairment(rate=20_000)),
    "stalled": lambda link: link.impair(STALLED, DOWN),
}
"""Passes when the trouble is over, or with the connection."""


class Trouble:
    """Chooses connections of a proxy and faults for them, until the end of `with`. Then what can
    heal is healed.

    Attributes:
        happened: how often each fault was made.
    """

    def __init__(
        self, proxy: Proxy, faults: dict[str, Fault], *, seed: int, pause: float = 0.1
    ) -> None:
        """Begin.

        Args:
            proxy: whose connections have trouble.
            faults: by name.
            seed: what happens, and when, depends on it; to whom also on who is connected.
            pause: seconds between two faults on average.
        """
        self._proxy = proxy
        self._faults: Sequence[tuple[str, Fault]] = list(faults.items())
        self._random = random.Random(seed)
        self._pause = pause
        self._stop = threading.Event()
        self.happened = dict.fromkeys(faults, 0)
        self._thread = threading.Thread(target=self._run, name="trouble")

    def _run(self) -> None:
        while not self._stop.wait(self._random.expovariate(1 / self._pause)):
            name, fault = self._random.choice(self._faults)
            links = self._proxy.links
            if links:
                fault(self._random.choice(links))
                self.happened[name] += 1

    def __enter__(self) -> "Trouble":
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)
        self._proxy.impair(HEALTHY)
