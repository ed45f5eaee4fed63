"""Milliseconds from saying something on one page to its paint on another: this project's page
beside Socket.IO's demo chat, in one run.

    .venv/bin/python -m bench.page [--messages 200]

Both are in the same Chromium, driven by Playwright, which `scripts/run_tests.sh` installs; `npm ci`
in bench/ gets Socket.IO. Two people have a page each. One types a text and presses Enter; the time
is from the key's event until the frame after the one in which the text was drawn on the other page.
The servers take turns, ten messages each.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright

from bench.contenders import BENCH
from bench.machine import Server, description, free_port

TURN = 10
"""Messages of one server before it is the other's turn."""

WARM_UP = 20
"""Messages that do not count: both compile what is hot."""

NOTE_KEYS = """() => {
    window.pressed = {};
    addEventListener("keydown", ({key, target}) => {
        if (key === "Enter") pressed[target.value] = performance.timeOrigin + performance.now();
    }, {capture: true});
}"""

NOTE_PAINTS = """(selector) => {
    window.painted = {};
    new MutationObserver(() => {
        for (const {textContent: said} of document.querySelectorAll(selector)) {
            if (said in painted) continue;
            painted[said] = 0;
            requestAnimationFrame(() => requestAnimationFrame(() => {
                painted[said] = performance.timeOrigin + performance.now();
            }));
        }
    }).observe(document.body, {childList: true, subtree: true});
}"""


@dataclass
class Contender:
    """A chat with a page.

    Attributes:
        title: as it stands in the table.
        command: what starts its server, before the port.
        field: a selector of where one writes.
        text: one of what was said by others or oneself, and is in the log.
    """

    title: str
    command: list[str]
    field: str
    text: str

    def come_in(self, page: Page, name: str) -> None:
        """Be where one can write."""
        entry = page.locator("#name, #input").first
        entry.wait_for()
        if entry.get_attribute("id") == "name":
            entry.fill(name)
            entry.press("Enter")
        page.locator(self.field).wait_for()


CONTENDERS = [
    Contender(
        "this page, `sqlite:` (the default)",
        [sys.executable, "-m", "chatserver", "--store", "sqlite:///{directory}/chat.db", "--port"],
        "#field",
        ".message:not(.unsent) .text",
    ),
    Contender(
        "Socket.IO's demo chat",
        ["node", str(BENCH / "peers" / "socketio_chat.mjs")],
        "#input",
        "#messages li",
    ),
]


class Pair:
    """Two people in one chat."""

    def __init__(self, contender: Contender, browser: Browser, directory: str) -> None:
        port = free_port()
        command = [part.format(directory=directory) for part in contender.command]
        self.server = Server([*command, str(port)], BENCH, port, core=None)
        self.contender = contender
        self._pages = [browser.new_context().new_page() for _ in range(2)]
        for page, name in zip(self._pages, ["Ann", "Ben"], strict=True):
            page.goto(f"http://127.0.0.1:{port}/")
            contender.come_in(page, name)
        self._pages[0].evaluate(NOTE_KEYS)
        self._pages[1].evaluate(NOTE_PAINTS, contender.text)
        self._count = 0
        self.times: list[float] = []

    def say(self) -> None:
        """Say something on one page, and wait until it is on the other one's screen."""
        speaker, listener = self._pages
        self._count += 1
        text = f"message {self._count}"
        field = speaker.locator(self.contender.field)
        field.fill(text)
        field.press("Enter")
        # A function, since the page's policy lets nobody evaluate a string.
        listener.wait_for_function("(text) => painted[text]", arg=text, polling=10)
        painted = listener.evaluate("(text) => painted[text]", text)
        if self._count > WARM_UP:
            self.times.append(painted - speaker.evaluate("(text) => pressed[text]", text))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=200)
    messages = parser.parse_args().messages
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pairs = [Pair(contender, browser, directory) for contender in CONTENDERS]
        try:
            while any(len(pair.times) < messages for pair in pairs):
                for pair in pairs:
                    for _ in range(TURN):
                        pair.say()
        finally:
            browser.close()
            for pair in pairs:
                pair.server.stop()
    print(description())
    print(f"\n| ms from Enter to the other page's paint, {messages} messages | p50 | p99 |")
    print("| --- | ---: | ---: |")
    for pair in pairs:
        times = sorted(pair.times[:messages])
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        print(f"| {pair.contender.title} | {p50:.1f} | {p99:.1f} |")


if __name__ == "__main__":
    main()
