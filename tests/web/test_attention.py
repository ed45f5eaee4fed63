"""What reaches somebody who looks elsewhere: notifications."""

from __future__ import annotations

from playwright.sync_api import expect

from chatclient import ChatClient
from tests.processes import ServerProcess, wait_until
from tests.web.chat_page import ChatPage
from tests.web.conftest import OpenPage
from tests.web.test_rooms import enter, room

#: A browser without a screen shows no notifications. This notes what would be shown, and how often
#: the person would be asked.
NOTIFICATIONS = """
Object.defineProperty(document, "hidden", {get: () => window.away === true});
window.shown = [];
window.asked = 0;
window.Notification = class extends EventTarget {
    static get permission() {
        return localStorage.getItem("permission") ?? "default";
    }
    static async requestPermission() {
        if (this.permission === "default") {
            asked += 1;
            localStorage.setItem("permission", localStorage.getItem("answer") ?? "granted");
        }
        return this.permission;
    }
    constructor(title, {body} = {}) {
        super();
        if (Notification.permission === "granted") shown.push(this);
        Object.assign(this, {title, body});
    }
    close() {}
};
"""


def come_in(open_page: OpenPage, url: str) -> ChatPage:
    """Be Ann, in a browser that notes what would be shown."""
    page = open_page("about:blank")
    page.page.add_init_script(NOTIFICATIONS)
    page.page.goto(url)
    return page.come_in("Ann")


def look(page: ChatPage, *, away: bool) -> None:
    """Look at another tab, or at this one."""
    page.page.evaluate(
        "(away) => { window.away = away; document.dispatchEvent(new Event('visibilitychange')); }",
        away,
    )


def notified(page: ChatPage) -> list[list[str]]:
    """Titles and texts of what would have been shown."""
    shown: list[list[str]] = page.page.evaluate("shown.map(({title, body}) => [title, body])")
    return shown


def test_a_mention_is_notified_of_after_asking_once_and_leads_to_the_message(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        ann = come_in(open_page, chat_server.http_url)
        enter(ann, "gardening")
        room(ann, "Lobby")
        assert ann.page.evaluate("asked") == 0
        bell = ann.page.get_by_role("button", name="notify")
        bell.click()
        expect(bell).to_have_accessible_name("Stop notifying me")
        garden = bob.enter("gardening")
        garden.send("@Ann you see this")
        expect(ann.page.get_by_label("1 unread")).to_be_visible()
        assert notified(ann) == []

        look(ann, away=True)
        garden.send("for nobody")
        garden.send("@Ann come and look")
        for number in range(100):
            garden.send(f"and {number}")
        expect(ann.page.get_by_label("103 unread")).to_be_visible()
        assert notified(ann) == [["Bob: gardening", "@Ann come and look"]]

        look(ann, away=False)
        ann.page.evaluate("shown[0].dispatchEvent(new Event('click'))")

        expect(ann.page.get_by_role("heading", level=1)).to_have_text("gardening")
        # The browser may have given its own focus to another window meanwhile.
        message = ann.message("@Ann come and look").element_handle()
        wait_until(lambda: message.evaluate("it => it === document.activeElement"))
        expect(ann.message("@Ann come and look")).to_be_in_viewport()

        look(ann, away=True)
        bell.click()
        garden.send("@Ann not any more")
        bob.direct("Ann").send("nor this")
        expect(
            ann.page.get_by_role("navigation").get_by_role("button", name="Bob 1")
        ).to_be_visible()
        bell.click()
        garden.send("@Ann but this")
        wait_until(lambda: notified(ann)[1:] == [["Bob: gardening", "@Ann but this"]])
        assert ann.page.evaluate("asked") == 1

        ann.page.reload()
        ann.be_inside()
        look(ann, away=True)
        bob.direct("Ann").send("Psst")
        wait_until(lambda: notified(ann) == [["Bob: Bob", "Psst"]])
        assert ann.page.evaluate("asked") == 0


def test_who_does_not_want_to_be_notified_is_not(
    chat_server: ServerProcess, open_page: OpenPage
) -> None:
    with ChatClient(chat_server.url, "Bob") as bob:
        ann = come_in(open_page, chat_server.http_url)
        ann.page.evaluate("localStorage.setItem('answer', 'denied')")
        look(ann, away=True)

        ann.page.get_by_role("button", name="Notify me").click()

        expect(ann.page.get_by_role("button", name="Your browser does not let")).to_be_visible()
        bob.send("@Ann hello")
        expect(ann.page).to_have_title("(1) Lobby · Chat")
        assert notified(ann) == []
