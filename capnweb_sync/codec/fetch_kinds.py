"""The values of the Fetch API (`values/fetch.py`), and the streams in them."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import RpcRangeError, RpcTypeError
from ..streams.streams import ReadableStream
from ..values.fetch import (
    URL,
    Headers,
    Request,
    Response,
)
from .encoder import Encoder
from .evaluator import Evaluator, unknown
from .registry import encodes, evaluates

NEEDS_HOST: Final = frozenset({"ftp", "http", "https", "ws", "wss"})
"""The special schemes of the URL standard (section 4.2); `file` is one, but can do without."""

SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
NOT_IN_URL: Final = re.compile(r"[\x00-\x1f\x7f]|^ | $")
NOT_IN_HOST: Final = re.compile(r"[ #%<>?@\\^|]")
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method, or the name of a header (RFC 9110, section 5.6.2)."""

FIELD_VALUE: Final = re.compile(r"[^\x00\r\n\u0100-\U0010ffff]*")
STATUS_TEXT: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""What the Fetch standard lets stand there (sections 2.2.2 and 5.5)."""

FORBIDDEN_METHODS: Final = frozenset({"CONNECT", "TRACE", "TRACK"})
WITHOUT_BODY: Final = frozenset({204, 205, 304})
"""Of the Fetch standard (sections 2.2.1 and 2.2.3)."""


@encodes(URL)
def encode_url(encoder: Encoder, value: URL, depth: int) -> Any:
    """`["url", href]`."""
    return ["url", str(value)]


@encodes(Headers)
def encode_headers(encoder: Encoder, value: Headers, depth: int) -> Any:
    """`["headers", pairs]`."""
    return ["headers", pairs_of(value)]


def pairs_of(headers: Headers) -> list[list[str]]:
    """Headers as JSON."""
    return [list(pair) for pair in headers.pairs]


@encodes(Request)
def encode_request(encoder: Encoder, value: Request, depth: int) -> Any:
    """`["request", url, init]`."""
    init = dict(value.init)
    if value.method != "GET":
        init["method"] = value.method
    if value.headers.pairs:
        init["headers"] = pairs_of(value.headers)
    if value.body is not None:
        init["body"] = encoder.encode_part(value.body, depth + 1)
        init.setdefault("duplex", "half")
    return ["request", value.url, init]


@encodes(Response)
def encode_response(encoder: Encoder, value: Response, depth: int) -> Any:
    """`["response", body, init]`."""
    init = dict(value.init)
    if value.status != 200:
        init["status"] = value.status
    if value.status_text:
        init["statusText"] = value.status_text
    if value.headers.pairs:
        init["headers"] = pairs_of(value.headers)
    return ["response", encoder.encode_part(value.body, depth + 1), init]


@evaluates("url")
def evaluate_url(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["url", href]`."""
    if len(value) != 2 or not isinstance(value[1], str):
        raise unknown(value)
    return url_of(value[1])


def url_of(text: str) -> URL:
    """The URL that `text` is. Raises RpcTypeError unless it is absolute."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = parts.port  # looked at only here
        valid = (
            SCHEME.match(text) is not None
            and NOT_IN_URL.search(text) is None
            and NOT_IN_HOST.search(host) is None
            and (host != "" or (parts.scheme not in NEEDS_HOST and port is None))
        )
    except ValueError:
        valid = False
    if not valid:
        raise RpcTypeError(f"Invalid URL: {text[:200]!r}")
    return URL(text)


@evaluates("headers")
def evaluate_headers(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["headers", pairs]`."""
    if len(value) != 2:
        raise unknown(value)
    return headers_of(value[1])


def headers_of(pairs: Any) -> Headers:
    """The headers for a list of pairs. Raises RpcTypeError if it is none, or if HTTP could not
    carry it."""
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        for pair in pairs
    ):
        raise RpcTypeError("Headers are sent as an array of pairs of strings.")
    headers = tuple((name, text.strip(" \t\r\n")) for name, text in pairs)
    for name, text in headers:
        if TOKEN.fullmatch(name) is None:
            raise RpcTypeError(f"Invalid name of a header: {name[:64]!r}")
        if FIELD_VALUE.fullmatch(text) is None:
            raise RpcTypeError(f"Invalid value of the header {name[:64]!r}.")
    return Headers(headers)


@evaluates("request")
def evaluate_request(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["request", url, init]`."""
    if len(value) != 3 or not isinstance(value[1], str) or not isinstance(value[2], dict):
        raise unknown(value)
    init = value[2]
    if init.get("signal"):
        raise RpcTypeError("An AbortSignal can't be sent.")
    body = _body(evaluator, init.pop("body", None), init, "Request", depth)
    method = init.pop("method", "GET")
    if not isinstance(method, str):
        raise unknown(value)
    if TOKEN.fullmatch(method) is None or method.upper() in FORBIDDEN_METHODS:
        raise RpcTypeError(f"Invalid method of a request: {method[:64]!r}")
    if body is not None and method.upper() in ("GET", "HEAD"):
        raise RpcTypeError(f"A request with the method {method} has no body.")
    return Request(url_of(value[1]), method, headers_of(init.pop("headers", [])), body, init)


@evaluates("response")
def evaluate_response(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["response", body, init]`."""
    if len(value) != 3 or not isinstance(value[2], dict):
        raise unknown(value)
    init = value[2]
    if init.get("webSocket"):
        raise RpcTypeError("Can't deserialize a Response containing a webSocket.")
    body = _body(evaluator, value[1], init, "Response", depth)
    status, text = init.pop("status", 200), init.pop("statusText", "")
    if type(status) is not int or not isinstance(text, str):
        raise unknown(value)
    if not 200 <= status <= 599:
        raise RpcRangeError(f"The status of a response is 200 to 599, not {status}.")
    if body is not None and status in WITHOUT_BODY:
        raise RpcTypeError(f"A response with the status {status} has no body.")
    if STATUS_TEXT.fullmatch(text) is None:
        raise RpcTypeError("Invalid status text of a response.")
    return Response(body, status, text, headers_of(init.pop("headers", [])), init)


def _body(evaluator: Evaluator, expression: Any, init: Any, what: str, depth: int) -> Any:
    body = evaluator.evaluate_part(expression, init, "body", depth + 1)
    if body is not None and not isinstance(body, (str, bytes, ReadableStream)):
        raise RpcTypeError(f"{what} body must be of type ReadableStream.")
    return body
