"""The logs of a server: whoever connects cannot flood them, and they have no secrets."""

import logging
import re
from typing import Final

import gevent

from capnweb_sync.floods import WINDOW, FloodFilter
from capnweb_sync.observe import redact_wire
from chatserver.loop import Loop

LOGGERS: Final = ("chatserver", "capnweb_sync")
"""All that write what clients do."""


SECRETS: Final = re.compile(r'("(?:token|resume)"\s*:\s*")[^"]*|[\w-]{8,}\.[\w-]{8,}\.[\w-]*')
"""Of what is on the wire: tokens wherever they stand, and what a membership is taken over with."""


def without_secrets(text: str) -> str:
    """A message of the wire as a log may have it."""
    return SECRETS.sub(lambda match: (match[1] or "") + "***", text)


def bound_logs() -> None:
    """Let the same line be written ten times a minute at most, and no secret, in this process from
    now on."""
    redact_wire(without_secrets)
    floods = FloodFilter()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(floods)

    def tell() -> None:
        gevent.sleep(WINDOW)
        floods.flush()

    Loop("Telling what was left out of the log", tell)
