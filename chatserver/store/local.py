"""What the engines have in common that one process owns: operations on a `ChatState`, and a tail
that is heard from within the process.

Such an engine says when operations are applied (`submit`) and how events are read.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final, TypeVar

from gevent.event import Event as Signal

from chatserver.people.token_terms import Role
from chatserver.store.commits import Commits
from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_EVENTS, Store, cut
from chatserver.store.people_interface import PlaceInfo
from chatserver.store.seats import Aside, Sanction, Seat
from chatserver.store.state import ChatState
from chatserver.store.state.moderation import Moderation
from chatserver.store.state.records import Changes, Lobby
from chatserver.store.values import Account, Claim, Counts, Joined, Lost, Moment, Receipt, Tail

T = TypeVar("T")
Operation = Callable[[ChatState, Moment], T]
"""Applied to the state at a moment."""

MAX_FRESH: Final = 4096
"""Events that are kept for a follower which is behind; it reads older ones from the log. Several
commits' worth: the follower is woken after each."""


MAX_ASIDES: Final = 1024
"""What is told beside the log and waits for the follower; the oldest are lost beyond it."""


class LocalStore(Store):
    """A store whose state and follower are in this process."""

    def __init__(self) -> None:
        self.last_id = 0
        self.available = True
        self.commits = Commits()
        self._fresh: deque[Event] = deque(maxlen=MAX_FRESH)
        self._lost: list[Lost] = []
        self._asides: deque[Aside] = deque(maxlen=MAX_ASIDES)
        self._news = Signal()

    @abstractmethod
    def read_log(self, after: int) -> list[Event]:
        """All entries above an id, of all rooms and types, bounded as `read` is. Blocks the
        greenlet, and no other one. Raises Unavailable."""

    @abstractmethod
    def lobby(self) -> Lobby:
        """As it was stored last. Raises Unavailable."""

    @abstractmethod
    def submit(self, operation: Operation[T]) -> "Future[T]":
        """Apply an operation after all that were submitted before, and store what it changed."""

    def claim(
        self,
        key: str,
        name: str,
        holder: str,
        secret: str | None,
        lobby: bool = True,
        *,
        account: Account | None = None,
        address: str = "",
    ) -> "Future[Joined]":
        return self.submit(
            lambda state, now: state.claim(now, key, name, holder, secret, lobby, account, address)
        )

    def release(self, claim: Claim) -> "Future[None]":
        return self.submit(lambda state, now: state.release(now, claim))

    def suspend(self, claim: Claim) -> "Future[None]":
        return self.submit(lambda state, now: state.suspend(now, claim))

    def append(self, claim: Claim, text: str, key: str | None = None) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.append(now, claim, text, key))

    def names(self) -> list[str]:
        return [who.name for who in self.lobby().people]

    def counts(self) -> Counts:
        lobby = self.lobby()
        return Counts(len(lobby.people), lobby.said)

    def tick(self) -> "Future[float]":
        return self.submit(ChatState.pass_time)

    # --- rooms

    def enter(self, claim: Claim, room: str, makes: bool = True) -> "Future[Seat]":
        return self.submit(lambda state, now: state.enter(now, claim, room, makes))

    def open_room(
        self, claim: Claim, room: str, title: str, topic: str, everything: bool
    ) -> "Future[Seat]":
        return self.submit(
            lambda state, now: state.open_room(now, claim, room, title, topic, everything)
        )

    def direct(self, claim: Claim, key: str, room: str) -> "Future[Seat]":
        return self.submit(lambda state, now: state.direct(now, claim, key, room))

    def accept(self, claim: Claim, digest: str) -> "Future[Seat]":
        return self.submit(lambda state, now: state.accept(now, claim, digest))

    def leave_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(lambda state, now: state.leave_room(now, claim, seat))

    def block(self, claim: Claim, key: str, on: bool) -> "Future[None]":
        return self.submit(lambda state, now: state.block(now, claim, key, on))

    def say(
        self, claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int
    ) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.say(now, claim, seat, text, key, reply_to))

    def edit(self, claim: Claim, seat: Seat, message: int, text: str) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.edit(now, claim, seat, message, text))

    def remove(self, claim: Claim, seat: Seat, message: int) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.remove(now, claim, seat, message))

    def react(self, claim: Claim, seat: Seat, message: int, emoji: str, on: bool) -> "Future[None]":
        return self.submit(lambda state, now: state.react(now, claim, seat, message, emoji, on))

    def mark_read(self, claim: Claim, seat: Seat, message: int) -> "Future[None]":
        return self.submit(lambda state, now: state.mark_read(now, claim, seat, message))

    def set_topic(
        self, claim: Claim, seat: Seat, topic: str, role: Role = "member"
    ) -> "Future[Receipt]":
        return self.submit(lambda state, now: state.set_topic(now, claim, seat, topic, role))

    def create_pass(
        self, claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
    ) -> "Future[None]":
        return self.submit(
            lambda state, now: state.create_pass(now, claim, seat, digest, days, uses)
        )

    def revoke_passes(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(lambda state, now: state.revoke_passes(now, claim, seat))

    def hand_on(self, claim: Claim, seat: Seat, key: str) -> "Future[None]":
        return self.submit(lambda state, now: state.hand_on(now, claim, seat, key))

    def close_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(lambda state, now: state.close_room(now, claim, seat))

    def typing(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(lambda state, now: state.typing(now, claim, seat))

    # --- accounts and sanctions

    def renew(self, claim: Claim, issued: float, role: Role) -> "Future[None]":
        return self.submit(lambda state, now: state.renew(now, claim, issued, role))

    def may_moderate(self, claim: Claim, room: str, role: Role) -> "Future[None]":
        return self._moderate(lambda does, now: does.may_moderate(now, claim, room, role))

    def strike(
        self, claim: Claim, room: str, role: Role, message: int, reason: str
    ) -> "Future[Receipt]":
        return self._moderate(
            lambda does, now: does.strike(now, claim, room, role, message, reason)
        )

    def mute(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        return self._moderate(
            lambda does, now: does.mute(now, claim, room, role, key, seconds, reason)
        )

    def kick(self, claim: Claim, room: str, role: Role, key: str, reason: str) -> "Future[None]":
        return self._moderate(lambda does, now: does.kick(now, claim, room, role, key, reason))

    def ban(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        return self._moderate(
            lambda does, now: does.ban(now, claim, room, role, key, seconds, reason)
        )

    def lift(self, claim: Claim, room: str, role: Role, number: int) -> "Future[None]":
        return self._moderate(lambda does, now: does.lift(now, claim, room, role, number))

    def sanctions(self, claim: Claim, room: str, role: Role) -> "Future[list[Sanction]]":
        return self._moderate(lambda does, now: does.in_force(now, claim, room, role))

    def ban_address(
        self,
        claim: Claim,
        role: Role,
        address: str,
        shown: str,
        seconds: float | None,
        reason: str,
    ) -> "Future[int]":
        return self._moderate(
            lambda does, now: does.ban_address(now, claim, role, address, shown, seconds, reason)
        )

    def disconnect(self, claim: Claim, role: Role, key: str, reason: str) -> "Future[int]":
        return self._moderate(lambda does, now: does.disconnect(now, claim, role, key, reason))

    def revoke(self, claim: Claim, role: Role, key: str) -> "Future[int]":
        return self._moderate(lambda does, now: does.revoke(now, claim, role, key))

    def announce(self, claim: Claim, role: Role, text: str) -> "Future[Receipt]":
        return self._moderate(lambda does, now: does.announce(now, claim, role, text))

    def close_any(self, claim: Claim, role: Role, room: str) -> "Future[None]":
        return self._moderate(lambda does, now: does.close_any(now, claim, role, room))

    def erase(self, claim: Claim, role: Role, key: str, cursor: str) -> "Future[str]":
        return self._moderate(lambda does, now: does.erase(now, claim, role, key, cursor))

    def _moderate(self, operation: "Callable[[Moderation, Moment], T]") -> "Future[T]":
        def moderate(state: ChatState, now: Moment) -> T:
            result = operation(state.moderation, now)
            state.settle(now)
            return result

        return self.submit(moderate)

    # --- following

    def follow(self, after: int, timeout: float) -> Tail:
        if self.last_id <= after and not self._lost and not self._asides:
            self._news.clear()
            self._news.wait(timeout)
        events = self._events_above(after)
        # Only now that nothing can fail any more: who lost a name is told once, but told.
        lost, self._lost = self._lost, []
        asides = tuple(self._asides)
        self._asides.clear()
        return Tail(events, lost, asides)

    def _events_above(self, after: int) -> list[Event]:
        if self.last_id <= after:
            return []
        fresh = self._fresh
        while fresh and fresh[0].id <= after:  # told; there is one follower
            fresh.popleft()
        if len(fresh) == self.last_id - after:
            return cut(fresh, MAX_READ_EVENTS)
        return self.read_log(after)

    def _continue_from(self, last_id: int) -> None:
        """The log may have got events, up to this one, that were never published: let the follower
        read them there."""
        self._fresh.clear()
        if last_id > self.last_id:
            self.last_id = last_id
            self._news.set()

    def _publish(self, changes: Changes) -> None:
        """Wake the follower; to be called when the changes are stored."""
        self._lost += changes.lost
        self._asides.extend(changes.asides)
        if changes.events:
            self._fresh.extend(changes.events)
            self.last_id = changes.events[-1].id
        if changes.events or changes.lost or changes.asides:
            self._news.set()


def with_all_of_the_last(places: Iterable[PlaceInfo], limit: int) -> list[PlaceInfo]:
    """The first `limit` of them, which are sorted, and more if there are more of the last name."""
    found: list[PlaceInfo] = []
    for place in places:
        if len(found) >= limit and place.name != found[-1].name:
            break
        found.append(place)
    return found
