// One room as this person has it: what was said, who is there, what is still to be sent, and how
// far it was read.

import { ConnectionLost, disconnected, passes, pause } from "./connection.js";
import { mentions } from "./mentions.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { Reading } from "./reading.js";
import { tabStorage } from "./storage.js";
import { Timeline } from "./timeline.js";

/** Messages that a room opens with: two screenfuls. */
const FIRST_PAGE = 60;

/** Messages that scrolling up brings. */
const PAGE = 100;

/** The most that one call tells. */
const MOST = 500;

/** Messages above what is new, so that one sees where it begins. */
const FEW = 10;

/** What a room answers in which one is not any more. */
const GONE = new Set(["not_joined", "no_such_room"]);

/** How often one says that one is typing. */
const TYPING_EVERY_MS = 3_000;

export class Room {
  timeline = new Timeline();
  reading = new Reading((id) => this.#tellRead(id));
  /** Whether one is not in it any more; it stays to be read until it is put away. */
  over = false;
  /** Whether it is one's own. */
  owned = false;
  /** What one may do to others; null if nothing. */
  moderator = null;
  draft = "";

  #calls = null;
  #owner;
  #watched = false;
  #typed = 0;
  /** Events that wait for those before them. */
  #waiting = null;
  /** Whether some that came last time waited in vain. */
  #behind = false;
  /** Whether what was said before has been got, and with which calls who is there. */
  #begun = false;
  #askedBy = null;
  /** Settles when older messages, which were asked for, are there. */
  #older = null;

  /** `owner` is the chat: its `me`, and `changed()`. */
  constructor(info, owner) {
    this.#owner = owner;
    this.people = new People(() => owner.changed());
    const kept = tabStorage.get(`room:${info.name}`);
    this.draft = kept?.draft ?? "";
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
    this.people.count = info.people ?? this.people.count;
  }

  /** Whether it can be asked anything at the moment. */
  get online() {
    return this.#calls !== null;
  }

  /** What its calls are, while there is a connection. */
  get calls() {
    return this.#calls ?? disconnected;
  }

  /** The event that others are missing after, as far as is known; Infinity if none is. */
  get missesAfter() {
    return this.#behind && this.timeline.lastId ? this.timeline.lastId : Infinity;
  }

  /** Whether there is anything that somebody may still want to see. */
  get hasSomething() {
    return this.timeline.items.length > 0 || this.outbox.open.length > 0 || this.draft !== "";
  }

  /**
   * The connection is there. `info` is what the server says of the room, `lastId` the id above which
   * it tells by itself; `sameStay` is whether keys mean the same as before.
   */
  async connect(calls, info, { lastId, sameStay, sameLog }) {
    this.#waiting = [];
    this.#behind = this.over = false;
    const { timeline } = this;
    if (!sameLog) {
      timeline.clear();
      this.reading.clear();
      this.#begun = false;
    }
    this.update(info);
    const told = Math.max(lastId, info.from ?? 0);
    if (!sameStay) {
      await this.#reconcile(calls, told);
      if (timeline.lastId) await this.#catchUp(calls, told);
    }
    if (timeline.lastId === 0) {
      timeline.lastId = Math.max(told, info.lastId ?? 0);
      this.reading.unread = info.unread ?? 0;
    }
    this.#calls = calls;
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const event of waiting) this.receive(event);
    this.reading.tell();
    this.outbox.begin((entry) =>
      calls.say(entry.text, { key: entry.key, ...(entry.replyTo ? { replyTo: entry.replyTo } : {}) }),
    );
    this.#owner.changed();
  }

