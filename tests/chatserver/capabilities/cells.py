"""Who may do what: the calls of the tables in `docs/security.md`, each made on the wire by somebody
in each state, and what comes of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

from capnweb_sync import ReadableStream, RemoteError, SessionClosed
from chatserver.people.token_terms import Role
from chatserver.tokens import issue
from tests.chatserver.guests import SECRET, Guest
from tests.processes import DEADLINE

YES = "✓"
"""The call does what it says. Other cells are the code of an error, or of the connection's end."""

SECOND = 1 / (24 * 60 * 60)
"""In days."""

Call = Callable[["Somebody"], Any]

_numbers = count(1)


class Somebody:
    """Somebody in a state, in a room of its own where that is private.

    Attributes:
        name: of the account, or the guest.
        person: the `Person`.
        room: the `Room` that it once had.
        own: the id of a message of its own there.
        place: the room and those who are there, too.
    """

    def __init__(self, place: "Place", role: Role | None) -> None:
        self.place, self.role = place, role
        self.name: str = f"{place.prefix} {next(_numbers)}"
        self.token: str | None = None if role is None else issue(self.name, SECRET, role=role)
        self.guest = place.come(self.name, self.token)
        self.person: Any = self.guest.person
        self.room: Any = place.let_in(self.guest)
        self.own: int = self.room.say("mine").result()["id"]

    @property
    def moderator(self) -> Any:
        """A `Moderator`, as a promise."""
        return self.person.moderate(self.place.name)

    @property
    def admin(self) -> Any:
        """An `Admin`, as a promise."""
        return self.person.administer()

    @property
    def chat(self) -> Any:
        """The main object of its connection."""
        return self.guest.session.main

    def victim(self) -> str:
        """The name of an account that nobody needs, for who may do something to it."""
        if self.role != "admin":
            return "Nobody"
        name = f"{self.place.prefix} {next(_numbers)}"
        victim = self.place.come(name, issue(name, SECRET))
        assert victim.me["account"]
        return name

    def again(self, method: str) -> Any:
        """Come in on another connection with what one came in with."""
        chat = self.place.come(None).session.main
        shown = {"token": self.token} if self.token else {"resume": self.guest.me["resume"]}
        if method == "join":
            return chat.join(self.name, lambda event: None, shown)
        return chat.login(None, shown if self.token else {"name": self.name, **shown}).me


class Place:
    """A room and those who make it one: a host, an admin, and somebody to whom things are done."""

    def __init__(self, url: str, kind: str) -> None:
        self.name: str
        self.url, self.kind = url, kind
        self.prefix = f"{kind} {next(_numbers)}"
        self.guests: list[Guest] = []
        boss = f"{self.prefix} boss"
        self.boss = self.come(boss, issue(boss, SECRET, role="admin"))
        host, other = f"{self.prefix} host", f"{self.prefix} other"
        self.host = self.come(host, issue(host, SECRET))
        if kind == "private":
            self.hosts: Any = self.host.person.open({"title": "Ours"}).result()
            self.name = self.hosts.info.result()["name"]
        else:
            self.name = "lobby" if kind == "lobby" else f"garden{next(_numbers)}"
            self.hosts = self.host.enter(self.name)
        self.owners = self.hosts
        self.other = self.come(other, issue(other, SECRET))
        self.others: Any = self.let_in(self.other)
        self.elsewhere: Any = self.host.person.open({"title": "Elsewhere"}).result()
        self.moderator: Any = self.boss.person.moderate(self.name).result()
        self.admin: Any = self.boss.person.administer().result()

    def come(self, name: str | None, token: str | None = None) -> Guest:
        """Connect, and log in as the account of a token, or as a guest."""
        self.guests.append(Guest(self.url, None if token else name or "", token=token))
        return self.guests[-1]

    def let_in(self, guest: Guest) -> Any:
        """A seat, by what somebody outside needs."""
        if self.kind == "private":
            return guest.person.accept(self.owners.createPass({"uses": 1}).result()).result()
        return guest.enter(self.name)

    def seated(self) -> str:
        """The name of somebody in the room who may do less than any moderator."""
        if refused(self.others.info):
            self.others = self.let_in(self.other)
        return f"{self.prefix} other"

    def rubbish(self) -> int:
        """A message of somebody else."""
        said: int = self.hosts.say("rubbish").result()["id"]
        return said

    def sanction(self) -> int:
        """One from everywhere."""
        made: int = self.admin.ban({"address": f"2001:db8:{next(_numbers):x}::1"}).result()
        return made

    def close(self) -> None:
        """All are gone."""
        for guest in self.guests:
            guest.close()


