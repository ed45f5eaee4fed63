"""TLS without a proxy: the certificate that the server shows, read again when its files change.

Each handshake is given the newest certificate by the callback of the one context that the server
was started with, so connections stay, and a session that began under the certificate before is
resumed. The context itself is not loaded again: OpenSSL keeps one certificate for each kind of key,
so one with an RSA key would still be shown to some after one with an ECDSA key has taken its place,
and a key that does not fit leaves a context that shows nothing at all.
"""

import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Final

import gevent

from chatserver.errors import StartError
from chatserver.loop import Loop

LOOK_SECONDS: Final = 60.0
"""Seconds between two looks at the files. Certificates are renewed weeks before their end."""

HTTP_1_1: Final = "http/1.1"
"""The only protocol that the server has (RFC 7301, section 6)."""

logger = logging.getLogger("chatserver")


def make_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's context, with the interpreter's defaults: TLS 1.2 and later.

    Args:
        certificate: a PEM file with the certificate, and the ones between it and its root.
        key: a PEM file with its key; it may be the same.

    Raises:
        StartError: a file cannot be read, or they do not belong together.
    """

    def refuse_password() -> str:
        raise StartError(
            f"The key {key} is encrypted, and a server has nobody to ask for the password; write it"
            f" without one: openssl pkey -in {key} -out plain.pem"
        )

    try:
        # OpenSSL does not say which of the two it could not read.
        for path in (certificate, key):
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise StartError(f"Cannot read {error.filename} ({error.strerror}).") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols([HTTP_1_1])
    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except OSError as error:
        raise StartError(
            f"The certificate {certificate} and the key {key} cannot be used"
            f" ({error.strerror or error}): both must be PEM, and the key that of the first"
            " certificate in the file."
        ) from None
    return context


class ShownCertificate:
    """The certificate of a server, always that of the files.

    Attributes:
        context: what the server is to be given.
    """

    def __init__(self, files: tuple[str, str], make: Callable[[], ssl.SSLContext]) -> None:
        """Load it, and look at the files every minute from now on. Raises StartError.

        Args:
            files: those of the certificate and the key.
            make: makes a context of what they hold. What it raises is logged, and the certificate
                before stays.
        """
        self._files = files
        self._make = make
        self._loaded = self._signature()
        self._newest = self.context = make()
        self.context.sni_callback = self._choose
        Loop(f"Looking at the certificate {files[0]}", self._look_later)

    def look(self) -> None:
        """Show what the files hold, if they have changed."""
        signature = self._signature()
        if signature == self._loaded:
            return
        try:
            self._newest = self._make()
        except (StartError, OSError) as error:
            # The one file is often written before the other.
            logger.error("%s The certificate before is shown until that is mended.", error)
            return
        self._loaded = signature
        logger.info("The certificate %s was replaced and is shown from now on.", self._files[0])

    def _look_later(self) -> None:
        gevent.sleep(LOOK_SECONDS)
        self.look()

    def _signature(self) -> list[tuple[int, int, int] | None]:
        return [_signature(path) for path in self._files]

    def _choose(self, handshake: Any, host: str | None, context: ssl.SSLContext) -> None:
        handshake.context = self._newest


def _signature(path: str) -> tuple[int, int, int] | None:
    """What changes when the file does, or the one that a link at its place leads to; None if there
    is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
