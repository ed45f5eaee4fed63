"""The request before a session: what a valid upgrade to a WebSocket is (RFC 6455, section 4.2), and
refusals, which are plain HTTP answers. Knows no server."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Iterable, Mapping
from http.client import responses
from typing import Any, Final, TypeAlias

from .errors import Reduced, reduced

_logger = logging.getLogger("capnweb_sync.connection")

Headers: TypeAlias = list[tuple[str, str]]

#: Where a server that can do WebSocket leaves its `Upgrade` in the environ.
UPGRADE_KEY: Final = "capnweb_sync.upgrade"

_KEY_SIZE = 16
"""Bytes of a key (RFC 6455, section 4.1)."""

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

_VERSION = "13"
"""The version of RFC 6455, the only one that is spoken."""

_RETRY_AFTER = "5"
"""Seconds, for a client that found the server full: soon, but not at once."""

_UNAVAILABLE = "503 Service Unavailable"
_UPGRADE_REQUIRED = "426 Upgrade Required"
_BAD_REQUEST = "400 Bad Request"

REFUSALS: Final = range(300, 600)
"""Statuses of HTTP for who gets something else than was asked for."""

GEVENT_NEEDED: Final = (
    "This server cannot do WebSocket. Run the application with gevent's WSGIServer and "
    "capnweb_sync.server.WebSocketHandler, or with "
    "gunicorn -k capnweb_sync.server.worker.WebSocketWorker."
)


class HandshakeError(Exception):
    """The request cannot become a WebSocket; answer it with these (RFC 6455, section 4.2.2).

    Args:
        status: of HTTP, code and phrase.
        sentence: for the body: what is wrong, for a person.
        headers: belong to the answer.
    """

    def __init__(self, status: str, sentence: str, headers: Headers | None = None) -> None:
        super().__init__(sentence)
        #: Of HTTP, code and phrase.
        self.status = status
        #: For the body: what is wrong, for a person.
        self.sentence = sentence
        #: Belong to the answer.
        self.headers = headers or []

    def __reduce__(self) -> Reduced:
        return reduced(self)


class UpgradeUnavailable(Exception):
    """The server that runs the application cannot do WebSocket."""

    def __init__(self, sentence: str = GEVENT_NEEDED) -> None:
        """
        Args:
            sentence: which server can, for the body of the answer.
        """
        super().__init__(sentence)
        #: For the body of the answer.
        self.sentence = sentence

    def __reduce__(self) -> Reduced:
        return reduced(self)


class Refused(Exception):
    """Raised by `for_request`: the caller gets no main object but a plain HTTP answer."""

    def __init__(self, status: int, sentence: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """
        Args:
            status: of HTTP, such as 401; of an error, or of a redirect.
            sentence: the body of the answer: what is wrong, for a person.
            headers: further ones, such as `("WWW-Authenticate", "Basic")`.

        Raises:
            ValueError: the status is of another kind.
        """
        if status not in REFUSALS:
            raise ValueError(f"A refusal has a status from 300 to 599, not {status!r}.")
        super().__init__(sentence)
        #: Of HTTP, code and phrase.
        self.status = f"{status} {responses.get(status, 'Refused')}"
        self.sentence = sentence
        self.headers = list(headers)

    def __reduce__(self) -> Reduced:
        return reduced(self)


def accept(environ: Mapping[str, Any]) -> Headers:
    """Check a request for an upgrade.

    Args:
        environ: of WSGI.

    Returns:
        The headers of the 101 answer. No extension and no subprotocol is agreed on.

    Raises:
        HandshakeError: it is not a valid one.
    """
    try:
        headers = _agreed(environ)
    except HandshakeError as error:
        _log(environ, f"{error.status}, {error.sentence}")
        raise
    _log(environ, "101")
    return headers


def _log(environ: Mapping[str, Any], answer: str) -> None:
    """Log the request, without what may be secret: its query, cookies, credentials."""
    _logger.debug(
        "handshake: from %s for %r, origin %r, agent %r: %s",
        environ.get("REMOTE_ADDR") or "a local socket",
        environ.get("PATH_INFO", ""),
        environ.get("HTTP_ORIGIN"),
        environ.get("HTTP_USER_AGENT"),
        answer,
    )


def _agreed(environ: Mapping[str, Any]) -> Headers:
    """The headers of the 101 answer. Raises HandshakeError."""
    if "websocket" not in _tokens(environ, "HTTP_UPGRADE"):
        raise HandshakeError(
            _UPGRADE_REQUIRED,
            "This address speaks WebSocket. Connect with a WebSocket client.",
            [("Upgrade", "websocket"), ("Connection", "Upgrade")],
        )
    if environ.get("REQUEST_METHOD") != "GET":
        problem = "A WebSocket begins with a GET request."
    elif environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        problem = "A WebSocket begins with a request of HTTP/1.1."
    elif "upgrade" not in _tokens(environ, "HTTP_CONNECTION"):
        problem = "The header Connection lacks the word Upgrade. A proxy may have taken it away."
    elif not environ.get("HTTP_HOST"):
        problem = "The header Host is missing."
    elif environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != _VERSION:
        raise HandshakeError(
            _UPGRADE_REQUIRED,
            f"Only version {_VERSION} of the WebSocket protocol is spoken here.",
            [("Sec-WebSocket-Version", _VERSION)],
        )
    elif (environ.get("CONTENT_LENGTH") or "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
        problem = "A request for an upgrade has no body."
    else:
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
        if _is_key(key):
            digest = hashlib.sha1(key.encode("ascii") + _ACCEPT_GUID, usedforsecurity=False)
            return [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", base64.b64encode(digest.digest()).decode("ascii")),
            ]
        problem = f"Sec-WebSocket-Key must be {_KEY_SIZE} bytes in base64."
    raise HandshakeError(_BAD_REQUEST, problem)


def no_room() -> HandshakeError:
    """Say no while there is no room, or no time before the end.

    Returns:
        What to answer: 503, with `Retry-After` in seconds.
    """
    return HandshakeError(
        _UNAVAILABLE,
        "The server is full or about to stop; try again in a moment.",
        [("Retry-After", _RETRY_AFTER)],
    )


def _tokens(environ: Mapping[str, Any], name: str) -> list[str]:
    """The comma-separated words of a header, in lower case."""
    return [token.strip().lower() for token in environ.get(name, "").split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_SIZE
    except (binascii.Error, ValueError):
        return False
