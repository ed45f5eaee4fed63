// Where the page begins: the chat, its view, and what the browser tells both.

import { render } from "preact";
import { Chat } from "./model/chat.js";
import { direction, language, texts } from "./texts.js";
import { App } from "./view/app.js";
import { Attention } from "./view/attention.js";
import { html } from "./view/html.js";

document.documentElement.lang = language;
document.documentElement.dir = direction;
document.title = texts.chat;

/** What an invitation's address carries, which nobody is to read over one's shoulder. */
function invitation() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return { token: said.get("token") || null, pass: said.get("pass") || null };
}

const chat = new Chat(document.baseURI);
const attention = new Attention(chat, document.getElementById("live"));
render(html`<${App} chat=${chat} attention=${attention} />`, document.getElementById("page"));
chat.start(invitation());

addEventListener("hashchange", () => {
  if (location.hash) chat.invited(invitation());
});
addEventListener("pagehide", () => chat.suspend());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) chat.wake();
});
addEventListener("offline", () => chat.offline());
addEventListener("online", () => chat.retryNow());
