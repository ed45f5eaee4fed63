"""Names and texts of people who mean harm: nothing runs, and nothing breaks the page."""

from __future__ import annotations

from playwright.sync_api import expect

from chatclient import ChatClient
from tests.processes import ServerProcess, wait_until
from tests.web.chat_page import ChatPage
from tests.web.conftest import PHONE, WIDE, OpenPage
from tests.web.test_rooms import enter

ZALGO = "Z" + "\u0334\u0358\u0321\u0315" * 60

TEXTS = {
    "an image with a handler": "<img src=x onerror='document.title=\"owned\"'>",
    "a script": "<script>document.title = 'owned'</script>",
    "a closing tag": "</li></ol></main><h1>owned</h1>",
    "a script's address": "javascript:document.title='owned' https://example.org/\"onclick=alert(1)",
    "an entity": "&lt;b&gt; &#x202e;",
    "letters written from the other side": "\u202egnihtyna era uoy\u202c \u2067mirrored",
    "a tower of marks": ZALGO * 4,
    "no space at all": "W" * 4_000,
    "fifty links": " ".join(f"https://example.org/{number}" for number in range(50)),
    "a link without end": "https://example.org/" + "a" * 3_900,
    "lines": "\n" * 500 + "end",
    "a block in a block": "```" * 300,
    "backticks without end": "`" * 3_999 + "a",
    "a wide block": "```\n" + "x" * 3_900 + "\n```",
    "mentions": "@Ann " * 500,
    "brackets": "https://e.org/" + "(" * 1_000 + ")" * 2_000,
    "emoji without end": "👩‍👩‍👧‍👦" * 400,
    "nulls": "\0\x1b[31m\x07red",
}

NAMES = [
    "<b>Bob</b>",
    "\"onclick='1'",
    "ابجد",
    "M" * 32,
    "👩‍👩‍👧‍👦",
    "@Ann",
    "__proto__",
    "constructor",
]


#: One line each; a room that people name has a name like theirs, without spaces.
ROOMS = ["<b>room</b>", "w" * 32, "javascript:alert(1)", "__proto__", "👩‍👩‍👧‍👦"]
TITLES = [
    "<img src=x onerror='document.title=1'>",
    "W" * 64,
    "\u202egnihtyna",
    "Z" + "\u0334\u0358\u0321\u0315" * 15,
]
TOPIC = "<script>document.title = 'owned'</script> \u202e" + "W" * 200


def overflows(page: ChatPage) -> list[str]:
    """What sticks out of the page or of its message."""
    found: list[str] = page.page.evaluate("""() => {
        const root = document.documentElement;
        const wide = root.scrollWidth > root.clientWidth ? ["the page"] : [];
        const scroller = document.querySelector(".scroller");
        if (scroller.scrollWidth > scroller.clientWidth) wide.push("the messages");
        const edge = scroller.getBoundingClientRect();
        const within = (edge, part) => {
            const box = part.getBoundingClientRect();
            if (box.left < edge.left - 1 || box.right > edge.right + 1) {
                wide.push(part.outerHTML.slice(0, 80));
            }
        };
        const messages = ".bubble, .text, .who, .notice, .reactions button, .answered";
        for (const part of scroller.querySelectorAll(messages)) within(edge, part);
        for (const around of document.querySelectorAll(".side, .bar, dialog[open]")) {
            const edge = around.getBoundingClientRect();
            const parts = around.querySelectorAll("button, input, h1, h2, .found span, .badge");
            for (const part of parts) if (part.checkVisibility()) within(edge, part);
        }
        return wide;
    }""")
    return found


