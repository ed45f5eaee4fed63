"""What a session exports to its peer: the table, its entries, and how they are resolved.

An entry is what the peer pushed an expression for, or what was sent to it as a capability. Its
resolution goes out once, when the peer has pulled it and it is there.

The peer numbers what it pushes, 1, 2, 3, …; this side numbers what it passes by reference, -1, -2,
…; 0 is this side's main object. No id is used twice, and every export gets a new one, also of an
object that was exported before.

**The pull.** The peer has to ask for an answer (`pull`), and gets it once; the session counts what
it still owes (`pull_begun`, `pull_done`), which is what `drain` waits for. So an entry is in one of
three states (`_pulled`):

    no         nobody has asked: whatever it stands for is not sent
    waiting    asked for, and owed
    answered   sent, or not needed any more: nothing is owed

    | state    | what happens                    | becomes  | and                                  |
    |----------|---------------------------------|----------|--------------------------------------|
    | no       | the peer pulls                  | waiting  | it is owed; sent at once if it is    |
    |          |                                 |          | there (a stream's entry is pulled by |
    |          |                                 |          | its own message)                     |
    | no       | the last reference is released, | no       | nothing is sent: nobody asked        |
    |          | or the session ends             |          |                                      |
    | waiting  | the value is there              | answered | `resolve`; a stream's entry goes     |
    | waiting  | …and can't be encoded, or it    | answered | `reject`; a stream's entry goes      |
    |          | has failed                      |          |                                      |
    | waiting  | the last reference is released, | answered | nothing is sent: nobody would know   |
    |          | or the session ends             |          | the id; `drain` waits no longer      |
    | waiting, | the peer pulls again            | the same | nothing: a resolution goes out once, |
    | answered |                                 |          | as in the reference (`rpc.ts`)       |

Released or over, the entry forgets its session (`_session` is None), which is what keeps what is
still under way for it from sending anything: the states need not know of the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, Protocol

from ..codec.encoder import LITERAL, Encoder
from ..codec.registry import Exporter
from ..core.hooks import Hook
from ..core.ledger import ENTRY_COST, Ledger
from ..core.payload import Payload
from ..core.promise_hooks import PromiseHook, hook_in
from ..core.served_calls import too_much
from ..core.stubs import RpcStub
from ..deferred import Deferred
from ..errors import RpcError
from ..streams.streams import ReadableStream


class ExportingSession(Exporter, Protocol):
    """What exports need of their session."""

    @property
    def closed_by(self) -> BaseException | None:
        """Why the session is over, if it is."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What is kept for the peer."""
        ...

    def send_resolve(self, export_id: int, expression: Any) -> None:
        """Send what an export stands for."""
        ...

    def send_reject(self, export_id: int, error: BaseException, what: str) -> None:
        """Send that an export has failed; `what` was called, for the log."""
        ...

    def has_answered_much(self) -> bool:
        """Whether what was answered in this step is enough for one piece."""
        ...

    def answer_later(self, answer: Callable[[], None]) -> None:
        """Have `answer` called, as a step, in a turn of its own."""
        ...

    def pull_begun(self) -> None:
        """The resolution of one more entry is awaited."""
        ...

    def pull_done(self) -> None:
        """One of them has been sent, or will not be needed."""
        ...

    def forget_export(self, export_id: int) -> None:
        """The peer has given its last reference back."""
        ...


