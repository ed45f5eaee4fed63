"""What a lower floor of the core needs of a higher one, handed down once at import.

Three circles are in the nature of things: a stub is made from a value, and the hook that then
stands behind it is built of payloads, which hold stubs; calling something that is here starts a
call, whose result is a hook again; `map` is a method of every stub, and records with the encoder.
Instead of importing upwards, the lower file asks `late`, and the higher one fills it in when it is
imported, as the reference does for `map` and streams in its `core.ts`.

    filled in by            for
    core/hooks.py           disposed
    core/local_hooks.py     hook_for_target, hook_for_value, hook_for_promise
    core/served_call.py     start_call
    core/watches.py         watch
    codec/encoder.py        check_sendable
    codec/data_kinds.py     open_data
    codec/map_recorder.py   map_stub

The package's `__init__` imports all of them, so nothing is ever found empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..deferred import Deferred
from ..runtimes.interface import Runtime


class AnyHook(Protocol):
    """A hook as the floors below `hooks.py` know it; who owns what stands there, at `Hook`.

    Payloads, served calls and stubs, which live further up, are `Any` here.
    """

    @property
    def calls(self) -> Any:
        """Where callbacks of the application about this hook run: a `ServedCalls`."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Whose step guards it."""
        ...

    def invoke(self, path: Any, args: Sequence[Any]) -> Any:
        """Call with the application's own arguments; a hook."""
        ...

    def call(self, path: Any, args: Any, calls: Any) -> Any:
        """Call what `path` leads to with a payload; a hook."""
        ...

    def get(self, path: Any, calls: Any) -> Any:
        """What `path` leads to; a hook."""
        ...

    def map(self, path: Any, captures: Any, steps: list[Any], work: Any) -> Any:
        """Apply a recorded function; a hook."""
        ...

    def dup(self) -> Any:
        """Another hook for the same thing."""
        ...

    def pull(self) -> Any:
        """The payload with the value: now, or later."""
        ...

    def deliver(self, unless: Deferred[Any] | None = None) -> Deferred[Any]:
        """The value for the application."""
        ...

    def dispose(self) -> None:
        """Let go."""
        ...

    def own(self, watch: Any) -> None:
        """Let go of `watch` together with this hook."""
        ...

    def on_broken(self, watch: Any) -> None:
        """Have `watch` told when every further use would fail."""
        ...

    def note_call(self, path: Any) -> None:
        """It came in the arguments of a call of `path`."""
        ...

    def describe(self) -> str:
        """A few words for `repr`."""
        ...


class Late:
    """The slots. Each is set once, by the file that the table above names."""

    __slots__ = (
        "check_sendable",
        "disposed",
        "hook_for_promise",
        "hook_for_target",
        "hook_for_value",
        "map_stub",
        "open_data",
        "start_call",
        "watch",
    )

    check_sendable: Callable[[Any], None]
    """Raises TypeError for what a peer can be given neither as a value nor by reference."""
    disposed: AnyHook
    """What stands behind a stub that was disposed of."""
    hook_for_target: Callable[[Any], Any]
    """A `TargetHook` for an object by reference or a function."""
    hook_for_value: Callable[[Any], AnyHook]
    """A hook for a value of the application's, which the core owns from now on."""
    hook_for_promise: Callable[[Any], AnyHook]
    """A hook for a `concurrent.futures.Future`, or for a value that is there."""
    open_data: Callable[[Any], Any]
    """What is sent of an object of a dataclass and the like; undefined for other values. Raises
    TypeError if it can't be sent."""
    start_call: Callable[[Any, Any, Any, Any], Any]
    """`start_call(target, path, args, calls)` serves a call; a hook for its result."""
    watch: Callable[[AnyHook, Callable[[BaseException], Any]], Callable[[], None]]
    """`watch(hook, callback)` has the callback run when the hook breaks; a function that takes this
    back."""
    map_stub: Callable[[Any, Callable[[Any], Any]], Any]
    """`map_stub(stub, function)` records the function; a promise for the mapped result."""


late = Late()
