// One room as this person has it: what was said, who is there, what is still to be sent, and how
// far it was read.

import { ConnectionLost, passes } from "./connection.js";
import { Outbox } from "./outbox.js";
import { tabStorage } from "./storage.js";
import { Timeline } from "./timeline.js";

/** Messages that a room opens with: two screenfuls. */
const FIRST_PAGE = 60;

/** Messages that scrolling up brings. */
const PAGE = 100;

/** The most that one call tells. */
const MOST = 500;

/** How long somebody counts as typing, and how often one says so oneself. */
const TYPING_MS = 5_000;
const TYPING_EVERY_MS = 3_000;

export class Room {
  timeline = new Timeline();
  /** By name: `{name, online, role}`. */
  people = new Map();
  /** How many people are in it. */
  count = 0;
  unread = 0;
  mentions = 0;
  /** The id above which a line says that it is new; null if there is none. */
  divider = null;
  /** Names of those who are typing, with what ends it. */
  typing = new Map();
  /** What the server lets one do here. */
  can = new Set();
  /** What one may do to others; null if nothing. */
  moderator = null;
  loading = false;
  draft = "";

  #calls = null;
  #owner;
  #readId = 0;
  #watched = false;
  #typed = 0;
  /** Events that wait for those before them. */
  #waiting = null;

  /** `owner` is the chat: its `me`, and `changed()`. */
  constructor(info, owner) {
    this.#owner = owner;
    const kept = tabStorage.get(`room:${info.name}`);
    this.draft = kept?.draft ?? "";
    this.#readId = kept?.readId ?? 0;
    this.outbox = new Outbox(kept?.outbox ?? [], () => {
      this.keep();
      owner.changed();
    });
    this.update(info);
  }

  /** What the server says of the room. */
  update(info) {
    this.name = info.name;
    this.kind = info.kind;
    this.topic = info.topic ?? "";
    this.title = info.with ?? info.title ?? info.name;
    this.with = info.with;
    this.count = info.people ?? this.count;
  }

  /** Whether it can be asked anything at the moment. */
  get online() {
    return this.#calls !== null;
  }

  /** What its calls are, while there is a connection. */
  get calls() {
    return this.#calls ?? disconnected;
  }

