"""How the values of `fetch.py` and streams travel; a part of the encoder and of the evaluator."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from capnweb_sync.codec.byte_kinds import _encode_bytes

from ..errors import RpcRangeError, RpcTypeError
from ..streams.streams import FILE_CHUNK, ReadableStream, WritableStream, is_source
from ..values.fetch import (
    URL,
    Blob,
    ByteContainer,
    Headers,
    Request,
    Response,
)

if TYPE_CHECKING:
    from .encoder import Encoder
    from .evaluator import Evaluator


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

KINDS: Final = (
    bytes,
    bytearray,
    memoryview,
    array,
    ByteContainer,
    WritableStream,
    ReadableStream,
    Iterator,
    URL,
    Blob,
    Headers,
    Request,
    Response,
)
"""What `encode` has a form for, open files apart."""

NOT_ENCODED: Final = object()
"""The answer of `encode` for a value that is none of these."""


def encode(encoder: Encoder, value: Any, depth: int) -> Any:
    """The expression for a value of `fetch.py` or a stream; NOT_ENCODED for any other."""
    if isinstance(value, (bytes, bytearray, memoryview, array)):
        return _encode_bytes(value)
    if isinstance(value, WritableStream):
        return encoder.export_sink(value)
    if is_source(value):
        source = value if isinstance(value, ReadableStream) else ReadableStream(value)
        return encoder.pipe(source)
    if isinstance(value, URL):
        return ["url", str(value)]
    if isinstance(value, Blob):
        data = value.data
        chunks = (data[at : at + FILE_CHUNK] for at in range(0, len(data), FILE_CHUNK))
        return ["blob", value.type, encoder.pipe(ReadableStream(chunks))]
    if isinstance(value, Headers):
        return ["headers", [list(pair) for pair in value.pairs]]
    if isinstance(value, Request):
        return _encode_request(encoder, value, depth)
    if isinstance(value, Response):
        return _encode_response(encoder, value, depth)
    return NOT_ENCODED


def _encode_request(encoder: Encoder, value: Request, depth: int) -> Any:
    init = dict(value.init)
    if value.method != "GET":
        init["method"] = value.method
    if value.headers.pairs:
        init["headers"] = [list(pair) for pair in value.headers.pairs]
    if value.body is not None:
        init["body"] = encoder.encode_part(value.body, depth + 1)
        init.setdefault("duplex", "half")
    return ["request", value.url, init]


def _encode_response(encoder: Encoder, value: Response, depth: int) -> Any:
    init = dict(value.init)
    if value.status != 200:
        init["status"] = value.status
    if value.status_text:
        init["statusText"] = value.status_text
    if value.headers.pairs:
        init["headers"] = [list(pair) for pair in value.headers.pairs]
    return ["response", encoder.encode_part(value.body, depth + 1), init]


def decode_url(evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int) -> Any:
    """`["url", href]`."""
    if len(value) != 2 or not isinstance(value[1], str):
        raise evaluator.unknown(value)
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


def decode_headers(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["headers", pairs]`."""
    if len(value) != 2:
        raise evaluator.unknown(value)
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


def decode_request(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["request", url, init]`."""
    if len(value) != 3 or not isinstance(value[1], str) or not isinstance(value[2], dict):
        raise evaluator.unknown(value)
    init = value[2]
    if init.get("signal"):
        raise RpcTypeError("An AbortSignal can't be sent.")
    body = _body(evaluator, init.pop("body", None), init, "Request", depth)
    method = init.pop("method", "GET")
    if not isinstance(method, str):
        raise evaluator.unknown(value)
    if TOKEN.fullmatch(method) is None or method.upper() in FORBIDDEN_METHODS:
        raise RpcTypeError(f"Invalid method of a request: {method[:64]!r}")
    if body is not None and method.upper() in ("GET", "HEAD"):
        raise RpcTypeError(f"A request with the method {method} has no body.")
    return Request(url_of(value[1]), method, headers_of(init.pop("headers", [])), body, init)


def decode_response(
    evaluator: Evaluator, value: list[Any], container: Any, key: Any, depth: int
) -> Any:
    """`["response", body, init]`."""
    if len(value) != 3 or not isinstance(value[2], dict):
        raise evaluator.unknown(value)
    init = value[2]
    if init.get("webSocket"):
        raise RpcTypeError("Can't deserialize a Response containing a webSocket.")
    body = _body(evaluator, value[1], init, "Response", depth)
    status, text = init.pop("status", 200), init.pop("statusText", "")
    if type(status) is not int or not isinstance(text, str):
        raise evaluator.unknown(value)
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
