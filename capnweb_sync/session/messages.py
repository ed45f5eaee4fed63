"""What each message that a peer sends does to the session. Runs under the step.

A handler returns False for a message that is not of its form. What is against the protocol raises
RpcError, which ends the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from ..codec.evaluator import Evaluator, evaluate_hook, is_id, quoted
from ..codec.registry import Importer
from ..core.hooks import ErrorHook
from ..core.local_hooks import PayloadHook
from ..errors import SHOWN, RpcError
from ..runtimes.interface import Runtime
from ..streams.pipe import Pipe
from ..streams.sinks import PipeHook
from ..streams.streams import ReadableStream
from ..values import json_text
from .export_table import ExportingSession, ExportTable
from .import_table import ImportTable
from .plain_call import add_plain_call


class ReceivingSession(Importer, ExportingSession, Protocol):
    """What messages change."""

    @property
    def runtime(self) -> Runtime:
        """For whom streams wait."""
        ...

    @property
    def exports(self) -> ExportTable:
        """What the peer may name."""
        ...

    @property
    def imports(self) -> ImportTable:
        """What the peer has passed, and the results that it owes."""
        ...

    def new_pipe(self) -> Pipe:
        """A pipe that the peer writes to; it ends with the session."""
        ...

    def peer_aborted(self, error: BaseException) -> None:
        """The peer has ended the session because of `error`."""
        ...


class NotJson(RpcError):
    """The peer sent a message that is not JSON."""

    js_name = "SyntaxError"


def parse(message: str | bytes) -> Any:
    """The JSON value of a message. Raises RpcError if it is none."""
    try:
        return json_text.loads(message)
    except ValueError as error:
        raise NotJson(f"The message is not JSON: {error}") from None


def take(session: ReceivingSession, message: Any) -> None:
    """Do what `message`, a JSON value, says. Raises RpcError."""
    if type(message) is list and message and type(message[0]) is str:
        handler = HANDLERS.get(message[0])
        if handler is not None and handler(session, message):
            return
    raise RpcError(f"bad RPC message: {quoted(message)}")


def push(session: ReceivingSession, message: list[Any]) -> bool:
    """`["push", expression]`"""
    if len(message) < 2:
        return False
    if not add_plain_call(session.exports, session, session.calls, message[1]):
        session.exports.add_pushed(session, evaluate_hook(session, message[1]))
    return True


def stream(session: ReceivingSession, message: list[Any]) -> bool:
    """`["stream", expression]`"""
    if len(message) < 2:
        return False
    export = session.exports.add_pushed(session, evaluate_hook(session, message[1]))
    export.auto_release = True
    export.pull()
    return True


def pipe(session: ReceivingSession, message: list[Any]) -> bool:
    """`["pipe"]`"""
    opened = session.new_pipe()
    export = session.exports.add_pushed(session, PipeHook(opened, session.calls))
    export.readable = ReadableStream.of_pipe(opened, session.runtime)
    return True


def pull(session: ReceivingSession, message: list[Any]) -> bool:
    """`["pull", id]`"""
    if len(message) < 2 or not is_id(message[1]):
        return False
    session.exports.find(message[1]).pull()
    return True


def resolve(session: ReceivingSession, message: list[Any]) -> bool:
    """`["resolve", id, expression]`"""
    if len(message) < 3 or not is_promise_id(message[1]):
        return False
    entry = session.imports.entries.get(message[1])
    payload = Evaluator(session).evaluate(message[2])
    if message[1] < 0:
        # A promise of the peer's stands where the peer has put it. What this side has asked for is
        # the application's, which may keep as much as it likes.
        payload.keep(session.ledger)
    hook = PayloadHook(payload, session.calls)
    if entry is None:
        hook.dispose()
    else:
        entry.resolve(hook)
    return True


def reject(session: ReceivingSession, message: list[Any]) -> bool:
    """`["reject", id, expression]`"""
    if len(message) < 3 or not is_promise_id(message[1]):
        return False
    error = failure(session, message[2])
    entry = session.imports.entries.get(message[1])
    if entry is not None:
        # As with what it resolves to.
        entry.resolve(ErrorHook(error, session.ledger if message[1] < 0 else None))
    return True


def release(session: ReceivingSession, message: list[Any]) -> bool:
    """`["release", id, count]`"""
    if len(message) < 3 or not is_id(message[1]) or not is_id(message[2]) or message[2] < 1:
        return False
    session.exports.find(message[1]).release(message[2])
    return True


def abort(session: ReceivingSession, message: list[Any]) -> bool:
    """`["abort", expression]`"""
    if len(message) < 2:
        return False
    session.peer_aborted(failure(session, message[1]))
    return True


def failure(session: ReceivingSession, expression: Any) -> BaseException:
    """The exception in a reject or abort; JavaScript can throw any value."""
    payload = Evaluator(session).evaluate(expression)
    payload.dispose()
    value = payload.value
    if isinstance(value, BaseException):
        return value
    what = repr(value[:SHOWN]) if isinstance(value, str) else f"a {type(value).__name__}"
    return RpcError(f"The peer threw a value that is no error: {what}")


def is_promise_id(value: Any) -> bool:
    """Whether `value` may be the id of a promise: the main object, 0, is none."""
    return is_id(value) and value != 0


Handler = Callable[["ReceivingSession", list[Any]], bool]

HANDLERS: Final[dict[str, Handler]] = {
    "push": push,
    "stream": stream,
    "pipe": pipe,
    "pull": pull,
    "resolve": resolve,
    "reject": reject,
    "release": release,
    "abort": abort,
}
"""By the message's name."""
