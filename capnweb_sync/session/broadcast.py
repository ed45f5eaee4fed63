"""One call to many, at the price of one.

The arguments are encoded once. Recipients with the same target id and path (usually all of them:
the first callback of each connection) share one packed message, so a delivery costs taking an id
and appending a reference to an outbox. No result is asked for; the releases follow, gathered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from ..codec.encoder import Encoder, NoExporter
from ..core.hooks import ErrorHook, Hook
from ..core.payload import Payload
from ..core.stubs import Path, RpcStub
from ..errors import RpcError, SessionOfParent, logger
from ..runtimes.interface import default_runtime
from ..values import json_text
from .import_hooks import ImportHook


def broadcast(stubs: Iterable[RpcStub], method: str | None, *args: Any) -> int:
    """Call a method of many stubs, asking for no result.

    A recipient is a stub, or a promise for a property (`callback.onMessage`), whose path then comes
    before `method`. Recipients that cannot be called are left out: their session is over, they were
    disposed of, or they are no stubs of their peer and too much is waiting there already. None of
    them keeps the call from the others.

    Args:
        stubs: the recipients.
        method: the name of the method; None calls the recipient itself.
        args: the arguments, encoded once for all.

    Returns:
        How many calls were sent.

    Raises:
        TypeError: `args` hold functions, stubs or objects by reference: each recipient would need
            its own.
        SessionOfParent: a recipient is of the process that forked this one.
    """
    return broadcast_all(stubs, method, [args])


def broadcast_all(
    stubs: Iterable[RpcStub], method: str | None, calls: Sequence[Sequence[Any]]
) -> int:
    """Like `broadcast`, for several calls one after another: `calls` has the arguments of each.

    Where the transport can join messages, all of them are one piece for each recipient.

    Args:
        stubs: the recipients.
        method: the name of the method; None calls the recipient itself.
        calls: the arguments of each call, in order.

    Returns:
        How many calls were sent, to all recipients together.

    Raises:
        TypeError: as `broadcast`.
        SessionOfParent: as `broadcast`.
    """
    arguments = [encoded(args) for args in calls]
    if not arguments:
        return 0
    tail: Path = (method,) if method else ()
    recipients = list(stubs)  # outside of the step: it may be application code that lists them
    return default_runtime().step.run(_tell, recipients, tail, calls, arguments)


def _tell(
    recipients: list[RpcStub],
    tail: Path,
    calls: Sequence[Sequence[Any]],
    arguments: list[bytes],
) -> int:
    count = len(arguments)
    packed: dict[tuple[int, Path, Any], list[bytes]] = {}
    known_id, known_path, known_pack = 0, None, None
    pieces: list[bytes] = []
    calls_each = 0
    sent = 0
    for stub in recipients:
        try:
            hook, path = stub._hook, stub._path or ()
            entry = hook.entry if isinstance(hook, ImportHook) else None
            if entry is None or entry.resolution is not None:
                sent += _call_plainly(hook, (*path, *tail), calls)
                continue
            session = entry.session
            pack = session.pack
            if entry.import_id != known_id or path != known_path or pack is not known_pack:
                session.runtime.step  # noqa: B018 - raises in a forked child
                key = (entry.import_id, path, pack)
                if key not in packed:
                    messages = [
                        pack(push_message(entry.import_id, (*path, *tail), encoded_args))
                        for encoded_args in arguments
                    ]
                    packed[key] = [b"".join(messages)] if session.can_concatenate else messages
                pieces = packed[key]
                calls_each = count // len(pieces)
                known_id, known_path, known_pack = key
        except SessionOfParent:
            raise
        except Exception:
            logger.exception("A recipient of a broadcast failed; the others are told.")
            continue
        try:
            for piece in pieces:
                session.push_unneeded(piece, calls_each)
        except Exception as error:
            # The peer counts what it gets: with one message missing nothing fits any more.
            logger.exception("A transport failed to take a message; its session is over.")
            session.connection_lost(None, f"Sending failed: {error!r}")
            continue
        except BaseException:
            session.change()  # cut, see `Step`
            raise
        sent += count
    return sent


def encoded(args: Sequence[Any]) -> bytes:
    """The arguments of one call as JSON. Raises TypeError for capabilities."""
    return json_text.dumps(Encoder(NoExporter(), Payload(list(args), "params")).encode()[0])


def push_message(import_id: int, path: Path, arguments: bytes) -> bytes:
    """The message that calls `path` of an import."""
    return b'["push",["pipeline",%d,%b,%b]]' % (import_id, json_text.dumps(path), arguments)


def _call_plainly(hook: Hook, path: Path, calls: Sequence[Sequence[Any]]) -> int:
    """For a recipient that is not a live import: a local target, or a promise that has been
    resolved since. How many calls it took; what it raises is its own affair."""
    if isinstance(hook, ImportHook):
        resolution = hook.entry.resolution if hook.entry is not None else None
        if resolution is None:
            return 0
        hook = resolution
    if isinstance(hook, ErrorHook):
        return 0
    taken = 0
    with suppress(RpcError):  # too much is waiting for it, or its session is over
        for args in calls:
            hook.invoke(path, args).dispose()
            taken += 1
    return taken
