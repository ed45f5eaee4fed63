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

from chatserver.__main__ import main
from chatserver.logs import tell

logger = logging.getLogger("chatserver")


def count_greenlets() -> None:
    """Log how many there are that have begun and are not over."""
    gc.collect()
    alive = sum(1 for each in gc.get_objects() if isinstance(each, greenlet) and each)
    tell(logger, logging.WARNING, "Counted", greenlets=alive)


if __name__ == "__main__":
    gevent.signal_handler(signal.SIGUSR1, count_greenlets)
    sys.exit(main())
