"""Somebody who has logged in, and the ways from there into rooms.

Letting go of it ends nothing; `logout`, and the end of the connection, do.
"""

import re
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from capnweb_sync import Lookup, RpcTarget
from chatserver.capabilities.lists import asked_for
from chatserver.capabilities.room import Room, pass_digest
from chatserver.errors import BadRequest, Forbidden, Unauthorized
from chatserver.futures import then
from chatserver.options import LISTED, MAX_TOKEN, ListOptions, OpenOptions, read_options
from chatserver.people.access import EVERYBODY
from chatserver.people.names import check_name, check_room_name, clean_title, clean_topic
from chatserver.people.tokens import Tokens, unauthorized
from chatserver.rooms.arrival import Arrival
from chatserver.rooms.member import check_here
from chatserver.rooms.stays import Stays, tell_of
from chatserver.store.interface import Store
from chatserver.store.refusals import no_such_room
from chatserver.store.seats import RoomInfo, Seat

NAME_BYTES: Final = 16
"""Randomness in the names of private and direct rooms: nobody guesses one."""

GIVEN: Final = re.compile(r"[+@][0-9a-f]{32}")
"""The names that the server gives to rooms: `+` for private ones, `@` for direct ones."""


class Person(RpcTarget):
    """What somebody who has logged in can ask for."""

    __slots__ = ("_arrival", "_member", "_stays", "_tokens")

    def __init__(self, stays: Stays, arrival: Arrival, tokens: Tokens = EVERYBODY.tokens) -> None:
        self._tokens = tokens
        self._stays = stays
        self._arrival = arrival
        self._member = arrival.member

    @property
    def me(self) -> "Lookup[dict[str, Any]]":
        """Who one is and what came of logging in: `{name, account, role, resume, epoch, lastId,
        recovered, rooms}`. `rooms` are those that one is in, as they are when this is read."""
        arrival = self._arrival
        joined, identity = arrival.joined, self._member.identity

        def read(store: Store) -> dict[str, Any]:
            return {
                "name": joined.name,
                "account": identity is not None,
                "role": None if identity is None else identity.role,
                "resume": joined.claim.secret,
                "epoch": arrival.epoch,
                "lastId": joined.last_id,
                "recovered": arrival.recovered,
                "rooms": [room.value() for room in all_inside(store, joined.claim.by)],
            }

        return self._stays.read(self._member, read, counts=False)

    def rooms(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """The rooms that one sees, by name: public ones, and those that one is in."""
        after, limit = asked_for(read_options(options, ListOptions))

        def read(store: Store) -> list[dict[str, Any]]:
            found = store.rooms(self._member.claim.by, after, limit)
            return [room.value() for room in found if self._member.may_enter(room.name)]

        return self._stays.read(self._member, read)

    def enter(self, name: str) -> "Future[Room]":
        """Come into a public room, which is made if there is none, or into one in which one is."""
        if name[:1] in ("+", "@"):
            if not GIVEN.fullmatch(name):
                raise no_such_room()
            room = name
        else:
            room = check_room_name(name)
        if not self._member.may_enter(room):
            raise no_such_room()
        member = self._member
        makes = not member.quiet
        return self._seated(lambda store: store.enter(member.claim, room, makes), speaks=False)

    def open(self, options: Any) -> "Future[Room]":
        """Make a private room and be its owner."""
        self._check_unbound()
        wanted = read_options(options, OpenOptions)
        if wanted.title is None:
            raise BadRequest("A private room needs a title: open({title}).")
        if wanted.history not in (None, "all"):
            raise BadRequest("The option 'history' is \"all\", or absent.")
        title, topic = clean_title(wanted.title), clean_topic(wanted.topic or "")
        room, everything = f"+{secrets.token_hex(NAME_BYTES)}", wanted.history == "all"
        seated = self._seated(
            lambda store: store.open_room(self._member.claim, room, title, topic, everything)
        )

        def opened(room: Room) -> Room:
            # Without its name: that is nobody else's to know.
            tell_of(self._member, "Opened a room")
            return room

        return then(seated, opened)

    def direct(self, name: str) -> "Future[Room]":
        """The room of oneself and somebody else."""
        self._check_unbound()
        try:
            key = check_name(name).key
        except BadRequest:
            raise no_such_room() from None  # nobody can have it
        room = f"@{secrets.token_hex(NAME_BYTES)}"
        return self._seated(lambda store: store.direct(self._member.claim, key, room))

    def accept(self, given: str) -> "Future[Room]":
        """Come into a private room by a pass, see `Room.createPass`."""
        self._check_unbound()
        if len(given) > MAX_TOKEN:
            raise no_such_room()
        digest = pass_digest(given)
        return self._seated(lambda store: store.accept(self._member.claim, digest))

    def block(self, name: str, on: bool = True) -> "Future[None]":
        """Whether somebody can not ask for a direct room with oneself."""
        key = check_name(name).key
        return self._stays.ask(self._member, lambda store: store.block(self._member.claim, key, on))

    def renew(self, token: str) -> None:
        """Stay for as long as this token is good, the next one of the same person and for the same
        rooms."""
        member = self._member
        check_here(member)
        if member.identity is None:
            raise Unauthorized("You have come in by a name; a guest has no token.")
        following = self._tokens.check(token)
        present = member.identity
        if (following.subject, following.rooms) != (present.subject, present.rooms):
            raise unauthorized()
        member.identity = following

    def moderate(self, room: str) -> None:
        """For who may moderate a room; nobody may here."""
        raise Forbidden("You may not moderate this room.")

    def administer(self) -> None:
        """For administrators; nobody is one here."""
        raise Forbidden("You may not administer this chat.")

    def logout(self) -> "Future[dict[str, Any]]":
        """End the stay, and with it each `Room`."""
        return self._stays.log_out(self._member)

    def _check_unbound(self) -> None:
        """Raises Forbidden if the token is for certain rooms only."""
        identity = self._member.identity
        if identity is not None and identity.rooms is not None:
            raise Forbidden("Your token is for certain rooms only.")

    def _seated(
        self, operation: Callable[[Store], "Future[Seat]"], *, speaks: bool = True
    ) -> "Future[Room]":
        stays, member = self._stays, self._member
        seated = stays.seat(member, operation, speaks=speaks)
        return then(seated, lambda seat: Room(stays, member, seat))


def all_inside(store: Store, by: str) -> list[RoomInfo]:
    """All rooms that somebody is in, of which there is a bound."""
    found: list[RoomInfo] = []
    while True:
        part = store.rooms(by, found[-1].name if found else None, LISTED, inside=True)
        found += part
        if len(part) < LISTED:
            return found
