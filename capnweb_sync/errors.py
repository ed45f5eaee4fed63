"""The errors of this package, and how exceptions become JavaScript errors and back.

    RpcError                 meant for the peer: travels with its message and properties
      RpcTypeError           …also a TypeError
      RpcRangeError          …also a ValueError
      SessionClosed          the session is over
        SessionOfParent      …because it is the one of the process that forked this one
      RemoteError            arrived from the peer
        RemoteTypeError      …also a TypeError
        RemoteRangeError     …also a ValueError

Any other exception that a served call raises is a bug. Its message stays here; the peer gets the
code `internal` and a reference that stands in the log beside the traceback.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final, TypeVar

logger = logging.getLogger("capnweb_sync")

E = TypeVar("E", bound=BaseException)

Reduced = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


SHOWN: Final = 200
"""Characters of what a peer has written that an error quotes: enough to find it."""


class RpcError(Exception):
    """An error that the application means for the peer.

    An `Error` of JavaScript there, with its own properties.

    Args:
        message: for people.
        code: for programs; None for no code.
        properties: the error's own, the code among them; values are anything that can be sent.
    """

    js_name = "Error"

    def __init__(self, message: str = "", *, code: str | None = None, **properties: Any) -> None:
        super().__init__(message)
        self.message = message
        self.properties: dict[str, Any] = properties
        if code is not None:
            self.properties = {"code": code, **properties}

    def __reduce__(self) -> Reduced:
        return reduced(self)

    @property
    def code(self) -> str | None:
        """The machine-readable code, if there is one and it is a string."""
        code = self.properties.get("code")
        return code if isinstance(code, str) else None


class RpcTypeError(RpcError, TypeError):
    """The peer sent a value of the wrong type, or called what is not a function."""

    js_name = "TypeError"


class RpcRangeError(RpcError, ValueError):
    """The peer sent a value out of range."""

    js_name = "RangeError"


class SessionClosed(RpcError):
    """The session is over; raised by calls that wait for an answer and by later ones.

    Args:
        message: how it ended, a sentence.
        close_code: the WebSocket close code (RFC 6455, section 7.4); None where there is none.
        reason: the sentence that came with it.
    """

    def __init__(self, message: str, *, close_code: int | None = None, reason: str = "") -> None:
        super().__init__(message, code="closed")
        self.close_code = close_code
        self.reason = reason


class SessionOfParent(SessionClosed):
    """This process is a forked child, and uses what is its parent's."""

    def __init__(
        self,
        message: str = "This belongs to the process that forked this one; connect anew here.",
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)


class RemoteError(RpcError):
    """An error that the peer sent.

    What the peer attached is in `properties`, never set as attributes, so that it can shadow
    nothing. A cause is in `properties["cause"]`, and `__cause__` too where it is an error.

    Args:
        message: as the peer wrote it.
        name: the JavaScript class: one of the well-known ones (`ERROR_TYPES` in the reference's
            `serialize.ts`) or `Error`.
        properties: what the peer attached, `code` perhaps among it.
        stack: the peer's stack trace where it sent one.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "Error",
        properties: Mapping[str, Any] | None = None,
        stack: str | None = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.stack = stack
        self.properties = dict(properties or {})
        cause = self.properties.get("cause")
        if isinstance(cause, BaseException):
            self.__cause__ = cause


class RemoteTypeError(RemoteError, TypeError):
    """A `TypeError` that the peer sent."""


class RemoteRangeError(RemoteError, ValueError):
    """A `RangeError` that the peer sent."""


REMOTE_CLASSES: dict[str, type[RemoteError]] = {
    "Error": RemoteError,
    "EvalError": RemoteError,
    "RangeError": RemoteRangeError,
    "ReferenceError": RemoteError,
    "SyntaxError": RemoteError,
    "TypeError": RemoteTypeError,
    "URIError": RemoteError,
    "AggregateError": RemoteError,
}
"""The error classes that the reference knows (`ERROR_TYPES` in its `serialize.ts`). Any other name
arrives as `Error`."""

PYTHON_NAMES: tuple[tuple[type[BaseException], str], ...] = (
    (TypeError, "TypeError"),
    (SyntaxError, "SyntaxError"),
    (NameError, "ReferenceError"),
    (ValueError, "RangeError"),
    (LookupError, "RangeError"),
    (OverflowError, "RangeError"),
)
"""The nearest JavaScript class of a Python exception; the first that fits."""


def shortened(text: str) -> str:
    """The beginning of `text`, which a peer has written, for an error."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def js_name(error: BaseException) -> str:
    """The name of the JavaScript class that stands for `error`."""
    if isinstance(error, RemoteError):
        return error.name
    if isinstance(error, RpcError):
        return error.js_name
    if is_group(error):
        return "AggregateError"
    return next((name for cls, name in PYTHON_NAMES if isinstance(error, cls)), "Error")


