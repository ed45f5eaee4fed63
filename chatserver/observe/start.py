"""What the server says of itself when it starts."""

import logging
import resource
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from capnweb_sync.urls import without_password
from chatserver.logs import tell
from chatserver.settings import Settings

logger: Final = logging.getLogger("chatserver")

PACKAGE: Final = "capnweb-chat"


def tell_start(settings: Settings, addresses: Iterable[str], workers: int) -> None:
    """The line of the start: what runs, where, on what, and within which limits."""
    tell(
        logger,
        logging.INFO,
        "Started",
        version=version(PACKAGE),
        addresses=list(addresses),
        store=without_password(settings.store),
        workers=workers,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        max_connections=settings.max_connections,
        max_http_connections=settings.max_http_connections,
        max_address_connections=settings.max_address_connections,
        max_memory=settings.max_memory,
        max_address_memory=settings.max_address_memory,
        max_outbox=settings.max_outbox,
        message_rate=settings.message_rate,
        trust_proxies=settings.trust_proxies,
        grace=settings.grace,
    )
