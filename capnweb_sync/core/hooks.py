"""Hooks: what stands behind a stub.

Every stub, promise and table entry is a hook, of one of these kinds:

    ImportHook    something at the peer (`session/import_hooks.py`)
    TargetHook    an `RpcTarget` or function of the application's (`local_hooks.py`)
    PayloadHook   a value that is here (`local_hooks.py`)
    PromiseHook   a hook that will be here later (`promise_hooks.py`)
    ErrorHook     the failure that took its place

Who owns what, and when something is raised, is written at `Hook`, method by method. The reference
has the same kinds, and says it there, too (`StubHook` in its `core.ts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from ..deferred import Deferred
from ..errors import RpcError, RpcTypeError, fresh_copy
from ..runtimes.interface import Runtime
from .late import late
from .ledger import Ledger, kept
from .payload import Payload
from .served_calls import ServedCalls, local_calls
from .stubs import Path
from .watches import Watch

Pulled = Payload | Deferred[Payload]


class Recorder(Protocol):
    """Records what a mapper function does instead of sending it. The hooks that it gives are
    placeholders of the recording, which ends them; the arguments of a call stay the application's.
    """

    def record_call(self, hook: Hook, path: Path, args: Payload) -> Hook:
        """Record a call; a placeholder for its result."""
        ...

    def record_get(self, hook: Hook, path: Path) -> Hook:
        """Record a look at a property; a placeholder for it."""
        ...


class Mapper(Protocol):
    """Applies recorded functions, within what the maps of one message may cost."""

    @property
    def calls(self) -> ServedCalls:
        """Which served calls the calls of the function belong to."""
        ...

    def apply(
        self, value: Any, owner: Payload | None, captures: list[Hook], steps: list[Any]
    ) -> Hook:
        """Apply the function `steps` to `value`, or to each item of it. `owner` is the payload that
        `value` is part of, None for an object of the application's. Takes the captures over. Raises
        RpcError for what the function may not do."""
        ...


recording: ContextVar[Recorder | None] = ContextVar("recording", default=None)
"""The recorder whose mapper function is running; calls are recorded instead of sent."""


class Hook:
    """What stands behind a stub.

    **Who owns a hook** disposes of it, once. Whoever is given one by a method owns it from then on;
    whoever hands one over (captures, a hook that resolves a promise) does not own it any more, also
    if the method raises.

    | method       | takes over       | gives to the caller                  | raises      |
    |--------------|------------------|--------------------------------------|-------------|
    | `call`       | the arguments    | a hook for the result                | at once     |
    | `stream`     | the arguments    | when it was taken; nothing to own    | at once     |
    | `get`        |                  | a hook for the property              | at once     |
    | `map`        | the captures     | a hook for the result                | at once     |
    | `dup`        |                  | a hook for the same thing            | at once     |
    | `pull`       |                  | the value, which stays this hook's   | never       |
    | `deliver`    |                  | the value, which stays this hook's   | never       |
    | `invoke`     |                  | a hook for the result                | at once     |
    | `own`, `on_broken` | the watch  |                                      | never       |
    | `dispose`    |                  |                                      | never       |

    *What is taken over* is disposed of by the method in every case: when the call is done, when it
    turns out that it cannot be made, and before the method raises. What is in arguments that the
    application passed (`Payload` with the source `params`) stays the application's; only duplicates
    of it are released.

    *At once* means: what this side has done wrong, so that its application sees it where it did it.
    RpcError for a hook that was disposed of, and with the code `too_many` where more waits than
    may; SessionClosed for one of a session that is over; TypeError, RpcTypeError or ValueError for
    a value that can't be sent. Whatever else goes wrong, at the peer or in application code, is
    in the hook that is returned, and comes out of its `pull`.

    All of it is called under the step, but for `invoke`, which takes one, and `wait_room`, which
    must not have one. Nothing here runs application code: that is started in its turn.
    """

    __slots__ = ()

    @property
    def calls(self) -> ServedCalls:
        """Where callbacks of the application about this hook run. Never raises, also once the hook
        was disposed of."""
        return local_calls()

    @property
    def runtime(self) -> Runtime:
        """Whose step guards this hook."""
        return self.calls.runtime

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        """Call what `path` leads to; if it is here, as one of `calls`.

        Calls of one hook take effect in their order. `args` is disposed of by this method, whether
        it returns or raises; the hook that is returned is the caller's, who disposes of it also if
        nobody wants the result. Raises at once, see above.
        """
        raise NotImplementedError

    def stream(self, path: Path, args: Payload) -> tuple[Deferred[Any], int | None]:
        """Call for a write to a stream: when it has been taken, and the bytes that were sent for
        it; None if nothing was sent.

        Takes `args` over as `call` does. The deferred fails with what the write failed with; there
        is nothing to dispose of, the peer releases the result by itself. Raises like `call`.
        """
        result = self.call(path, args, self.calls)
        answer = result.deliver()
        answer.add_callback(lambda _: result.dispose())
        return answer, None

    def wait_room(self, timeout: float | None) -> bool:
        """Block, outside of a step, until more of a stream may be sent; False after `timeout`
        seconds (None: without end). Where nothing bounds it, or the hook was disposed of, there is
        room. Raises nothing of its own."""
        return True

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        """What `path` leads to; a property of an object that is here is read as one of `calls`.

        The hook that is returned is a promise of its own: disposing of this one does not end it.
        Raises at once, see above.
        """
        raise NotImplementedError

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: Mapper) -> Hook:
        """Apply a recorded function (see `map_work.py`) to what `path` leads to, or to each item of
        it.

        `captures` are the hooks that the function refers to; they are disposed of by this method,
        whether it returns or raises. `steps` are JSON values and stay the caller's. What the
        function may not do fails the hook that is returned; raises at once, see above.
        """
        for capture in captures:
            capture.dispose()
        return ErrorHook(RpcTypeError("This can't be mapped."))

    def dup(self) -> Hook:
        """Another hook for the same thing, which lives until it is disposed of on its own, however
        this one ends. Raises RpcError if this one was disposed of."""
        raise NotImplementedError

    def pull(self) -> Pulled:
        """The value, which stays this hook's: now, or later.

        The payload must not be disposed of by who pulls: that is done by `dispose` of this hook. It
        is the same each time; only the first one asks the peer, which otherwise never sends the
        value. Never raises: a failure, also that there is no value (an object by reference), or
        that this hook was disposed of, is in the deferred.
        """
        raise NotImplementedError

    def dispose(self) -> None:
        """Let go of what this hook stands for, and of the payload that `pull` gives.

        Without effect the second time. The last of several hooks for one import tells the peer;
        what waits in `pull` then fails with an RpcError. Hooks that `call`, `get`, `map` and `dup`
        gave are not affected. Never raises.
        """

    def own(self, watch: Watch) -> None:
        """Let go of `watch` when this is disposed of; one that has no end keeps none."""

    def on_broken(self, watch: Watch) -> None:
        """Have `watch` told when every further use would fail; at once if that is so already. It is
        told once, as a call in its turn, and never inside this method."""

    def note_call(self, path: Path) -> None:
        """This ends with the call of `path`, in whose arguments it came."""

    def describe(self) -> str:
        """A few words for `repr`."""
        return type(self).__name__

    def invoke(self, path: Path, args: Sequence[Any]) -> Hook:
        """Call with the application's own arguments, in a step of its own.

        They stay the application's: stubs among them are duplicated. Raises at once, see above.
        """
        return self.runtime.step.run(self._invoke, path, args)

    def _invoke(self, path: Path, args: Sequence[Any]) -> Hook:
        recorder = recording.get()
        if recorder is not None:
            return recorder.record_call(self, path, Payload(list(args), "params"))
        return self.call(path, Payload(list(args), "params"), self.calls)

    def deliver(self, unless: Deferred[Any] | None = None) -> Deferred[Any]:
        """The value for the application, every promise in it replaced; never, if `unless` is
        settled before it is there.

        The stubs in it stay this hook's: they end when it is disposed of. Never raises; the
        deferred fails with what the value failed with.
        """
        pulled = self.pull()
        if isinstance(pulled, Payload):
            return pulled.deliver()
        delivery: Deferred[Any] = Deferred()

        def arrived(pulled: Deferred[Payload]) -> None:
            if unless is not None and unless.settled:
                return
            if pulled.error is not None:
                delivery.reject(pulled.error)
            else:
                delivery.follow(pulled.value.deliver())  # type: ignore[union-attr]

        pulled.add_callback(arrived)
        return delivery


def attempt(action: Callable[..., Hook], *args: Any) -> Hook:
    """The hook that `action` gives, or one for its failure: for chains that nobody watches."""
    try:
        return action(*args)
    except Exception as error:
        return failed(error)


class ErrorHook(Hook):
    """A failure: whatever is done with it fails with `error`."""

    __slots__ = ("_kept", "error")

    def __init__(self, error: BaseException, ledger: Ledger | None = None) -> None:
        """`ledger` is of the session that keeps the error for its peer, if it may be large."""
        self.error = error
        self._kept = None if ledger is None else kept(error, ledger)

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        args.dispose()
        return self

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        return self

    def map(self, path: Path, captures: list[Hook], steps: list[Any], work: Mapper) -> Hook:
        for capture in captures:
            capture.dispose()
        return self

    def dup(self) -> Hook:
        return self

    def pull(self) -> Pulled:
        return Deferred.failed(self.error)

    def on_broken(self, watch: Watch) -> None:
        watch.tell(self.error, watch.calls)

    def describe(self) -> str:
        return f"failed: {self.error!r}"


def failed(error: Exception) -> ErrorHook:
    """The hook for what the core has raised, which a peer may keep. An error that is meant for the
    peer goes without its frames: they hold the message that was being taken, and the session."""
    return ErrorHook(error.with_traceback(None) if isinstance(error, RpcError) else error)


class DisposedHook(ErrorHook):
    """What a disposed stub holds. Using one is a mistake of this side, so it raises at once."""

    __slots__ = ()

    def call(self, path: Path, args: Payload, calls: ServedCalls) -> Hook:
        args.dispose()
        raise fresh_copy(self.error)

    def get(self, path: Path, calls: ServedCalls) -> Hook:
        raise fresh_copy(self.error)

    def dup(self) -> Hook:
        raise fresh_copy(self.error)

    def describe(self) -> str:
        return "disposed"


def used_after_disposal(hook: Hook | None = None, what: str = "stub") -> RpcError:
    """The error for using what `hook` was; it knows if it came in the arguments of a call."""
    sentence = f"This {what} was used after it had been disposed of"
    path = getattr(hook, "came_with", None)
    if path is None:
        return RpcError(f"{sentence}. For another one, which stays, use dup() before.")
    call = f"{'.'.join(map(str, path))}()" if path else "the function"
    return RpcError(
        f"{sentence}: it came in an argument of {call} and ended with that call. To keep one for"
        " longer, use dup() there."
    )


DISPOSED = DisposedHook(used_after_disposal())


late.disposed = DISPOSED


def call_hook(hook: Hook, path: Path, args: Payload, calls: ServedCalls) -> Hook:
    """Call `hook`. The arguments are taken over whatever happens: also where a peer has made the
    way to the target longer than Python's stack."""
    try:
        return hook.call(tuple(path), args, calls)
    except BaseException:
        args.dispose()
        raise