def refused(promise: Any) -> bool:
    """Whether a call gets an error."""
    try:
        promise.result()
    except RemoteError:
        return True
    return False


# --- states


def muted(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.moderator.mute(one.name).result()
    return one


def kicked(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.moderator.kick(one.name).result()
    return one


def banned(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.moderator.ban(one.name).result()
    return one


def owner(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.hosts.handOn(one.name).result()
    place.owners = one.room
    return one


def token_over(place: Place) -> Somebody:
    one = Somebody(place, "member")
    one.token = short = issue(one.name, SECRET, days=SECOND)
    while refused(one.person.renew(short)):  # it was over before it arrived
        one.token = short = issue(one.name, SECRET, days=SECOND)
    assert one.guest.session.wait_closed(DEADLINE)
    return one


def revoked(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.admin.revoke(one.name).result()
    assert one.guest.session.wait_closed(DEADLINE)
    return one


def sent_away(place: Place) -> Somebody:
    one = Somebody(place, "member")
    place.admin.ban({"name": one.name}).result()
    assert one.guest.session.wait_closed(DEADLINE)
    return one


STATES: dict[str, Callable[[Place], Somebody]] = {
    "guest": lambda place: Somebody(place, None),
    "member": lambda place: Somebody(place, "member"),
    "muted": muted,
    "kicked": kicked,
    "banned": banned,
    "owner": owner,
    "moderator": lambda place: Somebody(place, "moderator"),
    "admin": lambda place: Somebody(place, "admin"),
    "token over": token_over,
    "revoked": revoked,
    "sent away": sent_away,
}


# --- calls

ANYWHERE: dict[str, Call] = {
    "Chat.about": lambda one: one.chat.about,
    "Chat.userCount": lambda one: one.chat.userCount,
    "Chat.messageCount": lambda one: one.chat.messageCount,
    "Chat.listUsers": lambda one: one.chat.listUsers(),
    "Chat.getHistory": lambda one: one.chat.getHistory(),
    "Person.me": lambda one: one.person.me,
    "Person.rooms": lambda one: one.person.rooms(),
    "Person.block": lambda one: one.person.block("Nobody"),
    "Person.blocked": lambda one: one.person.blocked(),
    "Person.open": lambda one: one.person.open({"title": "Mine"}),
    "Person.direct": lambda one: one.person.direct(one.place.host.me["name"]),
    "Person.accept": lambda one: one.person.accept(one.place.elsewhere.createPass().result()),
    "Person.administer": lambda one: one.admin,
    "Person.renew": lambda one: one.person.renew(one.token or issue(one.name, SECRET)),
    "Admin.people": lambda one: one.admin.people(),
    "Admin.connections": lambda one: one.admin.connections(),
    "Admin.rooms": lambda one: one.admin.rooms(),
    "Admin.statistics": lambda one: one.admin.statistics(),
    "Admin.announce": lambda one: one.admin.announce("tea"),
    "Admin.sanctions": lambda one: one.admin.sanctions(),
    "Admin.ban": lambda one: one.admin.ban({"name": one.victim()}, 60, "rude"),
    "Admin.lift": lambda one: one.admin.lift(one.place.sanction()),
    "Admin.disconnect": lambda one: one.admin.disconnect(one.victim(), "rude"),
    "Admin.revoke": lambda one: one.admin.revoke(one.victim()),
    "Admin.erase": lambda one: one.admin.erase(one.victim()),
    "Chat.leave": lambda one: one.chat.leave(one.name),
    "Chat.join": lambda one: one.again("join"),
    "Chat.login": lambda one: one.again("login"),
    "Person.logout": lambda one: one.person.logout(),
}
"""What does not depend on a room."""

IN_A_ROOM: dict[str, Call] = {
    "Room.info": lambda one: one.room.info,
    "Room.history": lambda one: one.room.history(),
    "Room.events": lambda one: one.room.events(),
    "Room.people": lambda one: one.room.people(),
    "Room.read": lambda one: one.room.read(one.own),
    "Room.say": lambda one: one.room.say("hello"),
    "Room.typing": lambda one: one.room.typing(),
    "Room.edit": lambda one: one.room.edit(one.own, "mine, too"),
    "Room.react": lambda one: one.room.react(one.own, "👍"),
    "Room.remove": lambda one: one.room.remove(one.own),
    "Room.setTopic": lambda one: one.room.setTopic("roses"),
    "Room.createPass": lambda one: one.room.createPass(),
    "Room.revokePasses": lambda one: one.room.revokePasses(),
    "Room.share": lambda one: one.room.share().info,
    "Person.moderate": lambda one: one.moderator,
    "Moderator.sanctions": lambda one: one.moderator.sanctions(),
    "Moderator.remove": lambda one: one.moderator.remove(one.place.rubbish(), "rubbish"),
    "Moderator.mute": lambda one: one.moderator.mute(one.place.seated(), 60, "rude"),
    "Moderator.lift": lambda one: one.moderator.lift(
        one.moderator.mute(one.place.seated()).result()
    ),
    "Moderator.kick": lambda one: one.moderator.kick(one.place.seated(), "rude"),
    "Moderator.ban": lambda one: one.moderator.ban(one.place.seated(), 60, "rude"),
    "Admin.export": lambda one: one.admin.export(one.place.name),
    "Person.enter": lambda one: one.person.enter(one.place.name),
    "Room.handOn": lambda one: one.room.handOn(one.place.seated()),
    "Room.leave": lambda one: one.room.leave(),
    "Room.close": lambda one: one.room.close(),
}
"""In each room."""

IN_A_GARDEN: dict[str, Call] = {
    **IN_A_ROOM,
    "Admin.closeRoom": lambda one: one.admin.closeRoom(one.place.name),
}

IN_THE_LOBBY: dict[str, Call] = {
    "Chat.sendMessage": lambda one: one.chat.sendMessage(one.name, "hello"),
    "Chat.join": lambda one: one.again("join"),
    "Admin.closeRoom": lambda one: one.admin.closeRoom(one.place.name),
    **IN_A_ROOM,
}

IN_A_PRIVATE_ROOM: dict[str, Call] = {
    "Person.accept": lambda one: one.person.accept(one.place.owners.createPass().result()),
    **IN_A_GARDEN,
}

SPENT = {
    *("Chat.leave", "Chat.join", "Chat.login", "Person.logout", "Person.enter", "Person.accept"),
    "Room.leave",
}
"""Whoever has done one of these is not any more who it was."""

OVER = {"Room.handOn", "Room.close", "Admin.closeRoom", "Moderator.ban"}
"""…and the place is not what it was."""


def outcome(call: Call, one: Somebody) -> str:
    """What stands in the cell."""
    try:
        result = call(one).result()
        if isinstance(result, ReadableStream):
            list(result)
    except SessionClosed as error:
        return str(error.close_code)
    except RemoteError as error:
        return str(error.code)
    return YES


def column(url: str, kind: str, state: str, calls: dict[str, Call]) -> dict[str, str]:
    """What comes of each call, by somebody in this state."""
    found = {}
    place = Place(url, kind)
    one = STATES[state](place)
    for name, call in calls.items():
        found[name] = outcome(call, one)
        if found[name] == YES and (name in OVER or (name in SPENT and state == "owner")):
            place.close()
            place = Place(url, kind)
            one = STATES[state](place)
        elif found[name] == YES and name in SPENT:
            one = STATES[state](place)
    place.close()
    return found


# --- to whom

Deed = Callable[[Somebody, str], Any]

DEEDS: dict[str, Deed] = {
    "Moderator.mute": lambda one, name: one.moderator.mute(name, 60, "rude"),
    "Moderator.kick": lambda one, name: one.moderator.kick(name, "rude"),
    "Moderator.ban": lambda one, name: one.moderator.ban(name, 60, "rude"),
}

DEEDS_OF_ADMINS: dict[str, Deed] = {
    "Admin.ban": lambda one, name: one.admin.ban({"name": name}, 60, "rude"),
    "Admin.disconnect": lambda one, name: one.admin.disconnect(name, "rude"),
    "Admin.revoke": lambda one, name: one.admin.revoke(name),
    "Admin.erase": lambda one, name: one.admin.erase(name),
}

ENDING = ("Admin.disconnect", "Admin.revoke")

WHOM = [*STATES, "oneself", "nobody"]


def to_whom(url: str, kind: str, doer: str, state: str) -> dict[str, str]:
    """What comes of each deed of somebody in one state to somebody in another one."""
    deeds = dict(DEEDS)
    if (kind, doer) == ("garden", "admin"):
        deeds |= DEEDS_OF_ADMINS
    if state == "oneself":  # whose connection may be closed before it is answered
        deeds = {name: deed for name, deed in deeds.items() if name not in ENDING}
    found = {}
    # Of owners a room has one at a time.
    for part in [{name: deeds[name]} for name in deeds] if state == "owner" else [deeds]:
        place = Place(url, kind)
        one = STATES[doer](place)
        with ThreadPoolExecutor(len(part)) as pool:  # since some wait for their tokens to be over
            others = list(pool.map(lambda _: whom(one, state), part))  # noqa: B023
        for (name, deed), other in zip(part.items(), others, strict=True):
            found[f"{doer}: {name}"] = outcome(partial(flipped, deed, other), one)
        place.close()
    return found


DEEDS_TO_SANCTIONS: dict[str, Callable[[Any, str, int], Any]] = {
    "Moderator.lift": lambda moderator, name, number: moderator.lift(number),
    "Moderator.mute": lambda moderator, name, number: moderator.mute(name, 60, "rude"),
    "Moderator.ban": lambda moderator, name, number: moderator.ban(name, 60, "rude"),
}

AUTHORS: dict[str, Callable[[Place], Any]] = {
    "owner": lambda place: place.host.person.moderate(place.name),
    "moderator": lambda place: STATES["moderator"](place).moderator,
    "admin": lambda place: place.moderator,
}
"""A `Moderator` who is there before the one who does something to the sanction."""


def to_sanctions(url: str, doer: str, author: str) -> dict[str, str]:
    """What comes of each deed of somebody in one state to what somebody in another has decided."""
    place = Place(url, "private" if "owner" in (doer, author) else "garden")
    decide = AUTHORS[author](place)
    against = [Somebody(place, "member").name for _ in DEEDS_TO_SANCTIONS]
    numbers = [
        (decide.ban if deed == "Moderator.ban" else decide.mute)(name).result()
        for deed, name in zip(DEEDS_TO_SANCTIONS, against, strict=True)
    ]
    one = STATES[doer](place)
    found = {
        f"{doer}: {name}": outcome(partial(done_to, deed, other, number), one)
        for (name, deed), other, number in zip(
            DEEDS_TO_SANCTIONS.items(), against, numbers, strict=True
        )
    }
    place.close()
    return found


def done_to(deed: Callable[[Any, str, int], Any], name: str, number: int, one: Somebody) -> Any:
    """Do it to this sanction of whoever has this name."""
    return deed(one.moderator, name, number)


def flipped(deed: Deed, name: str, one: Somebody) -> Any:
    """Do it to whoever has this name."""
    return deed(one, name)


def whom(one: Somebody, state: str) -> str:
    """The name of somebody in this state."""
    if state == "oneself":
        return one.name
    return "Nobody" if state == "nobody" else STATES[state](one.place).name
