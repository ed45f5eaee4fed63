"""One call to many, at the price of one.

The arguments are encoded once. Recipients with the same target id and path (usually all of them:
the first callback of each connection) share one packed message, so a delivery costs taking an id
and appending a reference to an outbox. No result is asked for; the releases follow, gathered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import wire
from .encoder import Encoder, NoExporter
from .imports import ImportHook
from .payload import Payload
from .runtime import default_runtime
from .session import RpcSession
from .stubs import RpcStub


def broadcast(stubs: Iterable[RpcStub], method: str | None, *args: Any) -> int:
    """Call `method` of each of `stubs` with `args`, asking for no result.

    A recipient is a stub, or a promise for a property (`callback.onMessage`), whose path then
    comes before `method`; without a method the recipient itself is called. Recipients whose
    session is over are left out. Returns how many calls were sent. Raises TypeError if `args`
    hold functions, stubs or objects by reference: each recipient would need its own.
    """
    expression = Encoder(NoExporter(), Payload(list(args), "params")).encode()[0]
    encoded = wire.dumps(expression)
    tail: tuple[str, ...] = (method,) if method else ()
    packed: dict[Any, bytes] = {}
    session: RpcSession
    sent = 0
    with default_runtime().step:
        for stub in stubs:
            hook = stub._hook
            entry = hook.entry if type(hook) is ImportHook else None
            if entry is None or entry.resolution is not None:
                sent += _call_plainly(stub, tail, args)
                continue
            session = entry.session
            key = (entry.import_id, stub._path, session.transport.pack)
            frame = packed.get(key)
            if frame is None:
                frame = packed[key] = session.transport.pack(
                    b'["push",["pipeline",%d,%b,%b]]'
                    % (entry.import_id, wire.dumps([*(stub._path or ()), *tail]), encoded)
                )
            session.push_unneeded(frame)
            sent += 1
    return sent


def _call_plainly(stub: RpcStub, tail: tuple[str, ...], args: tuple[Any, ...]) -> int:
    """For a recipient that is not a live import: a local target, or a promise that has been
    resolved since."""
    from .hooks import ErrorHook

    hook = stub._hook
    if (
        isinstance(hook, ImportHook)
        and hook.entry is not None
        and hook.entry.resolution is not None
    ):
        hook = hook.entry.resolution
    if isinstance(hook, ErrorHook) or (isinstance(hook, ImportHook) and hook.entry is None):
        return 0
    hook.invoke((*(stub._path or ()), *tail), args).dispose()
    return 1
