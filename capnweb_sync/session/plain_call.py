"""The plainest of calls, and the most frequent: a method of an object that is here, with plain
arguments.

It is one object that is the entry of the export table, the served call and its result at once.
In general these are three, since a peer may use a result before it is there, twice, or only a part
of it; the calls of a chat ask for nothing but the answer. Once somebody wants more of it, `hook`
makes what the general way has from the beginning: a `PromiseHook` until the call is done, a
`PayloadHook` or `ErrorHook` after that. What the peer can see is the same.

    outcome     hook    what it is
    PENDING     None    the call waits or runs; only its answer was asked for, if that
    PENDING     set     the call waits or runs, and somebody waits for its result
    a value     None    done; the value belongs to the entry
    GIVEN       set     done; the value belongs to the hook

An entry that has ended has no session; the outcome of a call that is still under way then is
disposed of when it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from types import FunctionType
from typing import Any, Final

from ..codec.encoder import LITERAL
from ..codec.evaluator import LITERAL as LITERAL_ARGUMENTS
from ..core.arguments import parameters_of
from ..core.hooks import ErrorHook, Hook, failed
from ..core.ledger import NOTHING, SMALL_VALUE, UNWEIGHED
from ..core.local_hooks import PayloadHook, TargetHook
from ..core.payload import PLAIN, Payload
from ..core.promise_hooks import PromiseHook
from ..core.served_call import Job, ServedCall
from ..core.served_calls import ServedCalls
from ..core.stubs import Path
from ..core.targets import RpcTarget, is_function, members, read_member
from ..deferred import trampoline
from ..errors import RpcError
from ..observe.counts import TIMED_MASK
from ..values.javascript import MAX_SAFE_INTEGER
from .export_table import Export, ExportingSession, ExportTable

PENDING: Final = object()
GIVEN: Final = object()


class PlainCall(Export, Job):
    """See the top of this file."""

    __slots__ = (
        "_arguments",
        "_began",
        "_calls",
        "_hook",
        "_name",
        "_outcome",
        "_received_size",
        "_target",
        "_unused",
    )

    def __init__(
        self,
        session: ExportingSession,
        export_id: int,
        target: RpcTarget,
        name: str,
        arguments: list[Any],
        calls: ServedCalls,
    ) -> None:
        self._session = session
        self.export_id = export_id
        self.introduced = 1
        self.auto_release = False
        self.readable = None
        self._pulled = "no"
        self._target: RpcTarget | None = target
        self._name = name
        self._arguments: list[Any] | None = arguments
        """None once they belong to another call, which is counted instead of this one."""
        self._calls = calls
        self._began = 0.0
        """When it began, on the clock of `time.perf_counter`, if it is to be timed."""
        self._received_size = calls.received_size
        self._outcome: Any = PENDING
        """The value; an `ErrorHook` for a failure."""
        self._hook: Hook | None = None
        self._unused: Callable[[], object] | None = None
        """What to call if nobody waits for the outcome any more."""

    # The entry.

    @property
    def hook(self) -> Hook:  # type: ignore[override]  # made when somebody asks
        """The result for whoever wants more of it than the answer."""
        if self._hook is not None:
            return self._hook
        outcome = self._outcome
        if outcome is PENDING:
            self._hook = promise = PromiseHook(self._calls)
            if self._pulled == "waiting":
                promise.add_callback(self._here)
            if self._unused is not None:
                promise.when_unused(self._unused)
        else:
            self._hook = self._hook_for(outcome)
            self._outcome = GIVEN
        return self._hook

    @property
    def called_name(self) -> str:
        return self._name

    def pull(self) -> None:
        session = self._session
        if self._pulled == "no" and session is not None:
            self._pulled = "waiting"
            session.pull_begun()
            if self._hook is not None:
                self._follow(self._hook)
            elif self._outcome is not PENDING:
                self._answer(session)

    def end(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._pulled == "waiting":
            self._answered(session)
        if self._hook is not None:
            if self._outcome is PENDING and isinstance(self._hook, PromiseHook):
                self._hook.remove_callback(self._here)
            self._hook.dispose()
            if self._outcome is GIVEN:
                self._hook = None  # a failure in it, by way of its frames, holds this call
        elif self._outcome is not PENDING:
            outcome, self._outcome = self._outcome, GIVEN
            if type(outcome) not in PLAIN and outcome is not GIVEN:
                self._hook_for(outcome).dispose()
        if session is not None:
            session.forget_export(self.export_id)
        unused, self._unused = self._unused, None
        if unused is not None and self._hook is None and self._outcome is PENDING:
            unused()

    def _answer(self, session: ExportingSession) -> None:
        """The outcome is there, the peer has pulled it, and nobody else wants it."""
        outcome = self._outcome
        if is_its_own_expression(outcome):
            session.send_resolve(self.export_id, outcome)
            self._answered(session)
        else:
            trampoline([partial(self._follow, self.hook)])

    # The call.

    def _run(self) -> Any:
        target, arguments = self._target, self._arguments
        assert target is not None
        assert arguments is not None
        function = read_member(target, self._name)
        if not is_function(function):
            # No method of the class any more, or one that finds its attributes in its own way.
            return self._run_in_general(arguments)
        parameters = parameters_of(function)
        bound = parameters.bind(arguments)
        if parameters.calls & TIMED_MASK == 1:
            self._began = perf_counter()
        return function(*bound)

    def _time(self) -> None:
        counts = self._calls.counts
        if counts is not None:
            counts.timed(self._name, self._began)

    def _run_in_general(self, arguments: list[Any]) -> Any:
        """Leave the call to a general one; the hook of its result."""
        args = Payload(arguments, "owned")
        args.on_dispose = self._calls.end_with
        args.received_size = self._received_size
        result = PromiseHook(self._calls)
        call = ServedCall(self._target, (self._name,), args, result, self._calls)
        if self._calls.seen is not None:
            self._calls.seen.moved(self, to=call)
        self._arguments = None
        call()
        return result

    def called(self) -> tuple[Path, bool]:
        return (self._name,), False

    def _complete(self, outcome: Any, error: BaseException | None) -> None:
        if self._began and error is None:
            self._time()
        if error is not None or self._hook is not None or not is_small(outcome):
            super()._complete(outcome, error)
            return
        # Nothing comes of it that would have to be paid for, or disposed of.
        calls = self._calls
        calls.change()
        if calls.seen is not None:
            calls.seen.served(self, None)
        self._outcome = outcome
        self._end_call()
        if self._pulled == "waiting" and self._session is not None:
            self._answer(self._session)

    def _end_call(self) -> None:
        if self._arguments is not None:
            self._calls.end()
        self._arguments = self._target = None

    def _settle(self, outcome: Any, error: BaseException | None) -> None:
        self._end_call()
        if error is not None:
            outcome = ErrorHook(error, self._calls.ledger)
        promise = self._hook
        if promise is not None:
            self._outcome = GIVEN
            assert isinstance(promise, PromiseHook)
            promise.resolve(self._hook_for(outcome))
            if self._session is None:
                self._hook = None
            return
        session = self._session
        if session is None:
            if type(outcome) not in PLAIN:
                self._hook_for(outcome).dispose()
            self._outcome = GIVEN
            return
        if is_small(outcome):
            self._outcome = outcome
        else:
            self._outcome, self._hook = GIVEN, self._hook_for(outcome)
        if self._pulled == "waiting":
            self._answer(session)

    def _when_unused(self, function: Callable[[], object]) -> None:
        if isinstance(self._hook, PromiseHook):
            self._hook.when_unused(function)
        elif self._session is None:
            function()
        else:
            self._unused = function

    def _hook_for(self, outcome: Any) -> Hook:
        if isinstance(outcome, Hook):
            return outcome
        payload = Payload(outcome, "return")
        if type(outcome) not in NOTHING:
            payload.keep(self._calls.ledger)
        return PayloadHook(payload, self._calls)


def is_its_own_expression(value: Any) -> bool:
    """Whether `value` is sent as it is, and holds nothing that anybody could own."""
    if type(value) is int:
        return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
    return type(value) in LITERAL


def is_small(value: Any) -> bool:
    """Whether `value` is sent as it is, and takes no more than what the entry is counted with."""
    return is_its_own_expression(value) and (type(value) is not str or len(value) <= UNWEIGHED)


def object_in(hook: Hook) -> Any:
    """What `hook` stands for, if that is here: an object passed by reference, or a result."""
    if isinstance(hook, PromiseHook) and hook.settled:
        hook = hook.value
    if isinstance(hook, PayloadHook):
        payload = hook.pull()
        return payload.value if isinstance(payload, Payload) else None
    return hook.target if isinstance(hook, TargetHook) else None


def add_plain_call(
    exports: ExportTable, session: ExportingSession, calls: ServedCalls, expression: Any
) -> bool:
    """Serve `expression` as a `PlainCall`, the next entry that the peer numbers, if it is one: of a
    method of the class of an object that is here, with no argument that needs evaluating.

    Returns:
        False if it is none, or if anything is to be said against it: the general way says it.
    """
    if type(expression) is not list or len(expression) != 4:
        return False
    kind, target_id, path, arguments = expression
    if (
        kind != "pipeline"
        or type(target_id) is not int
        or type(path) is not list
        or len(path) != 1
        or type(path[0]) is not str
        or type(arguments) is not list
    ):
        return False
    for argument in arguments:
        of = type(argument)
        if of is int:
            if not -MAX_SAFE_INTEGER <= argument <= MAX_SAFE_INTEGER:
                return False
        elif of not in LITERAL_ARGUMENTS:
            return False
    export = exports.entries.get(target_id)
    target = object_in(export.hook) if export is not None else None
    if not isinstance(target, RpcTarget) or calls.received_size > SMALL_VALUE:
        return False
    cls: type = type(target)
    name = path[0]
    if type(members(cls).get(name)) is not FunctionType:
        return False
    try:
        calls.begin()
    except RpcError as error:
        exports.add_pushed(session, failed(error))
        return True
    export_id = exports.next_pushed()
    call = PlainCall(session, export_id, target, name, arguments, calls)
    exports.entries[export_id] = call
    calls.start(call)
    return True
