"""Who of this process is in a room, and hears it live."""

from collections.abc import Sequence
from typing import Final

from capnweb_sync import RpcStub, broadcast_all
from capnweb_sync.close_codes import CloseCode
from chatserver.people.limits import Bucket, Rate, allows
from chatserver.rooms.member import Member
from chatserver.store.events import SEED_TYPES, Event
from chatserver.store.seats import Aside

WHISPERS: Final = Rate(4, 16)
"""How often something is told beside the log in one room."""


class Cast:
    """The live members of one room: those who came by `join`, who hear what a callback of before
    knows, and those who have logged in, who hear all of it."""

    __slots__ = ("_full", "_seed", "_whispers")

    def __init__(self) -> None:
        self._seed: dict[Member, RpcStub] = {}
        self._full: dict[Member, RpcStub] = {}
        self._whispers: Bucket | None = None

    def __len__(self) -> int:
        return len(self._seed) + len(self._full)

    def add(self, member: Member) -> None:
        """Tell `member` from now on. One without a callback hears nothing."""
        if member.sink is not None:
            (self._full if member.full else self._seed)[member] = member.sink

    def remove(self, member: Member) -> None:
        """Tell `member` nothing more."""
        (self._full if member.full else self._seed).pop(member, None)

    def tell(self, events: Sequence[Event]) -> None:
        """Tell neighbours in the log of this room: each event is encoded once for each kind of
        members that is there."""
        try:
            if self._full:
                broadcast_all(
                    self._full.values(), None, [(event.full_value(),) for event in events]
                )
            if self._seed:
                seed = [(event.value(),) for event in events if event.type in SEED_TYPES]
                broadcast_all(self._seed.values(), None, seed)
        except BaseException:
            # Who was told and who was not cannot be said: they come back and say it themselves.
            for member in (*self._seed, *self._full):
                member.send_away(
                    CloseCode.SERVICE_RESTART, "An event could not be told; join again."
                )
            raise

    def whisper(self, asides: Sequence[Aside]) -> None:
        """Tell those who have logged in what is beside the log. What is more than WHISPERS is lost:
        a crowd that types must not cost more than what it says."""
        if self._whispers is None:
            self._whispers = Bucket(WHISPERS)
        told = [(aside.value(),) for aside in asides if allows(self._whispers)]
        if self._full:
            broadcast_all(self._full.values(), None, told)
