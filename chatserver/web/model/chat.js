// The chat as one person in one tab has it: the connection and coming back, who one is, the rooms.
// The view reads its fields and calls its methods; it knows no browser but WebSocket and storage.

import { comeIn } from "./calls.js";
import { Code, ConnectionLost, disconnected, passes, rpcAddress } from "./connection.js";
import { Lines } from "./lines.js";
import { Rooms } from "./rooms.js";
import { findStay, forgetStay, keepStay, signedIn, staySignedIn } from "./stay.js";
import { lastingStorage, tabStorage } from "./storage.js";
import { Tabs } from "./tabs.js";

/** Who may moderate rooms that are not one's own; the server says which. */
const GOVERNS = new Set(["moderator", "admin"]);

/** How long a stay that is taken over may be so by an attempt of our own whose answer was lost. */
const DOUBTFUL_MS = 60_000;

/** Answers to coming in that will not change by asking again. */
const FINAL_ERRORS = new Set([
  "bad_request", "username_taken", "too_large", "too_many", "unauthorized", "forbidden",
]);

/**
 * Attributes for the view:
 *
 *     phase       `starting`, `outside`, `inside`, or how it ended: `elsewhere` (the stay goes on in
 *                 another tab or program), `sent_away`, `token_over`, `name_lost`
 *     connection  see `Lines.state`
 *     me          `{name, account, role}`, null outside
 *     about       what the server says of itself
 *     otherTab    a guest's stay that another tab has, `{name, resume, epoch}`, or null
 *     entering    whether coming in is under way
 *     error       why one could not come in: `{code, message}` of the server's, or null
 *     lostName    the name that somebody else has now, as the error `lostBy` said
 *     blocked     the names of those who are blocked, as far as was found out
 *     endedBy     what was said when the visit was ended
 *     announced   what those who run the chat say to everybody, an event, or null
 *     goal        the message that is to be shown of the open room, or null
 *     failure     what the last call said that did not work, or null
 *     rooms       those that one is in; `room` is the open one
 *     person      what this person can ask for; every call fails without a connection
 */
export class Chat {
  phase = "starting";
  me = null;
  about = null;
  otherTab = null;
  entering = false;
  error = null;
  rooms = new Rooms(this);
  room = null;
  person = disconnected;
  lostName = null;
  lostBy = null;
  endedBy = "";
  blocked = new Set();
  announced = null;
  failure = null;
  goal = null;

  /** Called after each change, with each message of others, and with each one to notify of. */
  onchange = () => {};
  onmessage = () => {};
  onnotify = () => {};

  /** Who to come in as, or back: `{name, token, resume, epoch}`; null outside. */
  #stay = null;
  /** Resolves when that is known. */
  #decided = null;
  #pass = null;
  #session = null;
  /** Stands for the callback that is listened to; one given before has nothing to say any more. */
  #hearing = null;
  #tabs;
  #lines;
  #doubtfulUntil = 0;

