"""Somebody who has logged in, and the ways from there into rooms.

Letting go of it ends nothing; `logout`, and the end of the connection, do.
"""

import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from capnweb_sync import Lookup, RpcTarget
from chatserver.capabilities.admin import Admin
from chatserver.capabilities.lists import asked_for
from chatserver.capabilities.moderator import Moderator
from chatserver.capabilities.room import Room, pass_digest, room_name
from chatserver.errors import BadRequest, Forbidden, NoSuchRoom, Unauthorized
from chatserver.futures import instead, then
from chatserver.options import LISTED, MAX_TOKEN, ListOptions, OpenOptions, read_options
from chatserver.people.access import EVERYBODY, Access
from chatserver.people.names import check_name, clean_title, clean_topic
from chatserver.rooms.arrival import Arrival
from chatserver.rooms.member import check_here
from chatserver.rooms.present import tell_of
from chatserver.rooms.stays import Stays
from chatserver.store.interface import Store
from chatserver.store.refusals import no_such_room
from chatserver.store.seats import EVERYWHERE, RoomInfo, Seat

NAME_BYTES: Final = 16
"""Randomness in the names of private and direct rooms: nobody guesses one."""


class Person(RpcTarget):
    """What somebody who has logged in can ask for."""

    __slots__ = ("_access", "_arrival", "_member", "_stays")

    def __init__(self, stays: Stays, arrival: Arrival, access: Access = EVERYBODY) -> None:
        self._access = access
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
                "rooms": [
                    room.value()
                    for room in all_inside(store, joined.claim.by)
                    if self._member.may_enter(room.name)
                ],
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
        room = self._room_named(name)
        member = self._member
        opens = self._access.may_make_rooms(member.identity)
        makes = opens and not member.quiet
        seated = self._seated(lambda store: store.enter(member.claim, room, makes), speaks=False)
        if opens or member.quiet or room[0] in "+@":
            return seated
        return instead(seated, NoSuchRoom, not_open())

    def open(self, options: Any) -> "Future[Room]":
        """Make a private room and be its owner."""
        self._check_unbound()
        if not self._access.may_make_rooms(self._member.identity):
            raise not_open()
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

    def blocked(self, options: Any = None) -> "Lookup[list[str]]":
        """Whom one blocks: names, by what they are compared by."""
        after, limit = asked_for(read_options(options, ListOptions))
        key = None if after is None else check_name(after).key
        by = self._member.claim.by
        return self._stays.read(self._member, lambda store: store.blocked(by, key, limit))

    def renew(self, token: str) -> "Future[None]":
        """Stay for as long as this token is good, the next one of the same person and for the same
        rooms; its role is the one from now on."""
        check_here(self._member)
        if self._member.identity is None:
            raise Unauthorized("You have come in by a name; a guest has no token.")
        return self._stays.renew(self._member, self._access.tokens.check(token))

    def moderate(self, room: str) -> "Future[Moderator]":
        """What one can do in a room that one may moderate."""
        name = self._room_named(room)
        return then(self._may(name), lambda _: Moderator(self._stays, self._member, name))

    def administer(self) -> "Future[Admin]":
        """What an admin can do."""
        self._check_unbound()
        return then(self._may(EVERYWHERE), lambda _: Admin(self._stays, self._member, EVERYWHERE))

    def logout(self) -> "Future[dict[str, Any]]":
        """End the stay, and with it each `Room`."""
        return self._stays.log_out(self._member)

    def _room_named(self, name: str) -> str:
        """Raises BadRequest, and NoSuchRoom for what the token is not for, too."""
        room = room_name(name)
        if not self._member.may_enter(room):
            raise no_such_room()
        return room

    def _may(self, room: str) -> "Future[None]":
        member = self._member
        return self._stays.ask(
            member, lambda store: store.may_moderate(member.claim, room, member.role)
        )

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


def not_open() -> Forbidden:
    """Making a room, by somebody who may not."""
    return Forbidden("There is no such room, and you may not make one here.")


def all_inside(store: Store, by: str) -> list[RoomInfo]:
    """All rooms that somebody is in, of which there is a bound."""
    found: list[RoomInfo] = []
    while True:
        part = store.rooms(by, found[-1].name if found else None, LISTED, inside=True)
        found += part
        if len(part) < LISTED:
            return found
