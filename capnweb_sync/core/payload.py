"""A value on its way through the core, and who owns the stubs in it.

The rules are the reference's (its page on disposal, `RpcPayload` in its `core.ts`):

- `params`: arguments as the application passed them. The stubs in them stay the caller's; what is
  sent or kept is a duplicate.
- `return`: a result as the application returned it. The stubs in it are the core's from now on.
- `owned`: received, or copied. Every hook and promise in the value stands in the lists, and
  disposing of the payload disposes of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, cast

from ..deferred import Deferred, trampoline
from ..errors import RpcError
from ..runtimes.steps import serving
from ..values.javascript import BigInt, Undefined
from .late import AnyHook, late
from .ledger import NOTHING, SMALL_VALUE, UNWEIGHED, Kept, Ledger, size_of
from .stubs import Path, RpcPromise, RpcStub
from .targets import RpcTarget, is_function

Source = Literal["params", "return", "owned"]

PLAIN = frozenset({str, int, float, bool, type(None), bytes, BigInt, Undefined, datetime})
"""Types of values that hold no capability; looked up before anything else."""


class Payload:
    """One value with the capabilities in it."""

    __slots__ = (
        "_is_plain",
        "_targets",
        "hooks",
        "kept",
        "on_dispose",
        "promises",
        "received_size",
        "source",
        "value",
        "weight",
    )

    def __init__(self, value: Any, source: Source) -> None:
        self.value = value
        self.source: Source = source
        self.hooks: Sequence[AnyHook] = ()
        self.promises: Sequence[tuple[Any, Any, RpcPromise]] = ()
        """(container, key, promise): where in the value a promise stands. The container of the
        value itself is this payload."""
        self.on_dispose: Callable[[Payload], None] | None = None
        self.received_size = 0
        """For the arguments of a served call: bytes of the message that brought them."""
        self.weight = 0
        """Bytes that promises in it have brought in: arguments of a served call are weighed."""
        self.kept: Kept | None = None
        """The place of the value in the ledger of a session, if it is worth one."""
        self._is_plain: bool | None = None
        self._targets: dict[int, AnyHook] | None = None

    def is_plain(self) -> bool:
        """Whether there is surely no capability in the value; looked at once."""
        if self._is_plain is None:
            owned = self.source == "owned"
            self._is_plain = not (self.hooks or self.promises) if owned else is_plain(self.value)
        return self._is_plain

    def keep(self, ledger: Ledger) -> None:
        """Count the value, which a session keeps for its peer, until the last part of it is gone.

        To be called once, for a value that has just come to be. Small ones are covered by what
        the entry, or the call, that has them is counted with.
        """
        value = self.value
        kind = type(value)
        if kind in NOTHING or (kind is str and len(value) <= UNWEIGHED):
            return
        size = size_of(value, ledger.room)
        if size > SMALL_VALUE:
            self.kept = Kept(ledger, size)

    def part(self, value: Any) -> Payload:
        """A payload for a part of the value, or for all of it, that outlives this one.

        A plain value is shared, and copied when it is delivered to the application: a peer can
        name a large result many times in a short message.
        """
        if not self.is_plain():
            if serving.calls is not None:
                serving.calls.pay_copy(value)
            copy = copied(value, self)
            if self.kept is not None and serving.calls is not None:
                copy.keep(serving.calls.ledger)
            return copy
        part = Payload(value, "params")
        part._is_plain = True
        part.kept = self.kept
        return part

    def hook_for_target(self, target: Any) -> Any:
        """A hook for a raw `RpcTarget` or function in the value, for the caller to dispose of.

        In arguments it is that of a duplicate, if the target makes one with `dup` (the reference's
        `getHookForRpcTarget`): the target stays the application's. In a result the target is the
        core's: all its hooks count together, and the target learns of its disposal when the payload
        and the last of them are gone.
        """
        if self.source == "params":
            return late.hook_for_target(duplicate(target))
        if self._targets is None:
            self._targets = {}
        hook = self._targets.get(id(target))
        if hook is None:
            hook = self._targets[id(target)] = late.hook_for_target(target)
        return hook.dup()

    def own(self) -> None:
        """Copy the value, if it is still the application's, so that this payload owns it."""
        if self.source == "owned":
            return
        copy = copied(self.value, self)
        if self.source == "return":
            self._dispose_value()
            self._drop_targets()
        self.value, self.hooks = copy.value, copy.hooks
        self.promises = [
            (self if container is copy else container, key, promise)
            for container, key, promise in copy.promises
        ]
        self.source = "owned"

    def add_hook(self, hook: AnyHook) -> None:
        """Own `hook`, which stands behind something in the value."""
        if not self.hooks:
            self.hooks = []
        cast("list[AnyHook]", self.hooks).append(hook)

    def add_promise(self, container: Any, key: Any, promise: RpcPromise) -> None:
        """Own `promise`, which stands at `key` of `container`."""
        if not self.promises:
            self.promises = []
        cast("list[Any]", self.promises).append((container, key, promise))

    def put(self, container: Any, key: Any, value: Any) -> None:
        """Set the place `(container, key)` in the value."""
        if container is self:
            self.value = value
        else:
            container[key] = value

    def deliver(self, take: Callable[[Payload, Any], None] | None = None) -> Deferred[Any]:
        """The value for the application, once each promise in it has been replaced by what it
        stands for. `take(payload, value)` may refuse what a promise brings in: it raises."""
        try:
            self.own()
        except Exception as error:  # there is a disposed stub in it, or it contains itself
            return Deferred.failed(error)
        if not self.promises:
            return Deferred.of(self.value)
        delivery: Deferred[Any] = Deferred()
        waiting = len(self.promises)

        def deliver(container: Any, key: Any, promise: RpcPromise) -> None:
            if delivery.settled:  # one of the promises before has failed
                return
            promise._hook.deliver(delivery).add_callback(partial(arrived, container, key))

        def arrived(container: Any, key: Any, inner: Deferred[Any]) -> None:
            nonlocal waiting
            if inner.error is not None:
                delivery.reject(inner.error)
                return
            if take is not None:
                try:
                    take(self, inner.value)
                except RpcError as error:
                    delivery.reject(error)
                    return
            self.put(container, key, inner.value)
            waiting -= 1
            if waiting == 0:
                delivery.resolve(self.value)

        trampoline([partial(deliver, *place) for place in self.promises])
        return delivery

    def dispose(self, call: Path | None = None) -> None:
        """Release every capability in it. Without effect the second time. `call` is the path of
        the call whose arguments these were, for whoever uses one of them later."""
        on_dispose, self.on_dispose = self.on_dispose, None
        self.kept = None
        if self.source == "owned":
            hooks, promises = self.hooks, self.promises
            if hooks or promises:
                self.hooks = self.promises = ()
                if call is not None:
                    for hook in hooks:
                        hook.note_call(call)
                trampoline([hook.dispose for hook in hooks])
                trampoline([promise.dispose for _, _, promise in promises])
        elif self.source == "return":
            self.source = "owned"
            self._dispose_value()
            self._drop_targets()
        else:
            self.source = "owned"
        if on_dispose is not None:
            on_dispose(self)

    def _drop_targets(self) -> None:
        targets, self._targets = self._targets, None
        for hook in (targets or {}).values():
            hook.dispose()

    def _dispose_value(self) -> None:
        """Dispose of the stubs and targets in a result that was the application's. It may be
        nested to any depth, and contain itself."""
        if type(self.value) in PLAIN:
            return
        values = deque([self.value])
        walked: set[int] = set()
        while values:
            value = values.popleft()
            if type(value) in PLAIN:
                continue
            if isinstance(value, RpcStub):
                value.dispose()
            elif isinstance(value, (dict, list, tuple)):
                if id(value) not in walked:
                    walked.add(id(value))
                    values.extend(value.values() if isinstance(value, dict) else value)
            elif isinstance(value, RpcTarget) or is_function(value):
                self.hook_for_target(value).dispose()


