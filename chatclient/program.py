"""The terminal program: a person, or a script, in a chat."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import Final

from .client import ChatClient
from .display import escaped, line_of, line_of_users
from .errors import ChatError
from .events import Event
from .reconnect import Status
from .streams import NobodyReads, StreamError
from .terminal import MAX_LINE, Terminal

SEND_SECONDS: Final = 60.0
"""How long a message waits for an outage to end before it counts as not sent. A person sees the
outage meanwhile; a script has nothing better to do."""

PATIENCE_SECONDS: Final = 10.0
"""Seconds between two lines that tell that the server is slower than what is said."""

ECHO_SECONDS: Final = 10.0
"""How long leaving waits until what was sent has come back."""

HISTORY_EVENTS: Final = 20
"""Events that `/history` shows unless told otherwise: a screenful."""

HELP: Final = """\
/users        who is online
/history [N]  the last N things that happened (20)
/help         this help
/quit         leave (Ctrl+D does, too)
Anything else is said to everyone; a space in front says what begins with a slash."""

COMMANDS: Final = ("/help", "/history", "/quit", "/users")

COUNT: Final = re.compile("0*[1-9][0-9]{0,8}")
"""How many events can be asked for."""


class Leave(Exception):
    """The user wants to leave."""


class Program:
    """One stay in a chat.

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
        self._last_sent = 0
        # Where messages have no ids, as many of one's own are waited for as were sent.
        self._own_shown = 0
        self._sent_without_id = 0
        self._patience_told = -PATIENCE_SECONDS

    def run(
        self, terminal: Terminal, username: str | None, join: Callable[[str], ChatClient]
    ) -> int:
        """Join with `join(name)`, chat until the input ends, leave. The exit status. Raises
        StreamError."""
        self._terminal = terminal
        if username is None:
            username = terminal.ask("Enter your username: ")
        if username is None:
            terminal.complain("A chat needs a name: use --username, or type one.")
            return 1
        try:
            chat = join(username)
        except ChatError as error:
            terminal.complain(escaped(str(error)))
            return 1
        reader = threading.Thread(target=self._read, args=(chat,), name="chatclient output")
        try:
            self._greet(chat)
            reader.start()
            self._talk(chat)
        except KeyboardInterrupt:
            pass  # Ctrl+C leaves as /quit does, but at once.
        except (ChatError, StreamError) as error:
            self._lost = self._lost or error
        finally:
            chat.close()
            if reader.is_alive():
                reader.join()
        if self._lost is not None and not isinstance(self._lost, (ChatError, NobodyReads)):
            raise self._lost
        if isinstance(self._lost, ChatError):
            terminal.complain(escaped(str(self._lost)))
        return 1 if self._lost is not None or self._failed else 0

    def _greet(self, chat: ChatClient) -> None:
        users = chat.users()
        self.names.update(users)
        self._terminal.show(f"Joined chat as {escaped(chat.username)}")
        self._terminal.show(line_of_users(users))
        self._terminal.show("\nType a message and press Enter (or /quit to leave):")

    # ---- What arrives

    def show_status(self, status: Status) -> None:
        """Tell that the connection was lost, or is there again, or that the server asks for
        patience; from any thread."""
        if status.online and status.retry_in is not None and not self._tells_of_patience():
            return
        try:
            self._terminal.show(str(status))
        except StreamError as error:
            self._lost = self._lost or error
            self._terminal.stop()

    def _tells_of_patience(self) -> bool:
        """Whether it is told that what is said has to wait: to a person, and not for each line of
        many that were pasted. A script has to wait anyway."""
        now = time.monotonic()
        tells = self._interactive and now >= self._patience_told + PATIENCE_SECONDS
        if tells:
            self._patience_told = now
        return tells

    def _read(self, chat: ChatClient) -> None:
        """Show everything that happens, in a thread of its own."""
        try:
            for event in chat.events():
                self._show(chat, event)
        except Exception as error:
            # For good: the library comes back by itself where it can. Whatever it is, it is told at
            # the end, by the thread that waits for what is typed.
            self._lost = error
        with self._shown:
            self._all_shown = True
            self._shown.notify_all()
        self._terminal.stop()

    def _show(self, chat: ChatClient, event: Event) -> None:
        if event.type == "join":
            self.names.update(event.users)
        elif event.type == "leave":
            self.names.difference_update(event.users)
        # One's own coming and going is no news.
        if event.type == "chat" or event.users != (chat.username,):
            self._terminal.show(line_of(event))
        with self._shown:
            self._last_shown = event.id
            self._own_shown += event.type == "chat" and event.user == chat.username
            self._shown.notify_all()

    # ---- What is typed

    def _talk(self, chat: ChatClient) -> None:
        """Do what is typed until the end of the input, then wait for the echo of what was said."""
        try:
            with contextlib.closing(self._terminal.lines()) as lines:
                for line in lines:
                    self._obey(chat, line)
        except Leave:
            pass
        except StreamError as error:
            self._lost = self._lost or error
        with self._shown:
            echoed = self._shown.wait_for(
                lambda: (
                    self._all_shown
                    or (
                        self._last_shown >= self._last_sent
                        and self._own_shown >= self._sent_without_id
                    )
                ),
                ECHO_SECONDS,
            )
        if not echoed:
            self._failed = True
            self._terminal.complain("What was said last was stored, but has not come back.")

    def _obey(self, chat: ChatClient, line: str) -> None:
        if not line.strip():
            return
        if len(line) > MAX_LINE:
            self._failed = not self._interactive
            self._terminal.complain(f"A line of more than {MAX_LINE} characters is not said.")
            return
        try:
            if line.startswith("/"):
                self._command(chat, line.split())
            else:
                receipt = chat.send(line, SEND_SECONDS, patient=not self._interactive)
                self._last_sent = receipt.id or self._last_sent
                self._sent_without_id += not receipt.id
        except ChatError as error:
            if chat.closed:
                raise Leave from error  # The reason is told at the end.
            if not line.startswith("/"):
                self._failed = not self._interactive
            doubt = " It may have been said all the same." if error.may_have_been_stored else ""
            self._terminal.complain(f"{escaped(str(error))}{doubt}")

    def _command(self, chat: ChatClient, words: list[str]) -> None:
        match words:
            case ["/quit"]:
                raise Leave
            case ["/help"]:
                self._terminal.show(HELP)
            case ["/users"]:
                self._terminal.show(line_of_users(chat.users()))
            case ["/history"]:
                self._show_history(chat, HISTORY_EVENTS)
            case ["/history", number] if COUNT.fullmatch(number):
                self._show_history(chat, int(number))
            case ["/history", *_]:
                self._terminal.complain("It is /history, or /history 50 for the last 50.")
            case [command, *_] if command in COMMANDS:
                self._terminal.complain(f"It is {command}, with nothing behind it.")
            case [command, *_]:
                self._terminal.complain(
                    f"There is no {escaped(command)}. Commands are {', '.join(COMMANDS)}; "
                    "/help says more."
                )

    def _show_history(self, chat: ChatClient, count: int) -> None:
        for event in chat.newest(count):
            self._terminal.show(line_of(event))
