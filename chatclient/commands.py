"""The commands of the terminal program: what there is, what each takes, and what `/help` says.

What they do is in `actions.py`.
"""

from __future__ import annotations

import difflib
import re
from typing import Final, NamedTuple

HISTORY_EVENTS: Final = 20
"""Events that `/history` shows unless told otherwise: a screenful."""

COUNT: Final = re.compile("0*[1-9][0-9]{0,8}")
"""How many events can be asked for."""

EMOJI: Final = {
    "+1": "👍",
    "-1": "👎",
    "heart": "❤️",
    "laugh": "😂",
    "party": "🎉",
    "wow": "😮",
    "sad": "😢",
    "eyes": "👀",
}
"""Reactions that have a word, for keyboards without them."""

ON_OFF: Final = ("on", "off")

LIKE: Final = 0.7
"""How much a wrong word must be like a command, from 0 to 1, to be taken for it."""

USAGE_COLUMNS: Final = 17
"""How wide the left column of `/help` is; the right one has the rest of 40."""


class Command(NamedTuple):
    """A command.

    Attributes:
        name: `/msg`.
        takes: how what stands behind it is called, `NAME TEXT`; "" if there must be nothing.
        does: what it does, for `/help`.
        needs: whether there must be something behind it.
        words: what can be completed behind it: `rooms`, `people`, or words.
    """

    name: str
    takes: str
    does: str
    needs: bool = False
    words: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """`/msg NAME TEXT`."""
        return f"{self.name} {self.takes}".rstrip()


GROUPS: Final = {
    "Talking": (
        Command("/me", "TEXT", "you do something", needs=True),
        Command("/msg", "NAME TEXT", "say it to one alone", needs=True, words=("people",)),
        Command("/reply", "TEXT", "answer the last one", needs=True),
        Command("/edit", "TEXT", "change your last one"),
        Command("/remove", "", "erase your last one"),
        Command("/react", "EMOJI", "to the last one", needs=True, words=tuple(EMOJI)),
        Command("/unsend", "", "have back what waits"),
    ),
    "Rooms": (
        Command("/rooms", "", "which there are"),
        Command("/enter", "ROOM", "come into one", needs=True, words=("rooms",)),
        Command("/room", "[ROOM]", "go there, or back", words=("rooms",)),
        Command("/open", "TITLE", "make a private one", needs=True),
        Command("/invite", "[NAME]", "give a pass for it", words=("people",)),
        Command("/accept", "PASS", "come in by a pass", needs=True),
        Command("/leave", "", "leave this one"),
        Command("/topic", "TEXT", "what it is about", needs=True),
        Command("/people", "", "who is in this one"),
        Command("/block", "[NAME]", "no /msg from; list", words=("people",)),
        Command("/unblock", "NAME", "and have them again", needs=True, words=("people",)),
    ),
    "Reading": (
        Command("/users", "", "who is online"),
        Command("/history", "[N]", "the last N things (20)"),
        Command("/all", "on|off", "show all rooms", needs=True, words=ON_OFF),
        Command("/time", "on|off", "when it was said", needs=True, words=ON_OFF),
        Command("/bell", "on|off", "ring when you are meant", needs=True, words=ON_OFF),
        Command("/ids", "on|off", "number the messages", needs=True, words=ON_OFF),
    ),
    "The rest": (
        Command("/help", "", "this help"),
        Command("/quit", "", "leave; Ctrl+D, too"),
    ),
}

MODERATING: Final = (
    Command("/mute", "NAME [10m]", "let say nothing", needs=True, words=("people",)),
    Command("/kick", "NAME", "send out", needs=True, words=("people",)),
    Command("/ban", "NAME [10m]", "and not in again", needs=True, words=("people",)),
    Command("/lift", "[NAME]", "end it, or list it", words=("people",)),
)
"""What only those see who may moderate the present room; the reason stands behind."""

TABLE: Final = {
    command.name: command for group in (*GROUPS.values(), MODERATING) for command in group
}

COMMANDS: Final = tuple(sorted(TABLE))

TARGETED: Final = "/reply, /edit, /remove and /react are about another message with #N (its number,\
 after /ids on) or @NAME (that one's last) in front."

SAID: Final = "Anything else is said to everyone; a space in front says what begins with a slash."


class Misuse(Exception):
    """A line that is no command; the message says how it would be one."""


def commands(moderates: bool) -> list[str]:
    """The commands that there are for who may moderate the present room, or not."""
    return [name for name in COMMANDS if moderates or TABLE[name] not in MODERATING]


def help_text(moderates: bool = False) -> str:
    """What `/help` says, in 40 columns but for its last two lines."""
    lines = []
    groups = {**GROUPS, "Moderating": MODERATING} if moderates else GROUPS
    for group, commands in groups.items():
        lines.append(f"{group}:")
        lines += [f"{one.usage:<{USAGE_COLUMNS}}{one.does}" for one in commands]
    return "\n".join([*lines, TARGETED, SAID])


def parse(line: str) -> tuple[str, str]:
    """The command of a line, and what stands behind it. Raises Misuse."""
    word, _, rest = line.partition(" ")
    word, rest = word.rstrip(), rest.strip()
    command = TABLE.get(word)
    if command is None:
        near = difflib.get_close_matches(word, COMMANDS, 1, LIKE)
        meant = f" Is it {near[0]}?" if near else ""
        raise Misuse(f"There is no {word}.{meant} /help says what there is.")
    if rest and not command.takes and word != "/remove":
        raise Misuse(f"It is {word}, with nothing behind it.")
    if word == "/history" and rest and not COUNT.fullmatch(rest):
        raise Misuse("It is /history, or /history 50 for the last 50.")
    if command.words == ON_OFF:
        if rest and rest not in ON_OFF:
            raise Misuse(f"It is {word} on, or {word} off.")
    elif command.needs and not rest:
        raise Misuse(f"It is {command.usage}.")
    return word, rest


TARGET: Final = re.compile(r"(?:#(?P<number>[0-9]{1,15})|@(?P<name>\S+))(?:\s+|$)")


class Target(NamedTuple):
    """Which message a command is about: the one with this number, or the last one of this name; of
    neither, the last one."""

    number: int = 0
    name: str = ""


def targeted(rest: str) -> tuple[Target, str]:
    """Which message is meant by what stands behind a command, and what stands behind that."""
    found = TARGET.match(rest)
    if found is None:
        return Target(), rest
    return Target(int(found["number"] or 0), found["name"] or ""), rest[found.end() :]


def addressed(rest: str, names: set[str]) -> tuple[str, str]:
    """Whom a message is for, and the message: `Echo bot hello`. Names may have spaces; of those
    that are known, the longest that fits is meant."""
    rest = rest.removeprefix("@")
    for name in sorted(names, key=len, reverse=True):
        if rest.casefold().startswith(f"{name.casefold()} ") or rest.casefold() == name.casefold():
            return name, rest[len(name) :].strip()
    name, _, text = rest.partition(" ")
    return name, text.strip()
