"""A chat that is moderated, done to a store and to the model of it."""

from typing import Any

from tests.chatserver.store.model import Sanction
from tests.chatserver.store.play import ROLES, Play


class ModeratedPlay(Play):
    """With what moderators and admins do."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.made: list[int] = []
        """Sanctions, by their numbers."""

    def strike(self, who: str, room: str, number: int) -> None:
        message = self.id_of(room, number)
        self.moderate("strike", who, room, number, stored=(message, ""))

    def kick(self, who: str, room: str, other: str) -> None:
        self.moderate("kick", who, room, other, stored=(other, ""))

    def mute(self, who: str, room: str, other: str) -> None:
        self.sanction("mute", who, room, other)

    def ban(self, who: str, room: str, other: str) -> None:
        self.sanction("ban", who, room, other)
        self.forget_who_is_gone()

    def sanction(self, kind: str, who: str, room: str, other: str) -> None:
        if who not in self.joined:
            return
        claim, role, real = self.claim(who), ROLES.get(who, "member"), self.real.get(room, room)
        made: list[Sanction] = []
        number = self.both(
            kind,
            lambda: made.append(self.model.sanction(kind, who, room, other)),
            lambda: getattr(self.store, kind)(claim, real, role, other, None, ""),
        )
        if made:
            self.made.append(number)
            self.model.sanctions[number] = made[0]
            if kind == "ban":
                self.model.banned(room, other)

    def lift(self, who: str, room: str, which: int) -> None:
        number = self.made[which] if which < len(self.made) else 10**6
        self.moderate("lift", who, room, number, stored=(number,))

    def moderate(self, name: str, who: str, room: str, *rest: Any, stored: Any) -> None:
        if who in self.joined:
            claim, role, real = self.claim(who), ROLES.get(who, "member"), self.real.get(room, room)
            self.both(
                name,
                lambda: getattr(self.model, name)(who, room, *rest),
                lambda: getattr(self.store, name)(claim, real, role, *stored),
            )

    def revoke(self, who: str, other: str) -> None:
        self.administer("revoke", who, other)

    def disconnect(self, who: str, other: str) -> None:
        self.administer("disconnect", who, other, "")

    def administer(self, name: str, who: str, other: str, *rest: str) -> None:
        if who in self.joined:
            claim, role = self.claim(who), ROLES.get(who, "member")
            self.both(
                name,
                lambda: getattr(self.model, name)(who, other),
                lambda: getattr(self.store, name)(claim, role, other, *rest),
            )
            self.forget_who_is_gone()

    def check(self) -> None:
        super().check()
        for who in self.joined:
            claim, role = self.claim(who), ROLES.get(who, "member")
            for room in ("*", "lobby", "tea", "+one"):
                numbers = self.both(
                    "sanctions",
                    lambda who=who, room=room: self.model.in_force(who, room),  # type: ignore[misc]
                    lambda claim=claim, room=room, role=role: self.store.sanctions(  # type: ignore[misc]
                        claim, room, role
                    ),
                )
                if numbers is not None:
                    assert [one.number for one in numbers] == self.model.in_force(who, room)
