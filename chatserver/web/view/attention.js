// What reaches somebody who does not look at the messages: the title, the icon, notifications, and
// the words for a screen reader.

import { texts } from "../texts.js";
import { lastingStorage } from "../model/storage.js";

/** How long messages are gathered before they are read out, so that a crowd is not. */
const GATHER_MS = 600;

/** Messages that are read out one by one; more are told as a number. */
const READ_OUT = 3;

export class Attention {
  #chat;
  #live;
  #icon = document.querySelector("link[rel=icon]");
  #plainIcon = this.#icon.href;
  #shown = -1;
  #gathered = [];

  /** `live` is the element whose text is read out. */
  constructor(chat, live) {
    this.#chat = chat;
    this.#live = live;
    chat.onmessage = (room, event) => this.#gather(room, event);
    chat.onnotify = (room, event) => this.#notify(room, event);
  }

  static get available() {
    return "Notification" in window;
  }

  /** Whether one is notified: it was asked for, and the browser lets it. */
  static get on() {
    return Attention.available && Notification.permission === "granted" && lastingStorage.get("notify") === true;
  }

  /** Turn notifications on or off; whether it is as wanted. The browser asks the person once. */
  static async turn(on) {
    lastingStorage.set("notify", on);
    return !on || (constructible() && (await Notification.requestPermission()) === "granted");
  }

  /** Title and icon, as the chat stands. */
  update() {
    const { rooms, room, phase } = this.#chat;
    let unread = 0;
    for (const each of rooms.values()) unread += each.reading.unread;
    const where = phase === "inside" && room ? `${titleOf(room)} · ${texts.chat}` : texts.chat;
    const title = unread ? `(${unread > 99 ? "99+" : unread}) ${where}` : where;
    if (title !== document.title) document.title = title;
    if (unread !== this.#shown) this.#drawIcon(unread);
    this.#shown = unread;
  }

  #drawIcon(unread) {
    if (this.#icon.href.startsWith("blob:")) URL.revokeObjectURL(this.#icon.href);
    this.#icon.href = unread ? URL.createObjectURL(new Blob([iconWith(unread)], { type: "image/svg+xml" })) : this.#plainIcon;
  }

  #gather(room, event) {
    if (this.#gathered.push([room, event]) > 1) return;
    setTimeout(() => {
      const gathered = this.#gathered.splice(0);
      const [first] = gathered[0];
      this.#live.textContent = gathered.length > READ_OUT
        ? texts.manyArrived(gathered.length, titleOf(first))
        : gathered.map(([, { user, text }]) => texts.says(user, text ?? "")).join("\n");
    }, GATHER_MS);
  }

  #notify(room, event) {
    if (!Attention.on || (!document.hidden && document.hasFocus())) return;
    const notification = new Notification(texts.says(event.user, titleOf(room)), { body: event.text, tag: room.name });
    notification.addEventListener("click", () => {
      window.focus();
      this.#chat.show(room.name, event.id);
      notification.close();
    });
  }
}

/** Whether a page may make one: on a phone only a service worker may. One that is made before it is
 * allowed is not shown. */
function constructible() {
  try {
    if (Notification.permission !== "granted") new Notification("");
    return true;
  } catch {
    return false;
  }
}

/** What people call a room. */
export function titleOf(room) {
  return room.title === "lobby" ? texts.lobby : room.title;
}

/** The page's icon, with a number. */
function iconWith(unread) {
  const number = unread > 99 ? "99" : String(unread);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#0f766e" d="M6 5h20a4 4 0 0 1 4 4v11a4 4 0 0 1-4 4H15l-7 6v-6H6a4 4 0 0 1-4-4V9a4 4 0 0 1 4-4z"/><circle cx="22" cy="10" r="10" fill="#c2410c"/><text x="22" y="15" font-family="sans-serif" font-size="${number.length > 1 ? 12 : 15}" font-weight="bold" text-anchor="middle" fill="#fff">${number}</text></svg>`;
}
