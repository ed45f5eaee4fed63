"""People who have logged in, in this process: no socket, and a tail that the test moves on."""

from functools import partial
from typing import Any

from chatserver.capabilities.person import Person
from chatserver.capabilities.room import Room
from chatserver.options import JoinOptions
from chatserver.people.tokens import Identity
from chatserver.rooms.arrival import Arriving
from chatserver.rooms.member import ClientState
from chatserver.rooms.stays import Stays
from chatserver.store.interface import Store
from tests.chatserver.greenlets import FakeConnection, outcome


class Somebody:
    """Somebody who has logged in, in this process."""

    def __init__(
        self,
        stays: Stays,
        name: str,
        options: JoinOptions | None = None,
        *,
        identity: Identity | None = None,
    ) -> None:
        self.connection = FakeConnection()
        self.client = ClientState(self.connection)
        self._stays = stays
        callback = self.connection.callback()
        self.person: Person = outcome(
            stays.log_in(
                self.client,
                Arriving(name.casefold(), name, identity),
                callback,
                callback,
                options or JoinOptions(),
                partial(Person, stays),
            )
        )

    def enter(self, room: str) -> Room:
        return outcome(self.person.enter(room))

    def me(self) -> dict[str, Any]:
        return outcome(self.person.me)

    @property
    def heard(self) -> list[dict[str, Any]]:
        return self.connection.heard

    def texts(self) -> list[str]:
        """Of chat messages."""
        return [event.get("text", "") for event in self.heard if event["type"] == "chat"]

    def end(self, on_purpose: bool = False) -> None:
        self.connection.closed = True
        self.connection.closed_on_purpose = on_purpose
        self._stays.closed(self.client)


def follow(stays: Stays, store: Store) -> None:
    """Tell all that is there."""
    while stays.feed.position < store.last_id:
        stays.feed.follow()


def say(room: Room, text: str) -> int:
    return outcome(room.say(text)).id


def resuming(secret: str, since: int | None = None) -> JoinOptions:
    """The options of who comes back."""
    return JoinOptions(resume=secret, since=since)