  constructor(base) {
    const address = rpcAddress(base);
    this.#lines = new Lines(address, {
      begin: (line) => this.#begin(line),
      ended: (end) => this.#ended(end),
      changed: () => this.changed(),
    });
    this.#tabs = new Tabs(address, () => (this.me ? this.#stay : null));
    this.#tabs.ontoken = (name, token) => this.me?.account && this.me.name === name && this.#renew(token);
  }

  get connection() {
    return this.#lines.state;
  }

  /** Begin. `invitation` is what the address said: `{token, pass}`. */
  start({ token, pass }) {
    this.#pass = pass;
    this.#decided = this.#decide(token);
    this.#lines.start();
  }

  /** The address has said something while the page was open. */
  async invited({ token, pass }) {
    if (pass) this.#pass = pass;
    if (token && !(this.me?.account && (await this.#renew(token)))) {
      await this.leave();
      this.#comeIn({ token });
    } else if (this.#session) {
      await this.#acceptPass();
    }
  }

  /** Find out who to come in as, if as anybody. */
  async #decide(token) {
    const { stay, otherTab, copied } = await findStay(this.#tabs, token);
    this.#stay = stay;
    this.otherTab = otherTab;
    if (copied) this.rooms.forget();
    if (!stay) this.phase = "outside";
    this.changed();
  }

  /** Come in as a guest. */
  enter(name) {
    this.#comeIn({ name });
  }

  /** Go on in this tab with the stay that another one has. */
  takeOver() {
    this.#comeIn(this.otherTab);
  }

  /** Take the stay back that went on elsewhere. */
  takeBack() {
    this.phase = "starting";
    this.#comeIn(this.#stay);
    this.#lines.start();
  }

  /** Begin again without what was before. */
  startAnew() {
    this.#forgetAll();
    this.#lines.start();
  }

  /** Leave for good. */
  async leave() {
    const session = this.#session;
    this.#forgetAll();
    await session?.leave().catch(() => {}); // A lost connection ends the stay, too, a little later.
    this.#lines.start();
  }

  /** Whether the sign-in is to outlast this tab. */
  remember(lasting) {
    staySignedIn(this.#stay, lasting);
    this.changed();
  }

  get remembered() {
    return signedIn();
  }

  /** The page goes away, perhaps to be loaded again: the name waits for a while. */
  suspend() {
    if (this.#stay && this.phase !== "elsewhere") keepStay(this.#stay);
    this.rooms.keep();
    for (const room of this.rooms.values()) room.reading.tell();
    this.#lines.stop();
    this.#tabs.hide();
  }

  /** The page is there again, from the browser's cache. */
  wake() {
    this.#tabs.show();
    if (this.phase === "inside") this.#lines.start();
  }

  /** Do not wait for the next try. */
  retryNow() {
    this.#lines.retryNow();
  }

  /** The network is said to be gone. */
  offline() {
    this.#lines.abandon();
  }

  open(name) {
    this.failure = null;
    this.room = this.rooms.get(name) ?? this.room;
    tabStorage.set("room", name);
    this.#load(this.room).catch((error) => {
      if (!(error instanceof ConnectionLost)) this.fails(error); // Otherwise coming back does it.
    });
    this.changed();
  }

  /** Open a room at one of its messages; `goal` is that until it is shown. */
  show(name, id) {
    this.goal = id;
    this.open(name);
  }

  /** Have a room that the server has let one into, as `person` gives it, and open it. */
  async have(entered) {
    const room = await this.rooms.have(entered);
    this.open(room.name);
    return room;
  }

  /** Come into the private room that a pass is for. */
  async accept(pass) {
    return this.have(await this.person.accept(pass));
  }

  /** Find out who is blocked, since when and from wherever. */
  async findBlocked() {
    this.blocked = new Set(await this.person.blocked());
    this.changed();
  }

  /** Have no conversations begun by somebody. */
  async block(name, on) {
    await this.person.block(name, on);
    if (on) this.blocked.add(name);
    else this.blocked.delete(name);
    this.changed();
  }

  /** Leave a room, or `close` it for everybody, or put one away that is over. */
  async leaveRoom(room, call = "leave") {
    await this.rooms.leave(room, call);
    this.#openAnother();
    this.changed();
  }

  /** These are the events of this person, and not of somebody who had the name before. */
  learn(by) {
    if (!this.#stay || this.#stay.by === by) return;
    this.#stay = { ...this.#stay, by };
    this.me = { ...this.me, by };
  }

  /** A call of the view's has failed; for its `catch`. */
  fails = (error) => {
    this.failure = error.message;
    this.changed();
  };

  changed() {
    this.onchange();
  }

  announce(room, event) {
    if (event.user !== this.me?.name) this.onmessage(room, event);
  }

  notify(room, event) {
    this.onnotify(room, event);
  }

  /** Something is said to everybody; null: it was read. */
  hearAnnouncement(event) {
    this.announced = event;
    this.changed();
  }

  // --- coming and going

  #comeIn(stay) {
    this.error = null;
    this.entering = true;
    this.#stay = stay;
    this.changed();
    const { current } = this.#lines;
    if (current) this.#lines.use(current, (line) => this.#enter(line));
    else this.retryNow();
  }

  /** Stay signed in with the next token, if it is of the same account. */
  async #renew(token) {
    try {
      await this.person.renew(token);
    } catch (error) {
      if (error instanceof ConnectionLost || error.code === "unauthorized") return false;
      throw error;
    }
    this.#stay = { ...this.#stay, token };
    staySignedIn(this.#stay, signedIn());
    return true;
  }

  async #begin(line) {
    this.about = await line.answer(line.main.about);
    await this.#decided;
    if (this.#stay) await this.#enter(line);
  }

  /** Come in, or back. Raises ConnectionLost, and what will pass. */
  async #enter(line) {
    const stay = this.#stay;
    const since = this.rooms.since;
    this.rooms.expect();
    const hearing = (this.#hearing = {});
    const hear = (event) => {
      if (!line.over && this.#hearing === hearing) this.rooms.receive(event);
    };
    let session;
    try {
      session = await comeIn(line, this.about.lobby, { ...stay, since }, hear);
    } catch (error) {
      if (line.over) this.#doubtfulUntil = performance.now() + DOUBTFUL_MS;
      if (!FINAL_ERRORS.has(error.code) && (line.over || passes(error))) throw error;
      this.#refused(error);
      return;
    }
    if (this.#stay !== stay) return; // Left, or begun anew, meanwhile.
    const before = {
      since,
      sameStay: session.resume === stay.resume,
      sameLog: session.epoch === stay.epoch,
      recovered: !since || session.recovered,
    };
    const by = before.sameStay ? stay.by : undefined;
    this.#session = session;
    this.#stay = { ...stay, name: session.name, resume: session.resume, epoch: session.epoch, by };
    this.me = { name: session.name, account: Boolean(session.account), role: session.role, by };
    this.person = session.person;
    keepStay(this.#stay);
    if (stay.token) this.#tabs.share(session.name, stay.token);
    await this.rooms.connect(session, before);
    this.room = this.rooms.get(tabStorage.get("room")) ?? this.room ?? null;
    this.#openAnother();
    if (this.room) await this.#load(this.room);
    this.phase = "inside";
    this.entering = false;
    this.otherTab = null;
    this.changed();
    await this.#acceptPass();
  }

  async #acceptPass() {
    const pass = this.#pass;
    if (!pass) return;
    this.#pass = null;
    try {
      await this.accept(pass);
    } catch (error) {
      if (error instanceof ConnectionLost) this.#pass = pass;
      else this.fails(error);
    }
  }

  /** If the open room is not there any more, open another one. */
  #openAnother() {
    if (this.rooms.get(this.room?.name) !== this.room || !this.room) this.room = this.rooms.first;
  }

  /** Get what somebody sees of a room. */
  async #load(room) {
    await room.load();
    const governs = room.online && room.kind !== "direct" && (GOVERNS.has(this.me.role) || room.owned);
    room.moderator = governs ? (room.moderator ?? (await this.person.moderate(room.name))) : null;
    this.changed();
  }

  #refused(error) {
    // Somebody who was inside has lost the name, and with it the stay; what was written is kept.
    const was = !this.rooms.empty;
    for (const room of this.rooms.values()) room.outbox.fail("name_lost");
    this.#stay = this.#hearing = null;
    tabStorage.set("stay", null);
    if (error.code === "unauthorized") lastingStorage.set("token", null);
    this.phase = was ? "name_lost" : "outside";
    this.lostName = this.me?.name ?? this.lostName;
    if (this.me) this.lostBy = error;
    this.me = null;
    this.error = error;
    this.entering = false;
    this.changed();
  }

  /** A connection has; whether there is to be another one. */
  #ended({ code, reason, final }) {
    // Taken over perhaps by ourselves: by an attempt before this one, which came late.
    if (code === Code.TAKEN_OVER && performance.now() < this.#doubtfulUntil) final = false;
    if (code === Code.TAKEN_OVER) this.#doubtfulUntil = 0;
    this.#session = null;
    this.person = disconnected;
    this.rooms.disconnect();
    this.changed();
    if (final) this.#end(code, reason);
    else if (code === Code.ACCOUNT_CAME && this.me) this.#refused({ code: "account_came" });
    return !final;
  }

  #end(code, reason) {
    this.entering = false;
    this.endedBy = reason;
    this.phase = { [Code.TAKEN_OVER]: "elsewhere", [Code.TOKEN_OVER]: "token_over" }[code] ?? "sent_away";
    this.me = null;
    if (code !== Code.TAKEN_OVER) tabStorage.set("stay", null);
  }

  #forgetAll() {
    this.rooms.forget();
    this.room = this.me = this.otherTab = this.error = this.#stay = null;
    this.#hearing = this.#session = null;
    this.entering = false;
    this.phase = "outside";
    forgetStay();
    this.changed();
  }
}
