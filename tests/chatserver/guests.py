"""People who log in at a real server, over a real connection, and what they hear."""

from collections.abc import Mapping
from typing import Any

from capnweb_sync import RemoteError, RpcTarget, connect
from chatserver.tokens import issue
from tests.processes import DEADLINE, wait_until

Event = dict[str, Any]

SECRET = "a secret of the tests, 32 bytes long"
"""What the tokens are signed with that the servers of the tests take."""


class Ear(RpcTarget):
    """A callback, by reference."""

    def __init__(self, heard: list[Event]) -> None:
        self._heard = heard

    def onMessage(self, event: Event) -> None:
        self._heard.append(event)


class Guest:
    """Somebody who has logged in.

    Attributes:
        session: the connection.
        person: the `Person`, as a promise.
        events: all that was heard, in order.
    """

    def __init__(
        self,
        url: str,
        name: str | None,
        *,
        silent: bool = False,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.events: list[Event] = []
        self.session = connect(url, headers=headers or {})
        callback = None if silent else Ear(self.events)
        who = {"name": name, **options}
        self.person: Any = self.session.main.login(callback, who)

    @property
    def me(self) -> dict[str, Any]:
        """Who one is."""
        me: dict[str, Any] = self.person.me.result()
        return me

    def enter(self, name: str) -> Any:
        """A room, when one is in it."""
        return self.person.enter(name).result()

    def heard_in(self, room: str, *kinds: str) -> list[Event]:
        """The events of one room so far, of these types."""
        return [
            event
            for event in self.events
            if event["room"] == room and (not kinds or event["type"] in kinds)
        ]

    def wait_for(self, text: str) -> Event:
        """The first event with this text, once it has come."""

        def found() -> list[Event]:
            return [event for event in self.events if event.get("text") == text]

        wait_until(found, message=f"{text!r} in {self.events}")
        return found()[0]

    def wait_for_type(self, kind: str) -> Event:
        """The first event of this type, once it has come."""

        def found() -> list[Event]:
            return [event for event in self.events if event["type"] == kind]

        wait_until(found, message=f"{kind} in {self.events}")
        return found()[0]

    def closed(self) -> tuple[int | None, str]:
        """How the server ends the connection, once it does."""
        assert self.session.wait_closed(DEADLINE)
        end = self.session.end
        assert end is not None
        return end.close_code, end.reason

    def lose(self) -> None:
        """The connection is lost: the name waits for a while."""
        self.session.close(code=4000)

    def close(self) -> None:
        """Leave on purpose."""
        self.session.close()


def account(name: str, **terms: Any) -> dict[str, Any]:
    """What an account of this name logs in with, instead of a name."""
    return {"name": None, "token": issue(name, SECRET, **terms)}


def refusal(promise: Any) -> str | None:
    """The code of the error that a call gets."""
    try:
        promise.result()
    except RemoteError as error:
        return error.code
    raise AssertionError("The call was not refused.")
