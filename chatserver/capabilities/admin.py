"""What admins can do, to everyone and everywhere."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import gevent

from capnweb_sync import Lookup
from capnweb_sync.futures import complete
from chatserver.capabilities.lists import asked_for
from chatserver.capabilities.moderator import Powers, lasting, whom
from chatserver.capabilities.room import room_name
from chatserver.errors import BadRequest
from chatserver.futures import then, wait
from chatserver.options import BanOptions, ListOptions, read_options
from chatserver.people.names import clean_reason, clean_text
from chatserver.rooms.present import tell_use
from chatserver.store.events import Event
from chatserver.store.interface import MAX_READ_EVENTS, Store
from chatserver.store.seats import EVERYWHERE
from chatserver.store.values import Receipt, Span

T = TypeVar("T")

EXPORT_CHARACTERS: Final = 64 * 1024
"""Of a part of what is exported, about: what fits into a client's messages."""


class Admin(Powers):
    """An admin. Bans and the list of them are those from everywhere."""

    __slots__ = ()

    # --- looking

    def people(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """Everyone known, by name: `{name, role, online, rooms}`."""
        after, limit = asked_for(read_options(options, ListOptions))
        return self._look(
            "Listed people",
            lambda store: [person._asdict() for person in store.everyone(after, limit)],
        )

    def connections(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """All stays, by name: `{name, account, connected}`."""
        after, limit = asked_for(read_options(options, ListOptions))

        def read(store: Store) -> list[dict[str, Any]]:
            return [
                {"name": one.name, "account": one.account, "connected": one.holder is not None}
                for one in store.places(after, limit)
            ]

        return self._look("Listed connections", read)

    def rooms(self, options: Any = None) -> "Lookup[list[dict[str, Any]]]":
        """All rooms but conversations, by name, as `Room.info` has them."""
        after, limit = asked_for(read_options(options, ListOptions))
        return self._look(
            "Listed rooms", lambda store: [room.value() for room in store.all_rooms(after, limit)]
        )

    def statistics(self) -> "Lookup[dict[str, int]]":
        """How much there is."""
        return self._look("Listed statistics", lambda store: store.statistics())

    def export(self, room: str) -> "Future[Iterator[str]]":
        """All that happened in a room, as it stands: JSON lines, in parts."""
        name = room_name(room)
        asked = self._use(
            lambda store, claim, role: store.may_moderate(claim, name, role), "Exported", room=name
        )
        return then(asked, lambda _: self._lines(name))

    # --- doing

    def disconnect(self, name: str, reason: str | None = None) -> "Future[int]":
        """End all connections of somebody, who may come again: how many."""
        who, why = whom(name), clean_reason(reason or "")
        return self._use(
            lambda store, claim, role: store.disconnect(claim, role, who.key, why),
            "Disconnected",
            person=who.shown,
        )

    def ban(
        self, whom_or_where: Any, seconds: float | None = None, reason: str | None = None
    ) -> "Future[int]":
        """Let somebody in no more, by `{name}`, or guests from an `{address}`: the sanction's
        id."""
        wanted = read_options(whom_or_where, BanOptions)
        span, why = lasting(seconds), clean_reason(reason or "")
        if (wanted.name is None) == (wanted.address is None):
            raise BadRequest("A ban is of somebody or of an address: ban({name}), ban({address}).")
        if wanted.name is not None:
            who = whom(wanted.name)
            return self._use(
                lambda store, claim, role: store.ban(claim, EVERYWHERE, role, who.key, span, why),
                "Banned",
                person=who.shown,
                seconds=span,
            )
        digest = self._stays.digest_of(wanted.address or "")
        if not digest:
            raise BadRequest("This is no IP address, or one that is never banned.")
        return self._use(
            lambda store, claim, role: store.ban_address(claim, role, digest, "", span, why),
            "Banned",
            address=digest,
            seconds=span,
        )

    def revoke(self, name: str) -> "Future[int]":
        """Have none of an account's tokens be good any more: how many of its places ended."""
        who = whom(name)
        return self._use(
            lambda store, claim, role: store.revoke(claim, role, who.key),
            "Revoked",
            person=who.shown,
        )

    def announce(self, text: str) -> "Future[Receipt]":
        """Tell everyone who has logged in."""
        said = clean_text(text)
        return self._use(lambda store, claim, role: store.announce(claim, role, said), "Announced")

    def closeRoom(self, name: str) -> "Future[None]":
        """End a room."""
        room = room_name(name)
        return self._use(
            lambda store, claim, role: store.close_any(claim, role, room),
            "Closed a room",
            room=room,
        )

    def erase(self, name: str) -> "Future[None]":
        """Erase what an account has said, its reactions, and the account; its tokens are good no
        more."""
        who = whom(name)
        erased: Future[None] = Future()

        def erase() -> None:
            try:
                cursor = self._erase(who.key, "")
                while cursor:
                    cursor = self._erase(who.key, cursor)
                tell_use(self._member, "Erased", person=who.shown)
                complete(erased, None)
            except Exception as error:  # the caller is told
                complete(erased, None, error)

        gevent.spawn_raw(erase)
        return erased

    def _erase(self, key: str, cursor: str) -> str:
        member = self._member
        return wait(
            self._stays.ask(
                member,
                lambda store: store.erase(member.claim, member.role, key, cursor),
                counts=not cursor,
            )
        )

    # --- what these consist of

    @property
    def _where(self) -> dict[str, str]:
        return {}

    def _look(self, what: str, read: Callable[[Store], T]) -> "Lookup[T]":
        """What `read` gives whoever is an admin when its turn comes."""

        def look(store: Store) -> T:
            self._check(EVERYWHERE)
            found = read(store)
            tell_use(self._member, what)
            return found

        return self._stays.read(self._member, look)

    def _check(self, room: str) -> None:
        """Blocks. Raises NotJoined, Forbidden, NoSuchRoom, Unavailable."""
        member = self._member
        wait(
            self._stays.ask(
                member,
                lambda store: store.may_moderate(member.claim, room, member.role),
                counts=False,
            )
        )

    def _lines(self, room: str) -> Iterator[str]:
        """The events of a room. Who may not any more reads no further."""

        def read(after: int, store: Store) -> list[Event]:
            self._check(room)
            return store.read_span(Span(room, "events", after, None, MAX_READ_EVENTS, False))

        after = 0
        while True:
            events = wait(self._stays.read(self._member, partial(read, after), counts=False))
            if not events:
                return
            part = ""
            for event in events:
                part += (
                    json.dumps(event.full_value(), ensure_ascii=False, default=datetime.isoformat)
                    + "\n"
                )
                if len(part) > EXPORT_CHARACTERS:
                    yield part
                    part = ""
                    self._check(room)
            if part:
                yield part
            after = events[-1].id
