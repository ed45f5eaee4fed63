"""Which web pages may use a server: the origins that browsers tell, and those that are allowed.

A browser sends the cookies and the network position of whoever looks at a page along with the
page's requests, for WebSockets and for a POST of plain text without asking the server before. So a
server of ours looks at the header `Origin` of each (RFC 6455, section 10.2): a page of its own site
may come in, and so may a program that is no page and sends none. Pages of other sites are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Any, Final

ANY: Final = "*"
"""Allows every origin."""

#: Pages of files, of sandboxed frames, and those of Electron and Cordova: their origins have no
#: host, and the first is not even a URL (RFC 6454, section 6.2; Chromium for `file:`).
_WITHOUT_HOST: Final = ("null", "file://")

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(:(?P<port>[0-9]+))?/?"
)

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
"""Left out in an `Origin` and in a `Host`."""

_MAX_PORT: Final = 65_535

_FORM: Final = f"must look like https://chat.example, or be null, file:// or {ANY} for any"


class Origins:
    """The origins whose pages may use a server, besides the server's own."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """
        Args:
            allowed: origins as browsers send them, such as `https://chat.example`; `null` and
                `file://` for pages that have no site; `*` for all.

        Raises:
            ValueError: one of them could never be a page's origin.
            TypeError: `allowed` is a string, of which each letter would be an origin.
        """
        if isinstance(allowed, str):
            raise TypeError(f"the origins are a list of strings, not the string {allowed!r}")
        self._allowed = frozenset(map(_checked, allowed))

    def refuse(self, environ: Mapping[str, Any]) -> bool:
        """Whether the request of this WSGI environ comes from a page that may not send it."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or ANY in self._allowed:
            return False
        origin = origin.lower()
        return not (_without_default_port(origin) in self._allowed or _is_own(origin, environ))

    def answer_headers(self, environ: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What an answer needs so that the page which sent the request may read it, if it may."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or self.refuse(environ):
            return []
        return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]


def parse_origin(text: str) -> str:
    """An origin that is to be allowed, in the form in which it is compared.

    Raises:
        ValueError: no page can have it; says what is wrong with it, as the end of a sentence.
    """
    origin = text.strip().lower()
    if origin == ANY or origin in _WITHOUT_HOST:
        return origin
    if not origin.isascii():
        raise ValueError("must be in ASCII, as browsers send it: the host as xn--…")
    if ANY in origin:
        raise ValueError(f"must name one host; it can contain no {ANY}, only be {ANY} for any")
    match = _ORIGIN.fullmatch(origin)
    if match is None or not _is_host(match["host"]) or int(match["port"] or 0) > _MAX_PORT:
        raise ValueError(_FORM)
    if match["scheme"] in ("ws", "wss"):
        page = match["scheme"].replace("ws", "http")
        raise ValueError(f"must be the page's, which begins with {page}://")
    return _without_default_port(origin.rstrip("/"))


def _checked(origin: str) -> str:
    try:
        return parse_origin(origin)
    except ValueError as error:
        raise ValueError(f"the origin {origin!r} {error}") from None


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def _is_own(origin: str, environ: Mapping[str, Any]) -> bool:
    """Whether the page is of the host that the request was sent to.

    The scheme is not compared: behind a proxy that does TLS the server does not know its own.
    """
    scheme, separator, host = _without_default_port(origin).partition("://")
    asked = _without_default_port(f"{scheme}://{environ.get('HTTP_HOST', '').lower()}")
    return bool(separator and host) and asked == f"{scheme}://{host}"


def _without_default_port(origin: str) -> str:
    scheme, _, _ = origin.partition(":")
    return origin.removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")