  /** Get what was said before, and who is there: somebody is about to look. */
  async load() {
    const calls = this.#calls;
    if (!calls || this.#askedBy === calls) return;
    this.#askedBy = calls;
    while (this.#calls === calls) {
      try {
        if (!this.#begun) await this.#begin(calls);
        await this.#askWho(calls);
        this.#owner.changed();
        return;
      } catch (error) {
        if (error instanceof ConnectionLost) return; // Coming back loads it; that must not wait for this.
        if (!passes(error)) throw error;
        await pause(error.retryAfter);
      }
    }
  }

  /** The connection is gone. */
  disconnect() {
    this.#calls = null;
    this.#behind ||= this.#waiting !== null;
    this.#waiting = null;
    this.outbox.pause();
    this.people.lose();
    this.reading.lose();
    this.moderator = null;
  }

  /** One is not in it any more. */
  end() {
    this.disconnect();
    this.over = true;
    this.#behind = this.owned = false;
    this.people.are([]);
    this.outbox.fail("room_over");
    this.#owner.changed();
  }

  /** An event of this room. */
  receive(event) {
    if (this.#waiting) this.#waiting.push(event);
    else if (this.#misses(event)) this.#fill(event);
    else this.#take(event);
  }

  say(text, replyTo) {
    this.reading.divider = null;
    this.outbox.add(text.toWellFormed(), replyTo, this.timeline.lastId);
  }

  /** Whether what was before the first item is on its way. */
  get loading() {
    return this.#older !== null;
  }

  /** Bring what was before the first item, unless that is on its way. */
  async loadOlder() {
    if (this.timeline.complete || !this.#calls) return;
    this.#older ??= this.#bringOlder();
    await this.#older;
  }

  /** Bring an item that an answer is to, unless it is gone. */
  async loadUntil(id) {
    while (this.timeline.items[0]?.id > id && !this.timeline.complete && this.#calls) await this.loadOlder();
    return this.timeline.find(id);
  }

  /** Whether somebody looks at the end of this room at the moment. */
  watch(watched) {
    if (watched && this.#begun && (!this.#watched || this.reading.unread)) {
      this.#see();
    } else if (!watched && this.#watched) {
      this.reading.divider = null;
      this.reading.tell();
    }
    this.#watched = watched;
  }

  setDraft(text) {
    this.draft = text;
    this.keep();
    if (text && this.#calls && Date.now() - this.#typed > TYPING_EVERY_MS) {
      this.#typed = Date.now();
      this.#calls.typing().catch(() => {}); // It may be lost.
    }
  }

  /** Keep what is to survive a reload. */
  keep() {
    const { draft } = this;
    const outbox = this.outbox.open;
    tabStorage.set(`room:${this.name}`, { draft, outbox });
  }

  forget() {
    this.reading.forget();
    tabStorage.set(`room:${this.name}`, null);
  }

  // --- what came before

  async #begin(calls) {
    const { reading } = this;
    await this.#prepend(calls, Math.min(MOST, Math.max(FIRST_PAGE, reading.unread + FEW)));
    if (reading.unread) reading.divider ??= this.timeline.beforeLast(reading.unread, this.#owner.me.name);
    this.#begun = true;
    if (this.#watched) this.#see();
  }

  /** Bring a page of older messages, on whatever connection there is, or be without one. */
  async #bringOlder() {
    this.#owner.changed();
    try {
      while (this.#calls) {
        try {
          await this.#prepend(this.#calls, PAGE);
          return;
        } catch (error) {
          if (GONE.has(error.code)) return; // The event that tells of it is on its way.
          if (!passes(error)) throw error;
          await pause(error.retryAfter);
        }
      }
    } finally {
      this.#older = null;
      this.#owner.changed();
    }
  }

  /** Bring older messages, so many at most. */
  async #prepend(calls, limit) {
    const { timeline } = this;
    const before = timeline.items[0]?.id ?? timeline.lastId + 1;
    timeline.expectOlder();
    timeline.prepend(await calls.history({ before, limit }), limit);
  }

  /** Bring what was said between two stays. */
  async #catchUp(calls, told) {
    const { timeline } = this;
    if (timeline.lastId >= told) return;
    const missed = await calls.events({ after: timeline.lastId, before: told + 1, limit: MOST });
    if (missed.length < MOST) {
      for (const event of missed) this.#take(event);
      timeline.lastId = told;
    } else {
      timeline.clear();
      this.#begun = false;
    }
  }

  async #askWho(calls) {
    this.people.are(await calls.people());
    this.owned = this.people.get(this.#owner.me.name)?.role === "owner";
  }

  /** Ask what the room is now: an event has said that it is not as before. */
  async #lookAgain() {
    const calls = this.#calls;
    if (!calls) return;
    try {
      this.update(await calls.info());
      await this.#askWho(calls);
    } catch (error) {
      if (GONE.has(error.code)) this.end();
      else if (!passes(error)) throw error;
    }
    this.#owner.changed();
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
    return prev !== undefined && prev > this.timeline.lastId && id > this.timeline.lastId;
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
      if (event.user !== this.#owner.me.name) this.people.types(event.user);
    } else if (event.type === "presence") {
      this.people.present(event);
    } else {
      this.#enter(event);
    }
    this.#owner.changed();
  }

  #enter(event) {
    if (event.id <= this.timeline.lastId) return; // Told before.
    if (event.type === "join" || event.type === "leave") this.people.move(event);
    else if (event.type === "topic" || event.type === "notice") this.#lookAgain();
    if (event.type === "join" && event.users.every((name) => name === this.#owner.me.name)) {
      this.timeline.pass(event); // One knows.
      return;
    }
    this.timeline.add(event);
    if (this.#watched) this.timeline.trim();
    this.people.stopsTyping(event.user);
    if (this.#watched) this.reading.see(this.timeline.lastId);
    if (event.type !== "chat") return;
    const mine = event.user === this.#owner.me.name;
    if (mine && this.outbox.saw(event)) this.#owner.learn(event.by);
    if (!mine && !this.#watched) this.#miss(event);
    this.#owner.announce(this, event);
  }

  #miss(event) {
    const mentioned = mentions(event.text ?? "", this.#owner.me.name);
    if (this.#begun) this.reading.divider ??= event.id - 1;
    this.reading.miss(mentioned);
    if (mentioned || this.kind === "direct") this.#owner.notify(this, event);
  }

  /** Somebody sees the end. */
  #see() {
    this.reading.see(this.timeline.lastId);
    this.#owner.changed();
  }

  #tellRead(id) {
    this.#calls?.read(id).catch(() => {}); // The next one says more.
    return this.#calls !== null;
  }
}
