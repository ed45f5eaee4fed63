"""The terminal program: a person, or a script, in a chat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from .actions import Actions
from .client import ChatClient
from .commands import TABLE, Misuse, commands
from .completion import remember
from .display import escaped, line_of_users, quoted
from .errors import ChatError, UsernameTaken
from .events import Event
from .inbox import EVERYWHERE
from .marks import Marks
from .outgoing import Outgoing, Task
from .paging import above
from .reconnect import Status
from .showing import Showing
from .statuses import FAILED, LEFT, status_of
from .streams import NobodyReads, StreamError
from .terminal import MAX_LINE, Terminal

SEND_SECONDS: Final = 60.0
"""How long a script's message waits for an outage to end before it counts as not sent: a script has
nothing better to do. A person's waits in the queue, for as long as it takes."""

PATIENCE_SECONDS: Final = 10.0
"""Seconds between two lines that tell that the server is slower than what is said."""

ECHO_SECONDS: Final = 10.0
"""How long leaving waits until what was sent has come back."""

TAKEN_SECONDS: Final = 1.0
"""Pause before a name that is taken is asked for again."""

YES: Final = frozenset({"y", "yes", "/quit"})
"""Answers to the question whether to leave."""


class Leave(Exception):
    """The user wants to leave."""


class Program:
    """One stay in a chat. It is the `Draft` of a terminal with an editor.

    Attributes:
        names: who is known to be online, for completion.
    """

    def __init__(self, names: set[str], *, interactive: bool) -> None:
        """Where it is not `interactive`, a message that could not be sent is a failure."""
        self.names = names
        self._interactive = interactive
        self._failed = False
        self._lost: Exception | None = None
        self._shown = threading.Condition()
        self._last_shown = 0
        self._all_shown = False  # There will be no more.
        self._own_shown = 0
        self._patience_told = -PATIENCE_SECONDS
        self._asks_to_leave = False
        self._outgoing = Outgoing(self._not_done, self._refresh, self._break_off)
        self._marks = Marks(lambda *read: self._actions.read(*read), self._break_off)

    def run(
        self,
        terminal: Terminal,
        showing: Showing,
        username: str | None,
        join: Callable[[str], ChatClient],
        *,
        room: str | None = None,
        since: int | None = None,
        history: int = 0,
        follow: bool = False,
        wait: float = 0.0,
    ) -> int:
        """Join with `join(name)`, chat until the input ends, leave. The exit status.

        Args:
            terminal: where one types and reads.
            showing: what is shown there.
            username: None: it is asked for.
            join: makes the chat.
            room: where to be instead of in the lobby.
            since: the id above which what happened is shown first.
            history: how many messages of a room are shown on coming into it.
            follow: stay after the end of the input.
            wait: for how many seconds a name that is taken is waited for.

        Raises:
            StreamError: what is said or shown cannot be read or written.
        """
        self._terminal = terminal
        self._showing = showing
        try:
            chat = self._join(username, join, time.monotonic() + wait)
        except ChatError as error:
            showing.complain(escaped(str(error)))
            return status_of(error)
        if chat is None:
            showing.complain("A chat needs a name: use --username, or type one.")
            return FAILED
        reader = threading.Thread(target=self._read, args=(chat,), name="chatclient output")
        try:
            self._begin(chat, room, since, history)
            reader.start()
            if self._interactive:
                self._outgoing.start()
                self._marks.start()
            self._talk(follow=follow)
        except KeyboardInterrupt:
            pass  # A signal leaves as /quit does, but at once.
        except (ChatError, StreamError) as error:
            self._lost = self._lost or error
        finally:
            left = self._outgoing.close()
            self._marks.close(online=self._outgoing.online)
            chat.close()
            if reader.is_alive():
                reader.join()
            self._outgoing.join()
        return self._end(left)

    def _join(
        self, username: str | None, join: Callable[[str], ChatClient], deadline: float
    ) -> ChatClient | None:
        """The chat, with a name that is free; None if there is none to be had. Raises ChatError,
        StreamError."""
        while True:
            if username is None:
                username = self._terminal.ask("Enter your username: ")
            if username is None:
                return None
            try:
                return join(username)
            except UsernameTaken as error:
                left = deadline - time.monotonic()
                if left > 0:
                    time.sleep(min(TAKEN_SECONDS, left))
                elif self._interactive:
                    self._showing.complain(escaped(str(error)))
                    username = None
                else:
                    raise

    def _begin(self, chat: ChatClient, room: str | None, since: int | None, history: int) -> None:
        """Show where we are. Raises ChatError, StreamError."""
        self._chat = chat
        reads = self._interactive and chat.lobby
        self._showing.begin(chat.username, chat.lobby, *([self._marks.read] if reads else []))
        self._actions = Actions(
            chat,
            self._showing,
            self.names,
            later=self._later,
            send_seconds=float("inf") if self._interactive else SEND_SECONDS,
            patient=not self._interactive,
            history=history,
        )
        users = chat.users()
        remember(self.names, users)
        self._showing.say(f"Joined chat as {escaped(chat.username)}")
        self._showing.say(line_of_users(users))
        if reads:
            self._actions.find_seats()
        if room is not None:
            self._actions.come_in(room)
        looks_back = room is None and since is None and history and chat.keeps_history
        # One's own coming may be among the last, and is not shown.
        last = chat.newest(history + 1) if looks_back else []
        before = [event for event in last if event.users != (chat.username,)][-history:]
        self._showing.say("\nType a message and press Enter (or /quit to leave):")
        if since is not None:
            here = self._showing.places.present
            read = chat.history if here.room is None else here.room.events
            self._showing.catch_up(above(read, since), here)
        self._showing.look_back(before)

    def _end(self, left: list[Task]) -> int:
        """Tell what has gone wrong; the exit status. Raises what nobody foresaw."""
        for task in left:
            if task.says:
                self._failed = True
                self._showing.complain(f"Not said: {quoted(task.line)}")
        if self._lost is not None and not isinstance(self._lost, (ChatError, NobodyReads)):
            raise self._lost
        if isinstance(self._lost, ChatError):
            self._showing.complain(escaped(str(self._lost)))
        if self._lost is not None:
            return status_of(self._lost)
        return FAILED if self._failed else LEFT

    # ---- What arrives

    def show_status(self, status: Status) -> None:
        """Tell that the connection was lost, or is there again, or that the server asks for
        patience; from any thread."""
        if status.online and status.retry_in is not None and not self._tells_of_patience():
            return
        self._outgoing.online = status.online
        try:
            self._showing.say(str(status))
        except StreamError as error:
            self._break_off(error)

    def _tells_of_patience(self) -> bool:
        """Whether it is told that what is said has to wait: to a person, and not for each line of
        many that were pasted. A script has to wait anyway."""
        now = time.monotonic()
        tells = self._interactive and now >= self._patience_told + PATIENCE_SECONDS
        if tells:
            self._patience_told = now
        return tells

    def _break_off(self, error: Exception) -> None:
        """It cannot go on; whatever it is, it is told at the end, by the thread that waits for
        what is typed."""
        self._lost = self._lost or error
        self._terminal.stop()

    def _read(self, chat: ChatClient) -> None:
        """Show everything that happens, in a thread of its own."""
        try:
            for event in chat.events():
                self._show(chat, event)
        except Exception as error:
            # For good: the library comes back by itself where it can.
            self._lost = error
        with self._shown:
            self._all_shown = True
            self._shown.notify_all()
        self._terminal.stop()

    def _show(self, chat: ChatClient, event: Event) -> None:
        if event.type == "join":
            remember(self.names, event.users)
        elif event.type == "chat":
            remember(self.names, [event.user])  # Joins are told gathered, and may come later.
        elif event.type == "leave" and event.room == chat.lobby:
            self.names.difference_update(event.users)
        self._showing.happen(event)
        elsewhere = event.room not in (chat.lobby, EVERYWHERE)
        if event.type == "notice" and self._interactive and elsewhere:
            self._actions.look_whether_inside(event.room)
        with self._shown:
            self._last_shown = max(event.id, self._last_shown)
            self._own_shown += event.type == "chat" and event.user == chat.username
            self._shown.notify_all()

    # ---- What is typed

    def _talk(self, *, follow: bool) -> None:
        """Do what is typed until the end of the input, then wait for the echo of what was said."""
        try:
            self._terminal.run(self._obey)
            if follow:
                with self._shown:
                    self._shown.wait_for(lambda: self._all_shown)
        except Leave:
            pass
        except StreamError as error:
            self._lost = self._lost or error
        if not self._outgoing.drain(ECHO_SECONDS if self._outgoing.online else 0):
            return  # What is left is told.
        actions = self._actions
        with self._shown:
            echoed = self._shown.wait_for(
                lambda: (
                    self._all_shown
                    or (
                        self._last_shown >= actions.last_sent
                        and self._own_shown >= actions.sent_without_id
                    )
                ),
                ECHO_SECONDS,
            )
        if not echoed:
            self._failed = True
            self._showing.complain("What was said last was stored, but has not come back.")

    def _obey(self, line: str) -> None:
        if self._asks_to_leave:
            self._asks_to_leave = False
            if line.strip().casefold() in YES:
                raise Leave
            return
        if not line.strip():
            return
        if len(line) > MAX_LINE:
            self._failed = not self._interactive
            self._showing.complain(f"A line of more than {MAX_LINE} characters is not said.")
            return
        if not line.startswith("/"):
            self._actions.say(line, line)
            return
        match line.split():
            case ["/quit"]:
                self._quit()
            case ["/unsend"]:
                self._unsend()
            case _:
                try:
                    self._actions.command(line)
                except Misuse as error:
                    self._showing.complain(escaped(str(error)))

    def _quit(self) -> None:
        waiting = self._outgoing.lines
        if self._outgoing.online or not waiting:
            raise Leave
        self._asks_to_leave = True
        self._showing.say(f"Not sent yet: {len(waiting)}. Leave without sending? (y/N)")

    def _unsend(self) -> None:
        task = self._outgoing.unsend()
        if task is not None:
            task.undo()
            self._terminal.put_back(task.line)
        elif self._outgoing.lines:
            self._showing.complain("It is under way already, and may have been said.")
        else:
            self._showing.complain("Nothing waits to be sent.")

    def _later(self, task: Task) -> None:
        """Do something when what was typed before it is done: a person goes on typing meanwhile."""
        if self._interactive:
            if not self._outgoing.add(task):
                self._showing.complain("Too much waits to be sent already.")
                self._terminal.put_back(task.line)
            return
        try:
            task.do()
        except ChatError as error:
            if self._chat.closed:
                raise Leave from error  # The reason is told at the end.
            self._not_done(task, error)

    def _not_done(self, task: Task, error: ChatError) -> None:
        """Tell that something that was typed cannot be done; from any thread."""
        task.undo()
        self._failed = self._failed or (task.says and (not self._interactive or self._chat.closed))
        doubt = " It may have been said all the same." if error.may_have_been_stored else ""
        which = f"Not said: {quoted(task.line)} — " if task.says and self._interactive else ""
        self._showing.complain(f"{which}{escaped(str(error))}{doubt}")

    # ---- What stands around the line that is typed

    def prompt(self) -> str:
        """What stands before the line: `> `, elsewhere than in the lobby with the room."""
        return "Leave? (y/N) " if self._asks_to_leave else self._showing.prompt()

    def bottom(self) -> str:
        """What stands below the line: what waits, and what was said in other rooms."""
        waiting = [quoted(line) for line in self._outgoing.lines if line]
        if waiting and not self._outgoing.online:
            return f"Not sent yet ({len(waiting)}): {' · '.join(waiting)}"
        return escaped(self._showing.places.counts())

    def turn(self, step: int) -> None:
        """Go to the next room, or to the one before."""
        self._actions.turn_to(self._showing.places.beside(step))

    def turn_to(self, number: int) -> None:
        """Go to the room with this number."""
        place = self._showing.places.nth(number)
        if place is not None and place is not self._showing.places.present:
            self._actions.turn_to(place)

    def commands(self) -> Iterable[str]:
        """The commands that there are here, for completion."""
        return commands(self._showing.places.present.moderates)

    def behind(self, command: str) -> Iterable[str] | None:
        """What may stand behind a command, for completion; None: names."""
        words = TABLE[command].words if command in TABLE else ()
        if words == ("rooms",):
            return [place.label for place in self._showing.places]
        return words or None if words != ("people",) else None

    def _refresh(self) -> None:
        self._terminal.refresh()
