"""What will hurt at night, told at the start: a sentence each, with what to do.

What a store lives on it knows by itself (`Store.warnings`).
"""

import logging
import resource
import ssl
import time
from contextlib import suppress
from typing import Final

from chatserver.store.interface import Store

logger: Final = logging.getLogger("chatserver")

SPARE_DESCRIPTORS: Final = 100
"""Files that the process needs besides its connections: the store, the loop, standard streams."""

SOON_DAYS: Final = 21
"""Days before the end of a certificate from which on it should have been renewed: those of 90 days
are, 30 days before it."""

DAY_SECONDS: Final = 24 * 60 * 60


def allow_connections(connections: int) -> None:
    """Raise this process's limit of open files as far as the system lets it, and warn if that is
    not enough for so many connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < connections + SPARE_DESCRIPTORS:
        logger.warning(
            "Only %d files may be open, too few for %d connections; raise the limit (ulimit -n,"
            " LimitNOFILE, ulimits).",
            most,
            connections,
        )


def warn_of(store: Store) -> None:
    """Warn of what will hurt the store."""
    for sentence in store.warnings():
        logger.warning("%s", sentence)


def warn_of_certificate(certificate: str, key: str) -> None:
    """Warn if a certificate has ended, or is about to.

    Args:
        certificate: the file with it.
        key: the file with its key.

    Raises:
        OSError: they cannot be read, or do not fit.
    """
    ends = end_of(certificate, key)
    days = None if ends is None else (ends - time.time()) / DAY_SECONDS
    if days is None:
        logger.warning("The certificate %s is not valid now; renew it.", certificate)
    elif days < SOON_DAYS:
        logger.warning(
            "The certificate %s ends in %d days; renew it, and look why that was not done.",
            certificate,
            days,
        )


def end_of(certificate: str, key: str) -> float | None:
    """When a certificate ends, in seconds since 1970; None if it is not valid at this moment.

    A handshake in memory says it: the standard library shows no certificate but a peer's. Raises
    OSError.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it vouches for itself
    client.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (ours, theirs, ours):
            with suppress(ssl.SSLWantReadError):  # it is the other side's turn
                side.do_handshake()
    except ssl.SSLCertVerificationError:
        return None
    shown = ours.getpeercert()
    assert shown is not None
    return ssl.cert_time_to_seconds(str(shown["notAfter"]))
