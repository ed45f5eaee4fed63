"""The head of an HTTP request, as strictly as RFC 9112 has it, and bounded as a whole.

What one reader of a request takes for its end or its host and another one does not, such as a proxy
and the server behind it, smuggles requests past the first. So what the RFC says must be refused is,
and what it says may be, with status 400. Without I/O of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head as a whole, its first line included. Browsers send up to some KiB."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""RFC 9110, section 5.6.2."""

_REQUEST_LINE: Final = re.compile(
    rb"%b [!-~\x80-\xff]+ HTTP/(?P<version>1\.[01])\r?\n" % _TOKEN  # no HTTP/0.9, which has none
)
"""RFC 9112, section 3. Bytes beyond ASCII are not of a URI, but harmless, and some programs send
them."""

_FIELD: Final = re.compile(rb"(?P<name>%b):[ \t]*(?P<value>[\t -~\x80-\xff]*)\r?\n" % _TOKEN)
"""RFC 9112, section 5: no space before the colon, no line that goes on with the one before, and RFC
9110, section 5.5: no control characters."""

_HOST: Final = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.]+\])(:[0-9]*)?")
"""RFC 3986, section 3.2."""

_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
"""RFC 9110, section 8.6; a body of an exabyte or more is none."""


class BadHead(ValueError):
    """What was sent is no request; answered with status 400."""


class HeadTooLarge(BadHead):
    """The head is too large; answered with status 431 (RFC 6585, section 5)."""


def read_fields(request_line: bytes, readline: Callable[[int], bytes]) -> bytes:
    """Read the rest of a head whose first line is there already, and check all of it.

    Args:
        request_line: with its end.
        readline: reads a line with its end, or as many bytes as it is told if the line is longer.

    Returns:
        The header fields and the empty line after them, as they came.

    Raises:
        BadHead: it is none that may be answered.
        OSError: the connection broke, or what `readline` raises.
    """
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None:
        raise BadHead(f"no request line: {request_line[:100]!r}")
    left = MAX_HEAD - len(request_line)
    lines: list[bytes] = []
    fields: dict[bytes, list[bytes]] = {}
    while True:
        line = readline(left + 1)
        left -= len(line)
        if left < 0:
            raise HeadTooLarge(f"a head of more than {MAX_HEAD} bytes")
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the connection ended within the head of a request")
        lines.append(line)
        if line in (b"\r\n", b"\n"):
            break
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadHead(f"no header field: {line[:100]!r}")
        fields.setdefault(field["name"].lower(), []).append(field["value"].rstrip(b" \t"))
    _check_host(fields.get(b"host", []), matched["version"])
    _check_framing(fields, matched["version"])
    return b"".join(lines)


def _check_host(hosts: list[bytes], version: bytes) -> None:
    """RFC 9112, section 3.2."""
    if len(hosts) > 1:
        raise BadHead("more than one Host")
    if not hosts and version != b"1.0":
        raise BadHead("no Host")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadHead(f"no host: {hosts[0][:100]!r}")


def _check_framing(fields: dict[bytes, list[bytes]], version: bytes) -> None:
    """Where the body ends must be beyond doubt (RFC 9112, sections 6.1 to 6.3)."""
    lengths = fields.get(b"content-length", [])
    codings = fields.get(b"transfer-encoding", [])
    if codings and lengths:
        raise BadHead("both Content-Length and Transfer-Encoding")
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise BadHead(f"no Content-Length: {lengths[0][:100]!r}")
    if codings and version == b"1.0":
        raise BadHead("Transfer-Encoding in HTTP/1.0")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise BadHead(f"not chunked alone: {codings[0][:100]!r}")
