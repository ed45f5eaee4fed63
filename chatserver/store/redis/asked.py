"""What a store is asked that goes through its writer: methods of `Store` that return a `Future`,
as operations."""

from abc import abstractmethod
from concurrent.futures import Future
from typing import TypeVar

from chatserver.people.token_terms import Role
from chatserver.store.interface import Store
from chatserver.store.redis import operations, people_operations, room_operations
from chatserver.store.redis.operations import Operation
from chatserver.store.seats import Sanction, Seat
from chatserver.store.values import Account, Claim, Joined, Receipt

T = TypeVar("T")


class AskedStore(Store):
    """A store that says how operations are carried out."""

    @abstractmethod
    def submit(self, operation: Operation[T]) -> "Future[T]":
        """Carry out an operation after all that were submitted before."""

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
        return self.submit(operations.claim(key, name, holder, secret, lobby, account, address))

    def release(self, claim: Claim) -> "Future[None]":
        return self.submit(operations.release(claim))

    def suspend(self, claim: Claim) -> "Future[None]":
        return self.submit(operations.suspend(claim))

    def append(self, claim: Claim, text: str, key: str | None = None) -> "Future[Receipt]":
        return self.submit(operations.append(claim, text, key))

    def tick(self) -> "Future[float]":
        return self.submit(operations.tick())

    # --- rooms

    def enter(self, claim: Claim, room: str, makes: bool = True) -> "Future[Seat]":
        return self.submit(room_operations.enter(claim, room, makes))

    def open_room(
        self, claim: Claim, room: str, title: str, topic: str, everything: bool
    ) -> "Future[Seat]":
        operation = room_operations.open_room(claim, room, title, topic, everything)
        return self.submit(operation)

    def direct(self, claim: Claim, key: str, room: str) -> "Future[Seat]":
        return self.submit(room_operations.direct(claim, key, room))

    def accept(self, claim: Claim, digest: str) -> "Future[Seat]":
        return self.submit(room_operations.accept(claim, digest))

    def leave_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(room_operations.leave_room(claim, seat))

    def block(self, claim: Claim, key: str, on: bool) -> "Future[None]":
        return self.submit(room_operations.block(claim, key, on))

    def say(
        self, claim: Claim, seat: Seat, text: str, key: str | None, reply_to: int
    ) -> "Future[Receipt]":
        return self.submit(room_operations.say(claim, seat, text, key, reply_to))

    def edit(self, claim: Claim, seat: Seat, message: int, text: str) -> "Future[Receipt]":
        return self.submit(room_operations.edit(claim, seat, message, text))

    def remove(self, claim: Claim, seat: Seat, message: int) -> "Future[Receipt]":
        return self.submit(room_operations.remove(claim, seat, message))

    def react(self, claim: Claim, seat: Seat, message: int, emoji: str, on: bool) -> "Future[None]":
        return self.submit(room_operations.react(claim, seat, message, emoji, on))

    def mark_read(self, claim: Claim, seat: Seat, message: int) -> "Future[None]":
        return self.submit(room_operations.mark_read(claim, seat, message))

    def set_topic(
        self, claim: Claim, seat: Seat, topic: str, role: Role = "member"
    ) -> "Future[Receipt]":
        return self.submit(room_operations.set_topic(claim, seat, topic, role))

    def create_pass(
        self, claim: Claim, seat: Seat, digest: str, days: float, uses: int | None
    ) -> "Future[None]":
        return self.submit(room_operations.create_pass(claim, seat, digest, days, uses))

    def revoke_passes(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(room_operations.revoke_passes(claim, seat))

    def hand_on(self, claim: Claim, seat: Seat, key: str) -> "Future[None]":
        return self.submit(room_operations.hand_on(claim, seat, key))

    def close_room(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(room_operations.close_room(claim, seat))

    def typing(self, claim: Claim, seat: Seat) -> "Future[None]":
        return self.submit(room_operations.typing(claim, seat))

    # --- accounts and sanctions

    def renew(self, claim: Claim, issued: float, role: Role) -> "Future[None]":
        return self.submit(people_operations.renew(claim, issued, role))

    def may_moderate(self, claim: Claim, room: str, role: Role) -> "Future[None]":
        return self.submit(people_operations.may_moderate(claim, room, role))

    def strike(
        self, claim: Claim, room: str, role: Role, message: int, reason: str
    ) -> "Future[Receipt]":
        return self.submit(people_operations.strike(claim, room, role, message, reason))

    def mute(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        return self.submit(people_operations.mute(claim, room, role, key, seconds, reason))

    def kick(self, claim: Claim, room: str, role: Role, key: str, reason: str) -> "Future[None]":
        return self.submit(people_operations.kick(claim, room, role, key, reason))

    def ban(
        self, claim: Claim, room: str, role: Role, key: str, seconds: float | None, reason: str
    ) -> "Future[int]":
        return self.submit(people_operations.ban(claim, room, role, key, seconds, reason))

    def lift(self, claim: Claim, room: str, role: Role, number: int) -> "Future[None]":
        return self.submit(people_operations.lift(claim, room, role, number))

    def sanctions(self, claim: Claim, room: str, role: Role) -> "Future[list[Sanction]]":
        return self.submit(people_operations.sanctions(claim, room, role))

    def ban_address(
        self,
        claim: Claim,
        role: Role,
        address: str,
        shown: str,
        seconds: float | None,
        reason: str,
    ) -> "Future[int]":
        return self.submit(
            people_operations.ban_address(claim, role, address, shown, seconds, reason)
        )

    def disconnect(self, claim: Claim, role: Role, key: str, reason: str) -> "Future[int]":
        return self.submit(people_operations.disconnect(claim, role, key, reason))

    def revoke(self, claim: Claim, role: Role, key: str) -> "Future[int]":
        return self.submit(people_operations.revoke(claim, role, key))

    def announce(self, claim: Claim, role: Role, text: str) -> "Future[Receipt]":
        return self.submit(people_operations.announce(claim, role, text))

    def close_any(self, claim: Claim, role: Role, room: str) -> "Future[None]":
        return self.submit(people_operations.close_any(claim, role, room))

    def erase(self, claim: Claim, role: Role, key: str, cursor: str) -> "Future[str]":
        return self.submit(people_operations.erase(claim, role, key, cursor))
