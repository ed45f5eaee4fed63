"""The URLs that a client is given, taken apart once, for all who connect.

A URL may carry a user's name and password. They become an `Authorization` header, as HTTP has it
(RFC 7617), and are in nothing that is ever shown.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
"""What a URL without a port means (RFC 9110, section 4.2; RFC 6455, section 3)."""

NOT_IN_A_URL: Final = re.compile("[\x00-\x20\x7f]")
"""Spaces and control characters. Python's parser drops some of them, so that another address than
the one that was written would be asked."""

NOT_IN_A_HOST: Final = re.compile(r"[\x00-\x20\x7f/?#@\\]")
"""What must not come out of a host's percent-encoding: it would end the host, or the line."""

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""

NOT_IN_A_HEADER: Final = re.compile("[\r\n\0]")
"""What must not come out of a value: it would end the line, and begin another header."""

SAFE: Final = "!$%&'()*+,/:;=?@[]~"
"""What stays as it is in a path and a query (RFC 3986), `%` included: it is encoded already."""


@dataclass(frozen=True)
class Target:
    """Where to connect, and what to ask for.

    Attributes:
        url: the same as a URL in ASCII, without name and password; fit to be shown.
        secure: whether it is TLS.
        host: a name, or an address without brackets.
        port: 1 to 65535.
        headers: `Authorization`, if the URL has a name and a password.
    """

    url: str
    secure: bool
    host: str
    port: int
    headers: dict[str, str]


def parse_url(url: str, *schemes: str) -> Target:
    """`url`, whose scheme must be one of `schemes`.

    Raises:
        ValueError: it is no such URL; a sentence that says why, without its password.
    """
    kind = " or ".join(f"{scheme}://" for scheme in schemes)
    shown = repr(without_password(url))
    what = "WebSocket URL" if "ws" in schemes else "URL"
    if url.partition("://")[0].lower() not in schemes:
        raise ValueError(f"A {what} starts with {kind}, not like {shown}.")
    try:
        return _parse(url)
    except ValueError as error:
        why = "its host cannot be a name" if isinstance(error, UnicodeError) else error
        # From None: the parser's own error may quote what the sentence leaves out.
        raise ValueError(f"This is not a {what}: {shown} ({why}).") from None


def _parse(url: str) -> Target:
    if NOT_IN_A_URL.search(url):
        raise ValueError("it has a space or a control character in it")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]") from None
    if parts.fragment or url.endswith("#"):
        raise ValueError("it must not have a fragment; # is written %23")
    port = _port(parts)
    host = unquote(parts.hostname or "")
    if ":" not in host and "[" in parts.netloc.rpartition("@")[2]:
        # Python 3.10 does not look at what stands there.
        raise ValueError("an IPv6 address stands in brackets, as in [::1]")
    if not host or NOT_IN_A_HOST.search(host):
        raise ValueError("it names no host")
    # A zone (`%eth0`) means something on this machine alone (RFC 6874, section 4).
    name = host.partition("%")[0] if ":" in host else host.encode("idna").decode()
    authority = f"[{name}]" if ":" in name else name
    if port is None:
        port = DEFAULT_PORTS[parts.scheme]
    else:
        authority += f":{port}"
    resource = quote(parts.path, SAFE) + (f"?{quote(parts.query, SAFE)}" if parts.query else "")
    return Target(
        url=f"{parts.scheme}://{authority}{resource}",
        secure=parts.scheme in ("https", "wss"),
        host=host if ":" in host else name,
        port=port,
        headers=_authorization(parts),
    )


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("a port is a number from 1 to 65535, and an IPv6 address in brackets")
    return port


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    name, password = unquote(parts.username), unquote(parts.password or "")
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def without_password(url: str) -> str:
    """`url` without what stands before its last @: fit to be shown, whatever it is."""
    before, at, rest = url.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}{rest}" if at and separator else rest


def public_part(url: str) -> str:
    """`url` without a password and a query, where secrets are: fit to be logged."""
    return without_password(url).partition("?")[0]


def merged(target: Target, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request to `target`: what the caller says wins over the URL. Raises
    ValueError for what can be none."""
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"A header can't be called {name!r}.")
        if NOT_IN_A_HEADER.search(value):
            raise ValueError(f"The value of the header {name} has more than one line.")
    given = {name.lower() for name in headers}
    own = {} if "authorization" in given else target.headers
    return {**own, **headers}
