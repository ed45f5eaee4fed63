"""The values of the Fetch API, and byte containers: JavaScript types that Python has no equal for.

They carry data and do nothing. What `Request` and `Response` mean is the Fetch standard's business
(https://fetch.spec.whatwg.org/).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final


class URL(str):
    """A JavaScript `URL`, by its full text. It is not parsed; `urllib.parse` does that."""

    __slots__ = ()


class ByteContainer(bytes):
    """Bytes that are an `ArrayBuffer`, a `DataView` or a `Uint8ClampedArray` in JavaScript. A
    `Uint8Array` is plain `bytes`.

    Args:
        data: the content.
        kind: which of them it is.

    Raises:
        ValueError: it is none of these kinds.
    """

    kind: str

    def __new__(cls, data: bytes, kind: str) -> ByteContainer:
        if kind not in BYTE_KINDS:
            raise ValueError(f"The kind is one of {', '.join(BYTE_KINDS)}, not {kind!r}.")
        container = super().__new__(cls, data)
        container.kind = kind
        return container

    def __eq__(self, other: object) -> bool:
        return bytes.__eq__(self, other) is True and self.kind == getattr(other, "kind", None)

    def __hash__(self) -> int:
        return hash((bytes(self), self.kind))

    def __repr__(self) -> str:
        return f"ByteContainer({bytes(self)!r}, {self.kind!r})"


BYTE_KINDS: Final = ("ArrayBuffer", "DataView", "Uint8ClampedArray")

ARRAY_KINDS: Final = {
    "Int8Array": "b",
    "Int16Array": "h",
    "Uint16Array": "H",
    "Int32Array": "i",
    "Uint32Array": "I",
    "BigInt64Array": "q",
    "BigUint64Array": "Q",
    "Float32Array": "f",
    "Float64Array": "d",
}
"""Typed arrays that are an `array.array` here, with its type code."""


def kind_of_array(value: array[Any]) -> str | None:
    """The typed array for `value`; None for plain bytes. Raises TypeError for characters."""
    code: str = value.typecode
    if code == "B":
        return None
    if code in "lL":  # 4 or 8 bytes, depending on the platform
        code = {("l", 4): "i", ("L", 4): "I", ("l", 8): "q", ("L", 8): "Q"}[code, value.itemsize]
    for kind, known in ARRAY_KINDS.items():
        if code == known:
            return kind
    raise TypeError(f"An array of type code {code!r} can't be sent.")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with a MIME type (https://w3c.github.io/FileAPI/).

    Attributes:
        data: the content.
        type: the MIME type, empty if there is none.
    """

    data: bytes
    type: str = ""


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers, as of the Fetch standard. Names are compared without case.

    Attributes:
        pairs: name and value, in order.
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """Look a header up.

        Args:
            name: in any case.

        Returns:
            Its values, joined with commas as HTTP allows (RFC 9110, section 5.3); None if there is
            none.
        """
        values = [value for key, value in self.pairs if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)


@dataclass(slots=True)
class Request:
    """An HTTP request, as of the Fetch standard. It is data: nothing is sent.

    Attributes:
        url: where to.
        method: in capitals.
        headers: its headers.
        body: None, text, bytes or a `ReadableStream`.
        init: what else the `Request` constructor takes, such as `redirect`.
    """

    url: str
    method: str = "GET"
    headers: Headers = field(default_factory=Headers)
    body: Any = None
    init: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Response:
    """An HTTP response, as of the Fetch standard.

    Attributes:
        body: None, text, bytes or a `ReadableStream`.
        status: the code, 200 to 599.
        status_text: the phrase.
        headers: its headers.
        init: what else the `Response` constructor takes.
    """

    body: Any = None
    status: int = 200
    status_text: str = ""
    headers: Headers = field(default_factory=Headers)
    init: dict[str, Any] = field(default_factory=dict)