def is_group(error: BaseException) -> bool:
    """Whether `error` is an ExceptionGroup (Python 3.11 and later)."""
    return isinstance(getattr(error, "exceptions", None), tuple)


def error_message(error: BaseException) -> str:
    """The sentence of `error`, without its class."""
    if isinstance(error, RpcError):
        return str(error.message)  # `RpcError(error)` is a mistake easily made
    group_message = getattr(error, "message", None)
    if is_group(error) and isinstance(group_message, str):
        return group_message
    return str(error)


def fresh_copy(error: BaseException) -> BaseException:
    """`error`, which is kept, to be raised: a copy of it if it is an RpcError.

    Raising adds a traceback to an exception. That of the one which is kept would grow with each
    use, and its frames hold what uses it: a promise and its error would hold each other.
    """
    if not isinstance(error, RpcError):
        return error
    twin = rebuilt(type(error), error.args, error.__cause__)
    twin.__dict__.update(error.__dict__)
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


def rebuilt(kind: type[E], args: tuple[Any, ...], cause: BaseException | None) -> E:
    """An error of the class `kind` without its `__init__`, whose parameters need not be `args`."""
    error = kind.__new__(kind, *args)
    error.args = args  # an OSError takes them in its `__init__` only
    if cause is not None:
        error.__cause__ = cause
    return error


def reduced(error: BaseException) -> Reduced:
    """What `copy` and `pickle` make another `error` of (`object.__reduce__`).

    Python's own way calls the class with `args`. Where a class takes anything else, that raises a
    TypeError in whoever unpickles it, which is the end of a whole `ProcessPoolExecutor`. The cause
    goes along, unless its class may have this very fault.
    """
    cause = error.__cause__
    reduces_itself = isinstance(type(cause).__reduce__, FunctionType)
    if not reduces_itself and type(cause).__module__ != "builtins":
        cause = None
    return rebuilt, (type(error), error.args, cause), error.__dict__


def drop_locals(error: BaseException) -> None:
    """Let go of what the frames of its traceback hold, and those of its causes: an error is kept
    for as long as the peer likes, and the arguments of the failed call need not be."""
    errors: list[BaseException | None] = [error]
    done: set[int] = set()
    while errors:
        known = errors.pop()
        if known is not None and id(known) not in done:
            done.add(id(known))
            traceback.clear_frames(known.__traceback__)
            errors += [known.__cause__, known.__context__]


def meant_for_peer(error: BaseException) -> RpcError:
    """`error`, which the application has decided to show to the peer: its class as JavaScript has
    it, its message, and its cause as far as that is meant for the peer."""
    if isinstance(error, RpcError):
        return error
    shown = RpcError(error_message(error))
    shown.js_name = js_name(error)
    shown.__cause__ = error.__cause__
    return shown.with_traceback(error.__traceback__)


def redacted(error: BaseException, what: str = "A served call failed") -> RpcError:
    """What the peer may know of `error`: itself if it was meant for the peer, otherwise only a
    reference to the log entry that this call writes, which begins with `what`."""
    if isinstance(error, RpcError):
        return error
    reference = secrets.token_hex(4)
    logger.error("%s; reference %s", what, reference, exc_info=error)
    return RpcError(
        f"Internal error. The server's log has the details under the reference {reference}.",
        code="internal",
        reference=reference,
    )