class Held:
    """Base of values that are neither plain nor passed by reference, and that end with the payloads
    they stand in: streams."""

    def held(self) -> tuple[Any, AnyHook | None]:
        """The value for one more payload, and the hook, for that payload to own, that keeps it
        there; None if nothing needs to be kept."""
        raise NotImplementedError


def duplicate(target: Any) -> Any:
    """What goes in arguments for a raw target. Raises TypeError for a wrong `dup`."""
    make = getattr(target, "dup", None) if isinstance(target, RpcTarget) else None
    if make is None:
        return target
    made = make()
    if isinstance(made, RpcTarget):
        return made
    raise TypeError(
        f"{type(target).__qualname__}.dup() is called for each object that is passed in arguments,"
        f" and has to return an RpcTarget, not {made!r}."
    )


def is_plain(value: Any) -> bool:
    """Whether there is surely no capability in `value`, which may contain itself."""
    values = deque([value])
    walked: set[int] = set()
    while values:
        value = values.popleft()
        if type(value) in (dict, list, tuple):
            if id(value) not in walked:
                walked.add(id(value))
                values.extend(value.values() if type(value) is dict else value)
        elif type(value) not in PLAIN:
            return False
    return True


def copied(value: Any, owner: Payload | None) -> Payload:
    """A payload that owns a copy of `value`, the stubs in it duplicated.

    `owner` is the payload that the value is part of; None where the value is the application's
    own and just being read, such as a property of a target.
    """
    copy = Payload(None, "owned")
    try:
        copy.value = _copy(value, copy, copy, "value", owner)
    except BaseException:
        copy.dispose()
        raise
    return copy


def _copy(value: Any, copy: Payload, container: Any, key: Any, owner: Payload | None) -> Any:

    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        fields: dict[Any, Any] = {}
        for name, item in value.items():
            fields[name] = _copy(item, copy, fields, name, owner)
        return fields
    if isinstance(value, (list, tuple)):
        items: list[Any] = [None] * len(value)
        for index, item in enumerate(value):
            items[index] = _copy(item, copy, items, index, owner)
        return items
    if isinstance(value, RpcPromise):
        promise = RpcPromise._of(value._hook.get(value._path or (), value._hook.calls), ())
        copy.add_promise(container, key, promise)
        return promise
    if isinstance(value, RpcStub):
        hook = value._hook.dup()
    elif isinstance(value, RpcTarget) or is_function(value):
        hook = target = owner.hook_for_target(value) if owner else late.hook_for_target(value)
        if serving.calls is not None:
            target.serve_on(serving.calls)
    elif isinstance(value, Held):
        stream, holder = value.held()
        if holder is not None:
            copy.add_hook(holder)
        return stream
    else:
        return value
    copy.add_hook(hook)
    return RpcStub._of(hook)
