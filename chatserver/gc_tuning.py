"""Python's cyclic garbage collector, set for a server that makes next to no cycles.

Sessions, connections and calls are freed by their reference counts. The collector nevertheless
looks at objects whenever 700 more were made than freed, and every so often at all of them, while
everyone waits. When 5,000 members joined, it ran 500 times, for 95 ms the longest; set as it is
here, 160 times, for 7 ms. What a call costs in all hardly changes.
"""

import atexit
import gc
import sys
from typing import Final

THRESHOLDS: Final = (2_000, 5, 10_000)
"""Objects made and not freed until the youngest are looked at, and how often that is done until
those that survived are, and all. A cycle that a bug makes is still found. The product of the first
two is what is looked at while everyone waits, and when clients have the server keep much and let go
of it at the same time, several times as many: with 50,000 it was 0.1 s then, so set it is 0.03."""

SWITCH_SECONDS: Final = 0.002
"""How long a thread that has something to do waits for the interpreter, instead of 5 ms. SQLite's
does so several times for each commit, and while a client floods the loop everyone who speaks waits
with it: 25 ms instead of 90 to 200. With half a millisecond it is 13, and telling costs a tenth
more."""


def settle_collector() -> None:
    """To be called once everything is set up, before serving."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    # Or the interpreter would come upon it at its end when what it needs is gone already.
    atexit.register(gc.unfreeze)
