"""What a WSGI request says: who sends it, its body within bounds, and the same as Flask sees it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from flask import Request

Environ: TypeAlias = dict[str, Any]


def request_of(environ: Environ) -> Request:
    """The request as Flask sees it: the present one, or one of its own."""
    import flask

    if flask.has_request_context() and flask.request.environ is environ:
        # What stands behind the name, which goes with the request.
        return cast("Request", flask.request._get_current_object())  # type: ignore[attr-defined]
    return flask.Request(environ)


def in_a_request() -> bool:
    """Whether a request of Flask's is being answered here, now."""
    flask = sys.modules.get("flask")
    return flask is not None and bool(flask.has_request_context())


def address_of(environ: Environ) -> tuple[str, int]:
    """Host and port of the peer, or of the client where the application believes its proxies
    (Werkzeug's `ProxyFix`); 0 for a port that nobody tells: there it is the proxy's."""
    host = environ.get("REMOTE_ADDR", "")
    peer = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR", host)
    port = str(environ.get("REMOTE_PORT", "")) if host == peer else ""
    return host, int(port) if port.isdecimal() else 0


class TooLarge(Exception):
    """The body of a request has more bytes than are accepted."""


def read_body(environ: Environ, limit: int) -> bytes:
    """The body of the request. Raises TooLarge past `limit` bytes, ValueError if it is broken."""
    announced = environ.get("CONTENT_LENGTH") or ""
    terminated = environ.get("wsgi.input_terminated") or "HTTP_TRANSFER_ENCODING" in environ
    if announced and not announced.isdecimal():
        raise ValueError
    size = int(announced) if announced else limit + 1 if terminated else 0
    if announced and size > limit:
        raise TooLarge
    try:
        body: bytes = environ["wsgi.input"].read(size)
    except OSError as error:
        raise ValueError from error
    if len(body) > limit:
        raise TooLarge
    if announced and len(body) != size:
        raise ValueError
    return body
