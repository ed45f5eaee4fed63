"""The chat's page as a person uses it: by what is written on it, not by how it is made."""

from __future__ import annotations

import json
from collections.abc import Sequence

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, expect

from tests.processes import DEADLINE, wait_until

#: Chromium tells of every connection that fails, which is what some tests are about, and that the
#: official library bids farewell to a peer that has closed.
EXPECTED = (
    "WebSocket connection to",
    "net::ERR_",
    "WebSocket is already in CLOSING or CLOSED state",
)

#: Runs before the page does. A policy that is violated makes no error by itself.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
"""

#: The messages that are in the log as far as the page knows, in order.
TEXTS = """
() => [...document.querySelectorAll(".message:not(.unsent) .text")].map((text) => text.textContent)
"""


class ChatPage:
    """One tab with the chat.

    Attributes:
        page: Playwright's.
        troubles: what went wrong in it: exceptions, errors on the console, violated policies.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        """Open the page at `url`."""
        self.page: Page = context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", self._note_exception)
        self.page.on("console", self._note_console)
        self.page.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))
        self.page.add_init_script(REPORT_VIOLATIONS)
        self.page.goto(url)

    def _note_exception(self, error: Error) -> None:
        self.troubles.append(str(error))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(said in message.text for said in EXPECTED):
            self.troubles.append(message.text)

    @property
    def field(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Message to")

    @property
    def status(self) -> Locator:
        """What the page says of the connection."""
        return self.page.locator(".connection")

    @property
    def unsent(self) -> Locator:
        """The messages of one's own that are not in the log."""
        return self.page.locator(".unsent")

    @property
    def scroller(self) -> Locator:
        """What the messages scroll in."""
        return self.page.get_by_role("region", name="Messages")

    def come_in(self, name: str) -> ChatPage:
        """Give a name and be inside."""
        self.page.get_by_label("Your name").fill(name)
        self.page.keyboard.press("Enter")
        self.be_inside()
        return self

    def be_inside(self) -> None:
        """Wait until the chat is there."""
        expect(self.field).to_be_visible()

    def say(self, text: str) -> None:
        """Write something and send it."""
        self.field.fill(text)
        self.field.press("Enter")

    def message(self, text: str) -> Locator:
        """The message with this text."""
        return self.page.locator(
            ".message:not(.unsent)", has=self.page.get_by_text(text, exact=True)
        )

    def come_back(self) -> None:
        """Be online again at once, not only when the next try is due."""

        def online() -> bool:
            self.page.evaluate("dispatchEvent(new Event('online'))")
            return self.status.text_content() == "Online"

        wait_until(online)

    def texts(self) -> list[str]:
        """The texts of all messages in the document, in order."""
        texts: list[str] = self.page.evaluate(TEXTS)
        return texts

    def wait_for_texts(self, texts: Sequence[str]) -> None:
        """Wait until exactly these are there, in this order, and nothing is unsent."""
        self.page.wait_for_function(
            f"(wanted) => JSON.stringify(({TEXTS})()) === wanted",
            arg=as_json(texts),
            # A tab behind another one draws no frames.
            polling=20,
        )
        expect(self.unsent).to_have_count(0)


def as_json(texts: Sequence[str]) -> str:
    """As JavaScript writes it."""
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))


expect.set_options(timeout=DEADLINE * 1000)
