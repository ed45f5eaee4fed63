"""A room as one person has it, from entering to leaving.

Holding it is the permission: it stands for one seat and one stay, and once either is over every
call is `not_joined`. Letting go of it ends nothing. The rules are the store's, which checks the
seat in the same step as whatever is done.
"""

import re
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from capnweb_sync import Lookup, RpcTarget
from capnweb_sync.values.javascript import MAX_SAFE_INTEGER
from chatserver.capabilities.lists import asked_for
from chatserver.futures import then
from chatserver.options import HistoryOptions, ListOptions, PassOptions, SayOptions, read_options
from chatserver.people.names import (
    check_emoji,
    check_name,
    check_room_name,
    clean_text,
    clean_topic,
)
from chatserver.rooms.member import Member
from chatserver.rooms.stays import Stays
from chatserver.store.interface import Store
from chatserver.store.refusals import no_such_message, no_such_room
from chatserver.store.seats import Kinds, Seat
from chatserver.store.values import Claim, Receipt, digest_of

T = TypeVar("T")

PASS_BYTES: Final = 16
"""Randomness of a pass: nobody guesses one."""

GIVEN: Final = re.compile(r"[+@][0-9a-f]{32}")
"""The names that the server gives to rooms: `+` for private ones, `@` for direct ones."""


class SharedRoom(RpcTarget):
    """What of a room somebody hands on to a program of his own: to read and to speak in it, as he
    does himself."""

    __slots__ = ("_member", "_seat", "_stays")

    def __init__(self, stays: Stays, member: Member, seat: Seat) -> None:
        self._stays = stays
        self._member = member
        self._seat = seat

    @property
    def info(self) -> "Lookup[dict[str, Any]]":
        """The room as one sees it: `{name, kind, title, topic, people, lastId, from, unread,
        inside}`, in a direct one `with`."""

        def read(store: Store) -> dict[str, Any]:
            return store.room(self._member.claim.by, self._seat).value()

        return self._stays.read(self._member, read, counts=False)

    def say(self, text: str, options: Any = None) -> "Future[Receipt]":
        """Say something; the answer comes when it is stored."""
        said = clean_text(text)
        wanted = read_options(options, SayOptions)
        answered = 0 if wanted.replyTo is None else message_id(wanted.replyTo)
        self._stays.messages += 1
        return self._ask(lambda store, *seat: store.say(*seat, said, wanted.key, answered))

    def history(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """Messages as they stand, ascending: with `after` the oldest above it, otherwise the
        newest."""
        return self._read_events(options, "messages")

    def events(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """What has happened, likewise."""
        return self._read_events(options, "events")

    def people(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """Who is in it, by name: `{name, online, role}`."""
        after, limit = asked_for(read_options(options, ListOptions))

        def read(store: Store) -> list[dict[str, Any]]:
            found = store.people(self._member.claim.by, self._seat, after, limit)
            return [occupant._asdict() for occupant in found]

        return self._stays.read(self._member, read)

    def typing(self) -> "Future[None] | None":
        """Tell the others that one is typing; not more than once in three seconds."""
        return self._stays.whisper(self._member, self._seat)

    def edit(self, message: int, text: str) -> "Future[Receipt]":
        """Change what one has said."""
        mine, said = message_id(message), clean_text(text)
        return self._ask(lambda store, *seat: store.edit(*seat, mine, said))

    def remove(self, message: int) -> "Future[Receipt]":
        """Erase what one has said."""
        mine = message_id(message)
        return self._ask(lambda store, *seat: store.remove(*seat, mine))

    def react(self, message: int, emoji: str, on: bool = True) -> "Future[None]":
        """Add a reaction to anybody's message, or take it back."""
        to, picture = message_id(message), check_emoji(emoji)
        return self._ask(lambda store, *seat: store.react(*seat, to, picture, on))

    def read(self, message: int) -> "Future[None]":
        """What lies above is unread."""
        last = message_id(message)
        # Asked with each message that somebody sees, and nobody hears of it.
        return self._ask(
            lambda store, *seat: store.mark_read(*seat, last), counts=False, speaks=False
        )

    def _ask(
        self,
        operation: "Callable[[Store, Claim, Seat], Future[T]]",
        *,
        counts: bool = True,
        speaks: bool = True,
    ) -> "Future[T]":
        """What the store does in this seat."""
        member, seat = self._member, self._seat
        return self._stays.ask(
            member,
            lambda store: operation(store, member.claim, seat),
            counts=counts,
            speaks=speaks,
        )

    def _read_events(self, options: Any, kinds: Kinds) -> "Lookup[list[dict[str, Any]]]":
        wanted = read_options(options, HistoryOptions)

        def read(store: Store) -> list[dict[str, Any]]:
            found = store.read_room(
                self._member.claim.by,
                self._seat,
                after=wanted.after or 0,
                before=wanted.before,
                limit=wanted.limit,
                newest=wanted.after is None,
                kinds=kinds,
            )
            return [event.full_value() for event in found]

        return self._stays.read(self._member, read)


class Room(SharedRoom):
    """A room as the person has it who is in it."""

    __slots__ = ()

    def share(self) -> SharedRoom:
        """The room for a program of one's own, which can neither leave nor govern it."""
        return SharedRoom(self._stays, self._member, self._seat)

    def leave(self) -> "Future[None]":
        """End the seat."""
        return self._ask(lambda store, *seat: store.leave_room(*seat), speaks=False)

    def setTopic(self, text: str) -> "Future[Receipt]":
        """Say what the room is about; nothing if `text` is empty."""
        topic, role = clean_topic(text), self._member.role
        return self._ask(lambda store, *seat: store.set_topic(*seat, topic, role))

    def createPass(self, options: Any = None) -> "Future[str]":
        """What lets others come in by `accept`; the server itself cannot say it again."""
        wanted = read_options(options, PassOptions)
        made = secrets.token_urlsafe(PASS_BYTES)
        digest = pass_digest(made)
        created = self._ask(
            lambda store, *seat: store.create_pass(*seat, digest, wanted.days, wanted.uses)
        )
        return then(created, lambda _: made)

    def revokePasses(self) -> "Future[None]":
        """None of the room's passes is good any more."""
        return self._ask(lambda store, *seat: store.revoke_passes(*seat))

    def handOn(self, name: str) -> "Future[None]":
        """Make somebody else in the room its owner."""
        key = check_name(name).key
        return self._ask(lambda store, *seat: store.hand_on(*seat, key))

    def close(self) -> "Future[None]":
        """End the room, for everybody."""
        return self._ask(lambda store, *seat: store.close_room(*seat))


def room_name(given: str) -> str:
    """What a room is called that somebody names. Raises BadRequest, and NoSuchRoom for what no room
    can be called that the server names."""
    if given[:1] in ("+", "@"):
        if not GIVEN.fullmatch(given):
            raise no_such_room()
        return given
    return check_room_name(given)


def message_id(given: int) -> int:
    """An id that a message may have. Raises BadRequest."""
    if not 0 < given <= MAX_SAFE_INTEGER:
        raise no_such_message()
    return int(given)


def pass_digest(given: str) -> str:
    """What the store knows of a pass."""
    return digest_of("pass", given).hex()