class Export:
    """One entry of the export table."""

    __slots__ = (
        "_pulled",
        "_session",
        "auto_release",
        "export_id",
        "hook",
        "introduced",
        "readable",
    )

    def __init__(self, session: ExportingSession, export_id: int, hook: Hook) -> None:
        self._session: ExportingSession | None = session
        """None once the peer refers to the entry no more. What is still under way for it, such as
        a call whose Future is never done, must not keep the session alive."""
        self.export_id = export_id
        self.hook = hook
        self.introduced = 1
        """How often the peer knows the id: once, since every export gets a new one."""
        self.auto_release = False
        """Whether the entry ends with its resolution, as those of `stream` messages do."""
        self.readable: ReadableStream | None = None
        """For a pipe: the reading end, until the peer has sent it to us."""
        self._pulled: Literal["no", "waiting", "answered"] = "no"

    @property
    def called_name(self) -> str:
        """What has made it, for people, as far as that is known here."""
        return "a call"

    def release(self, introduced: int) -> None:
        """The peer gives `introduced` of its references back. Raises RpcError for too many."""
        if self.introduced < introduced:
            raise RpcError(f"refcount would go negative: {self.introduced} < {introduced}")
        self.introduced -= introduced
        if self.introduced == 0:
            self.end()

    def end(self) -> None:
        """The peer refers to it no more, or the session is over. Idempotent; done again, it does
        what an exception has cut."""
        session, self._session = self._session, None
        if session is not None:
            self._answered(session)
        if self._pulled != "no" and isinstance(self.hook, PromiseHook):
            self.hook.remove_callback(self._here)  # does not wait for it any more
        self.hook.dispose()
        if session is not None:
            session.forget_export(self.export_id)

    def pull(self) -> None:
        """Send the resolution once it is there; a second pull changes nothing."""
        if self._pulled == "no" and self._session is not None:
            self._pulled = "waiting"
            self._session.pull_begun()
            self._follow(self.hook)

    def _answered(self, session: ExportingSession) -> None:
        if self._pulled == "waiting":
            self._pulled = "answered"
            session.pull_done()

    def _follow(self, hook: Hook) -> None:
        session = self._session
        if session is None or session.closed_by is not None:
            return
        while isinstance(hook, PromiseHook):
            if not hook.settled:
                hook.add_callback(self._here)
                return
            hook = hook_in(hook)
        pulled = hook.pull()
        while isinstance(pulled, Payload):
            value = pulled.value
            if (
                not isinstance(value, RpcStub)
                or value._path != ()
                or session.import_id(hook) is not None
            ):
                self._resolve(session, pulled)
                return
            # The value is a promise again: the peer wants what that one stands for.
            hook = value._hook
            pulled = hook.pull()

        def arrived(deferred: Deferred[Payload]) -> None:
            if deferred.error is not None:
                self._reject(deferred.error)
            else:
                self._follow(hook)

        pulled.add_callback(arrived)

    def _here(self, promise: Deferred[Hook]) -> None:
        self._follow(hook_in(promise))

    def _resolve(self, session: ExportingSession, payload: Payload) -> None:
        if session.has_answered_much():
            session.answer_later(partial(self._resolve_now, payload))
        else:
            self._resolve_now(payload)

    def _resolve_now(self, payload: Payload) -> None:
        session = self._session
        if session is None or session.closed_by is not None:
            return
        expression = payload.value
        if type(expression) not in LITERAL:
            try:
                expression = Encoder(session, payload).encode()
            except Exception as error:
                self._reject(error)
                return
        session.send_resolve(self.export_id, expression)
        self._done(session)

    def _reject(self, error: BaseException) -> None:
        session = self._session
        if session is not None and session.closed_by is None:
            session.send_reject(self.export_id, error, self.called_name)
            self._done(session)

    def _done(self, session: ExportingSession) -> None:
        self._answered(session)
        if self.auto_release:
            self.release(1)


class ExportTable:
    """The entries by id, and the next ids of both kinds.

    It does not refer to its session, as the import table does not.
    """

    __slots__ = ("_ledger", "_next_push", "entries", "next_id")

    def __init__(self, session: ExportingSession, main: Hook) -> None:
        self._ledger = session.ledger
        self.entries: dict[int, Export] = {0: Export(session, 0, main)}
        session.ledger.hold(ENTRY_COST)
        self.next_id = -1
        self._next_push = 1

    def add_pushed(self, session: ExportingSession, hook: Hook) -> Export:
        """Make `hook`, which is taken over, the next entry that the peer numbers."""
        export_id = self.next_pushed()
        export = self.entries[export_id] = Export(session, export_id, hook)
        return export

    def next_pushed(self) -> int:
        """The next id that the peer numbers; taken, for an entry that is counted from now on."""
        ledger = self._ledger
        ledger.held += ENTRY_COST
        if ledger.held > ledger.mark:
            ledger.look()
        export_id = self._next_push
        self._next_push = export_id + 1
        return export_id

    @property
    def pushed(self) -> int:
        """How many entries the peer has numbered so far."""
        return self._next_push - 1

    def check_room(self) -> None:
        """Raises RpcError if too much is exported."""
        ledger = self._ledger
        if ledger.room < ENTRY_COST:
            raise RpcError(too_much(ledger.most), code="too_many")

    def add(self, session: ExportingSession, hook: Hook) -> Export:
        """Make `hook`, which is taken over, the next entry that this side numbers."""
        self._ledger.hold(ENTRY_COST)
        export_id = self.next_id
        self.next_id = export_id - 1
        export = self.entries[export_id] = Export(session, export_id, hook)
        return export

    def take_back(self, since: int) -> None:
        """Take back what was exported since `next_id` was `since`, and has not been sent."""
        for export_id in range(since, self.next_id, -1):
            export = self.entries.get(export_id)
            if export is not None:
                self.forget(export_id)
                export.end()

    def forget(self, export_id: int) -> None:
        """Nobody refers to the entry any more. Without effect the second time."""
        if self.entries.pop(export_id, None) is not None:
            self._ledger.held -= ENTRY_COST

    def find(self, export_id: int) -> Export:
        """The entry with that id. Raises RpcError if there is none."""
        export = self.entries.get(export_id)
        if export is None:
            raise RpcError(f"no such export ID: {export_id}")
        return export

    def pipe_readable(self, export_id: int) -> ReadableStream:
        """The reading end of a pipe of the peer's, once. Raises RpcError the second time."""
        export = self.entries.get(export_id)
        readable = export.readable if export is not None else None
        if export is None or readable is None:
            raise RpcError(
                f"Export {export_id} is not a pipe or its readable end was already consumed."
            )
        export.readable = None
        return readable

    def ending(self) -> Iterator[None]:
        """The session is over: end the entries, one at each `next`. Begun again, it does what an
        exception has cut."""
        entries = deque(self.entries.values())
        while entries:
            export = entries.popleft()
            export.end()
            self.forget(export.export_id)
            yield