  /**
   * The connection is there. `entered` is what coming in has said; `sameStay` is whether keys mean
   * the same as before.
   */
  async connect(calls, entered, { sameStay, sameLog, recovered }) {
    this.#waiting = [];
    this.can = calls.can;
    const { timeline } = this;
    if (!sameLog) {
      timeline.clear();
      this.#readId = 0;
      this.divider = null;
    } else if (!recovered && timeline.lastId) {
      timeline.gap();
    }
    if (!sameStay) await this.#reconcile(calls, entered.lastId);
    if (timeline.lastId === 0) await this.#begin(calls, entered.lastId);
    const people = await calls.people();
    this.people = new Map(people.map((person) => [person.name, person]));
    this.count = people.length;
    this.#calls = calls;
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const event of waiting) this.#take(event);
    this.outbox.begin((entry) =>
      calls.say(entry.text, { key: entry.key, ...(entry.replyTo ? { replyTo: entry.replyTo } : {}) }),
    );
    this.#owner.changed();
  }

  /** The connection is gone. */
  disconnect() {
    this.#calls = null;
    this.outbox.pause();
    for (const name of this.typing.keys()) this.#stopsTyping(name);
  }

  /** An event of this room. */
  receive(event) {
    if (this.#waiting) this.#waiting.push(event);
    else if (this.#misses(event)) this.#fill(event);
    else this.#take(event);
  }

  say(text, replyTo) {
    this.divider = null;
    this.outbox.add(text.toWellFormed(), replyTo, this.timeline.lastId);
  }

  /** Bring what was before the first item. */
  async loadOlder() {
    if (this.loading || this.timeline.complete || !this.#calls) return;
    this.loading = true;
    this.#owner.changed();
    try {
      const before = this.timeline.items[0]?.id ?? this.timeline.lastId + 1;
      const events = await this.#calls.history({ before, limit: PAGE });
      this.timeline.prepend(events);
      this.timeline.complete = events.length === 0;
    } catch (error) {
      // It is asked again when somebody scrolls.
      if (!passes(error)) throw error;
    } finally {
      this.loading = false;
      this.#owner.changed();
    }
  }

  /** Bring an item that an answer is to, unless it is gone. */
  async loadUntil(id) {
    while (this.timeline.items[0]?.id > id && !this.timeline.complete && this.#calls) await this.loadOlder();
    return this.timeline.find(id);
  }

  /** Whether somebody looks at the end of this room at the moment. */
  watch(watched) {
    if (watched && (!this.#watched || this.unread)) {
      this.unread = this.mentions = 0;
      this.#read();
      this.#owner.changed();
    } else if (!watched && this.#watched) {
      this.divider = null;
    }
    this.#watched = watched;
  }

  /** The line that says what is new has been seen. */
  forgetDivider() {
    this.divider = null;
    this.#owner.changed();
  }

  setDraft(text) {
    this.draft = text;
    this.keep();
    if (text && this.can.has("typing") && this.#calls && Date.now() - this.#typed > TYPING_EVERY_MS) {
      this.#typed = Date.now();
      this.#calls.typing().catch(() => {}); // It may be lost.
    }
  }

  /** Keep what is to survive a reload. */
  keep() {
    const { draft } = this;
    const outbox = this.outbox.open;
    tabStorage.set(`room:${this.name}`, { draft, outbox, readId: this.#readId });
  }

  forget() {
    tabStorage.set(`room:${this.name}`, null);
  }

  // --- what came before

  async #begin(calls, lastId) {
    const events = await calls.history({ before: lastId + 1, limit: FIRST_PAGE });
    const { timeline } = this;
    timeline.prepend(events);
    timeline.complete = events.length < FIRST_PAGE;
    timeline.lastId = Math.max(timeline.lastId, lastId);
    const news = this.#readId ? timeline.items.filter((item) => this.#isNews(item)) : [];
    if (news.length && !this.#watched) {
      this.unread = news.length;
      this.divider = this.#readId;
    } else if (news.length) {
      this.divider = this.#readId;
      this.#read();
    } else {
      this.#read();
    }
  }

  /** Find out what of the outbox had arrived before the stay ended whose keys it has. */
  async #reconcile(calls, lastId) {
    const tried = this.outbox.open.filter((entry) => entry.tried);
    if (!tried.length) return;
    const said = [];
    let after = Math.min(...tried.map((entry) => entry.after));
    while (after < lastId) {
      const events = await calls.history({ after, limit: MOST });
      if (!events.length) break;
      said.push(...events.filter((event) => event.type === "chat" && event.user === this.#owner.me.name));
      after = events.at(-1).id;
    }
    this.outbox.reconcile(said.map(({ text }) => text));
  }

  // --- what comes

  #misses({ prev, id }) {
    return this.can.has("events") && prev !== undefined && prev > this.timeline.lastId && id > this.timeline.lastId;
  }

  /** Ask once for the events before this one, and hold back what comes meanwhile. */
  async #fill(event) {
    this.#waiting = [event];
    const { lastId } = this.timeline;
    try {
      const missing = await this.#calls.events({ after: lastId, before: event.id, limit: MOST });
      if (missing[0]?.prev !== lastId) this.timeline.gap();
      for (const earlier of missing) this.#take(earlier);
    } catch (error) {
      if (error instanceof ConnectionLost) return; // Coming back tells it.
      this.timeline.gap();
    }
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const later of waiting) this.#take(later);
  }

  #take(event) {
    if (event.type === "typing") {
      if (event.user !== this.#owner.me.name) this.#types(event.user);
    } else if (event.type === "presence") {
      const person = this.people.get(event.user);
      if (person) this.people.set(event.user, { ...person, online: event.online });
    } else {
      this.#enter(event);
    }
    this.#owner.changed();
  }

  #enter(event) {
    if (event.id <= this.timeline.lastId) return; // Told before.
    if (event.type === "join" || event.type === "leave") this.#move(event);
    else if (event.type === "topic") this.topic = event.text;
    this.timeline.add(event);
    if (this.#watched) this.timeline.trim();
    this.#stopsTyping(event.user);
    if (event.type !== "chat") {
      if (this.#watched) this.#read();
      return;
    }
    if (event.user === this.#owner.me.name) this.outbox.saw(event);
    if (this.#watched || event.user === this.#owner.me.name) {
      if (this.#watched) this.#read();
    } else if (this.#isNews(event)) {
      this.divider ??= this.#readId;
      this.unread += 1;
      const mentioned = mentions(event.text ?? "", this.#owner.me.name);
      if (mentioned) this.mentions += 1;
      if (mentioned || this.kind === "direct") this.#owner.notify(this, event);
    }
    this.#owner.announce(this, event);
  }

  #types(name) {
    this.#stopsTyping(name);
    const end = setTimeout(() => {
      this.#stopsTyping(name);
      this.#owner.changed();
    }, TYPING_MS);
    this.typing.set(name, end);
  }

  #stopsTyping(name) {
    clearTimeout(this.typing.get(name));
    this.typing.delete(name);
  }

  #move({ type, users }) {
    for (const name of users) {
      if (type === "leave") this.people.delete(name);
      else this.people.set(name, { name, online: true });
    }
    this.count = this.people.size;
  }

  #isNews({ id, type, user }) {
    return type === "chat" && id > this.#readId && user !== this.#owner.me.name;
  }

  #read() {
    if (this.#readId === this.timeline.lastId) return;
    this.#readId = this.timeline.lastId;
    if (this.can.has("read")) this.#calls?.read(this.#readId).catch(() => {}); // The next one says more.
  }
}

/** Whether a text speaks to somebody by name. */
export function mentions(text, name) {
  return mentionPattern([name]).test(text);
}

/** Matches `@` and one of these names, of which there is at least one. */
export function mentionPattern(names) {
  const escaped = [...names]
    .sort((one, other) => other.length - one.length)
    .map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?<![\\p{L}\\p{N}_])@(?:${escaped.join("|")})(?![\\p{L}\\p{N}_])`, "giu");
}

/** What every call says while there is no connection. */
const disconnected = new Proxy({}, {
  get: () => async () => {
    throw new ConnectionLost("There is no connection at the moment.");
  },
});
