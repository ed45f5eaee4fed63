"""The logs of a server: whoever connects cannot flood them."""

import logging
from typing import Final

import gevent

from capnweb_sync.floods import WINDOW, FloodFilter
from chatserver.loop import Loop

LOGGERS: Final = ("chatserver", "capnweb_sync")
"""All that write what clients do."""


def bound_logs() -> None:
    """Let the same line be written ten times a minute at most, in this process from now on."""
    floods = FloodFilter()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(floods)

    def tell() -> None:
        gevent.sleep(WINDOW)
        floods.flush()

    Loop("Telling what was left out of the log", tell)
