"""The hooks on what a session imports: what stands behind stubs for something at the peer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..core.hooks import Hook, Mapper, Pulled, used_after_disposal
from ..core.payload import Payload
from ..core.served_calls import ServedCalls, local_calls
from ..core.stubs import Path
from ..core.watches import Watch, Watches, let_go_of
from ..deferred import Deferred
from ..errors import RpcError
from .import_table import Import


class ImportHook(Hook):
    """Something at the peer.

    One that is dropped without having been disposed of is released all the same, when Python
    collects it; a result that was delivered is not taken away by that.
    """

    __slots__ = ("_is_promise", "_watches", "came_with", "entry")

    def __init__(self, entry: Import, *, is_promise: bool) -> None:
        # Counted first: what is collected was counted, whatever has cut this.
        entry.hooks += 1
        self.entry: Import | None = entry
        self._is_promise = is_promise
        self._watches: Watches | None = None
        if is_promise:
            entry.is_promise = True

    @property
    def calls(self) -> ServedCalls:
        return local_calls() if self.entry is None else self.entry.session.calls

    def _open(self) -> Import:
        if self.entry is None:
            raise used_after_disposal(self)
        return self.entry

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        try:
            entry = self._open()
        except RpcError:
            args.dispose()
            raise
        if entry.resolution is not None:
            return entry.resolution.call(path, args, calls)
        return entry.session.send_call(entry.import_id, path, args)

    def stream(self, path: Path, args: Payload) -> tuple[Deferred[Any], int | None]:
        try:
            entry = self._open()
        except RpcError:
            args.dispose()
            raise
        if entry.resolution is not None:
            return entry.resolution.stream(path, args)
        return entry.session.send_stream(entry.import_id, path, args)

    def wait_room(self, timeout: float | None) -> bool:
        entry = self.entry
        wait = getattr(entry.session.transport, "wait_room", None) if entry is not None else None
        return wait is None or bool(wait(timeout))

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: Mapper) -> Hook:
        try:
            entry = self._open()
        except RpcError:
            for capture in captures:
                capture.dispose()
            raise
        if entry.resolution is not None:
            return entry.resolution.map(path, captures, steps, work)
        return entry.session.send_map(entry.import_id, path, captures, steps)

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        entry = self._open()
        if entry.resolution is not None:
            return entry.resolution.get(path, calls)
        return entry.session.send_call(entry.import_id, path, None)

    def dup(self) -> Hook:
        entry = self._open()
        news = entry.session.change()
        hook = ImportHook(entry, is_promise=False)
        if news:
            entry.session.changed()
        return hook

    def pull(self) -> Pulled:
        if self.entry is None:
            return Deferred.failed(used_after_disposal(self))
        if not self._is_promise:
            return Deferred.failed(
                RpcError("A stub has no result to wait for. Call it, or read a property of it.")
            )
        return self.entry.pull()

    def dispose(self) -> None:
        if self.entry is not None:
            let_go_of(self._watches)
            self.entry.let_go(self)

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if is_over():  # the interpreter's end: what the rest needs is gone, the name `sys` too
            return
        entry: Import | None = getattr(self, "entry", None)  # none if making it was cut
        if entry is not None and entry.resolution is None:
            if self._watches:
                entry.session.runtime.collect(partial(_watches_dropped, entry, self._watches))
            entry.session.hook_dropped(entry)

    def own(self, watch: Watch) -> None:
        if self.entry is not None:
            if self._watches is None:
                self._watches = {}
            watch.belong_to(self._watches)

    def on_broken(self, watch: Watch) -> None:
        if self.entry is not None:
            self.entry.on_broken(watch)

    def note_call(self, path: Path) -> None:
        self.came_with = path

    def describe(self) -> str:
        entry = self.entry
        if entry is None:
            return "disposed"
        place = f"{self._name(entry)} of {entry.session.peer}"
        if entry.resolution is not None:
            return f"{place}, {entry.resolution.describe()}"
        if not self._is_promise:
            return place
        return f"{place}, {'under way' if entry.asked else 'not asked for'}"

    def _name(self, entry: Import) -> str:
        """What it is at the peer, for people."""
        return f"import {entry.import_id}"


def _watches_dropped(entry: Import, watches: Watches) -> None:
    """The hook that owned them was collected."""
    entry.session.runtime.step.run(let_go_of, watches)


class ResultHook(ImportHook):
    """What a call of this side gives, or a property that it has asked for."""

    __slots__ = ("_path", "_reads")

    def __init__(self, entry: Import, path: Path, *, reads: bool) -> None:
        super().__init__(entry, is_promise=True)
        self._path = path
        self._reads = reads

    def _name(self, entry: Import) -> str:
        call = "" if self._reads else "()"
        return f"{'.'.join(map(str, self._path))}{call}, {super()._name(entry)}"


class MainHook(ImportHook):
    """The peer's main object. Disposing of it ends the session, as in the reference."""

    __slots__ = ()

    def _name(self, entry: Import) -> str:
        return "main object"

    def dispose(self) -> None:
        entry, self.entry = self.entry, None
        if entry is not None:
            entry.session.close(reason="RPC session was shut down by disposing the main stub")

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        """A session ends on purpose, never because its main stub was dropped."""