def test_hostile_texts_are_shown_as_they_are_and_break_nothing(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Mallory") as mallory:
        ann = open_page(chat_server.http_url).come_in("Ann")
        for text in TEXTS.values():
            mallory.send(text)
        mallory.send("the end")
        ann.say(TEXTS["no space at all"])

        expect(ann.message("the end")).to_be_attached()
        wait_until(lambda: len(ann.texts()) == len(TEXTS) + 2)
        expect(ann.unsent).to_have_count(0)
        shown = ann.texts()
        for text in ("an image with a handler", "a script", "a closing tag", "an entity"):
            assert TEXTS[text] in shown
        assert everywhere(ann) == []
        assert ann.page.title() == "Lobby · Chat"
        links = ann.page.locator(".text a")
        assert {link.get_attribute("href").split(":")[0] for link in links.all()} == {"https"}  # type: ignore[union-attr]
        assert links.first.get_attribute("rel") == "noopener noreferrer nofollow"


def test_hostile_names_are_shown_as_they_are_and_break_nothing(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    clients = []
    for name in NAMES:
        client = ChatClient(chat_server.url, name)
        clients.append(client)
        client.send("hello")
    ann = open_page(chat_server.http_url).come_in("Ann")
    try:
        expect(ann.page.locator(".side .people li")).to_have_count(len(NAMES) + 1)
        expect(ann.page.locator(".who")).to_have_text(NAMES)
        assert overflows(ann) == []
        for name in NAMES:
            ann.page.locator(".side .people bdi").get_by_text(name, exact=True).click()
            expect(ann.page.get_by_role("heading", level=2, name=name)).to_be_visible()
            ann.page.keyboard.press("Escape")
        ann.page.get_by_role("button", name="Leave the chat").click()
        ann.come_in("<i>Ann</i>")
        expect(ann.page.locator(".self .name")).to_have_text("<i>Ann</i>")
    finally:
        for client in clients:
            client.close()


def test_hostile_rooms_titles_and_topics_are_shown_as_they_are_and_break_nothing(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with (
        ChatClient(chat_server.url, "<i>Mallory</i>") as mallory,
        ChatClient(chat_server.url, "\"'><b>Eve") as eve,
    ):
        ann = open_page(chat_server.http_url).come_in("<i>Ann</i>")
        for name in ROOMS:
            mallory.enter(name).send("@<i>Ann</i> hello")
        for title in TITLES:
            private = eve.open(title)
            private.set_topic(TOPIC)
            private.send(f"/accept {private.create_pass()}")
            link = f"{chat_server.http_url}/#pass={private.create_pass()}"
            eve.direct("<i>Ann</i>").send(f"Come in! {link}")
            ann.page.locator(".rooms").get_by_role("button", name="<b>Eve").click()
            ann.page.get_by_role("button", name=link).click()
            expect(ann.page.get_by_role("heading", level=1)).to_have_text(title)
            expect(ann.page.locator(".what")).to_contain_text("<script>")
            private.send("for you @<i>Ann</i>")

        ann.page.get_by_role("button", name="Find or open a room").click()
        found = ann.page.get_by_role("dialog").get_by_role("listitem")
        expect(found.locator("bdi")).to_have_text(sorted(ROOMS))
        assert everywhere(ann) == []
        ann.page.keyboard.press("Escape")
        ann.page.get_by_role("button", name="About this room").click()
        expect(ann.page.get_by_role("dialog")).to_contain_text(TOPIC)
        assert everywhere(ann) == []
        ann.page.keyboard.press("Escape")
        for name in ROOMS:
            enter(ann, name)
            ann.message("@<i>Ann</i> hello").wait_for()
        assert everywhere(ann) == []
        assert ann.page.title().endswith(f"{ROOMS[-1]} · Chat")


def test_hostile_reactions_and_answers_break_nothing(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "M" * 32) as mallory:
        ann = open_page(chat_server.http_url).come_in("Ann")
        room = mallory.enter("lobby")
        first = mallory.send("W" * 4_000).id
        for emoji in "👍🎉😮😢😂🔥🌻🌍🚀👀🙏💯🤔🤷🧵🪴🧅🥕🍅🫘":
            room.react(first, emoji)
        room.react(first, "👩‍👩‍👧‍👦", on=False)
        room.send("<b>so it is</b>", reply_to=first)
        ann.message("<b>so it is</b>").wait_for()
        expect(ann.page.locator(".reactions button")).to_have_count(20)

        assert everywhere(ann) == []


def everywhere(page: ChatPage) -> list[str]:
    """What sticks out on either screen, written from the left and from the right."""
    found = []
    for viewport in (PHONE, WIDE):
        page.page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        for direction in ("rtl", "ltr"):
            page.page.evaluate("(way) => (document.documentElement.dir = way)", direction)
            found += overflows(page)
    return found


def test_a_tower_of_marks_covers_nobody_else(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with (
        ChatClient(chat_server.url, "Mallory") as mallory,
        ChatClient(chat_server.url, "Bob") as bob,
    ):
        ann = open_page(chat_server.http_url).come_in("Ann")
        bob.send("above")
        mallory.send(ZALGO)
        bob.send("below")
        expect(ann.message("below")).to_be_visible()

        clipped = ann.page.evaluate(
            "() => [...document.querySelectorAll('.text, .who')]"
            ".map((part) => getComputedStyle(part).overflow)"
        )

        assert set(clipped) == {"clip"}
