"""A browser, and pages in it.

Without Chromium, or without the npm packages, the tests of this folder are skipped, and one loud
line says so; in CI they fail.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.processes import DEADLINE, REPOSITORY, not_tested
from tests.web.chat_page import ChatPage

AXE = REPOSITORY / "tests" / "web" / "node_modules" / "axe-core" / "axe.min.js"

MODULES = Path(f"{sys.prefix}.web", "node_modules")

#: For a browser that has no screen, no person and, in a container, no user but root.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Viewport = dict[str, int]

WIDE: Viewport = {"width": 1200, "height": 760}
PHONE: Viewport = {"width": 390, "height": 780}


def missing() -> str | None:
    """What keeps the page from being tested, as a sentence; None if nothing does."""
    if shutil.which("chromium") is None:
        return "Chromium is not installed"
    if not AXE.is_file():
        return "axe-core is missing, run `npm ci` in tests/web"
    if not MODULES.is_dir():
        return "the page's modules are missing, run scripts/run_tests.sh"
    return None


# Not for the whole session: while Playwright runs, its event loop is this thread's.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    if reason := missing():
        not_tested(f"THE PAGE WAS NOT TESTED: {reason}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        yield browser
        browser.close()


class OpenPage(Protocol):
    """What the fixture `open_page` is."""

    def __call__(
        self, url: str, *, viewport: Viewport = WIDE, beside: ChatPage | None = None
    ) -> ChatPage: ...


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open the chat for somebody, or in a tab `beside` another one of theirs. Nothing may have gone
    wrong in any of these pages when the test is over."""
    contexts: list[BrowserContext] = []
    pages: list[ChatPage] = []

    def open_page(
        url: str, *, viewport: Viewport = WIDE, beside: ChatPage | None = None
    ) -> ChatPage:
        if beside is None:
            context = browser.new_context(
                viewport={"width": viewport["width"], "height": viewport["height"]},
                # Animations would be in the way of what is looked at.
                reduced_motion="reduce",
            )
            context.set_default_timeout(DEADLINE * 1000)
            contexts.append(context)
        else:
            context = beside.page.context
        page = ChatPage(context, url)
        pages.append(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [trouble for page in pages for trouble in page.troubles] == []
