"""The server as `python -m chatserver` is, which says on SIGUSR1 how many greenlets it has.

    python -m tests.faults.watched

No figure of `/metrics` has them: only who looks at all objects can count them.
"""

from gevent import monkey

monkey.patch_all()

import gc
import logging
import signal
import sys

import gevent
from greenlet import greenlet

from capnweb_sync.runtimes.greenlets import MAX_IDLE_RUNNERS, gevent_runtime
from chatserver.__main__ import main
from chatserver.logs import tell

logger = logging.getLogger("chatserver")


def count_greenlets() -> None:
    """Log how many there are that have begun and are not over."""
    # With those of the start, which the server keeps out of the collector's way.
    gc.unfreeze()
    gc.collect()
    alive = sum(1 for each in gc.get_objects() if isinstance(each, greenlet) and each)
    gc.freeze()
    tell(logger, logging.WARNING, "Counted", greenlets=alive)


def make_all_runners() -> None:
    """The greenlets that are kept for the next call are as many as the busiest moment has needed so
    far, up to a bound: with all of them from the beginning, what grows is something else."""
    runners = gevent_runtime()._runners
    for _ in range(MAX_IDLE_RUNNERS):
        runners.run(lambda: gevent.sleep(0))


if __name__ == "__main__":
    gevent.signal_handler(signal.SIGUSR1, count_greenlets)
    make_all_runners()
    sys.exit(main())
