"""Loops that outlive each failure: what everyone depends on is a greenlet that never ends.

A step that raises what nobody foresaw is logged with its traceback and tried again after a pause,
for ever; whoever asks (`/healthz`, `/readyz`) is told so meanwhile.
"""

import logging
from collections.abc import Callable
from typing import Final

import gevent

from capnweb_sync.runtimes.fork import in_child

logger = logging.getLogger("chatserver")

PAUSE_SECONDS: Final = 0.5
"""Pause after a step that failed: what fails at once each time must not eat the processor."""


class Loop:
    """Calls a function again and again, in a greenlet of its own.

    Nothing that a call raises ends it; `healthy` says whether the latest one went well.
    """

    def __init__(self, name: str, step: Callable[[], None]) -> None:
        """Begin. `step` is to block its greenlet until there is something to do; `name` says in the
        log what it is that fails."""
        self._failing = False
        self._name = name
        self._step = step
        self._greenlet = gevent.spawn(self._run)
        in_child(self, Loop._leave_to_parent)

    @property
    def healthy(self) -> bool:
        """Whether it goes on, and the latest call did not raise."""
        return not self._failing and not self._greenlet.dead

    def kill(self) -> None:
        """End it, wherever it is. Idempotent."""
        self._greenlet.kill()

    def _leave_to_parent(self) -> None:
        """In a forked child, which has copies of all greenlets: what it does is the parent's."""
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        while True:
            self._try()

    def _try(self) -> None:
        try:
            self._step()
        except Exception as error:
            # Once for each row of failures: the log is not to be filled by them.
            log = logger.debug if self._failing else logger.critical
            log("%s has failed, trying on: %r", self._name, error, exc_info=error)
            self._failing = True
            gevent.sleep(PAUSE_SECONDS)
            return
        if self._failing:
            self._failing = False
            logger.warning("%s goes on.", self._name)
