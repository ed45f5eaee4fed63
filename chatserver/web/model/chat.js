// The chat as one person in one tab has it: the connection and coming back, who one is, the rooms.
// The view reads its fields and calls its methods; it knows no browser but WebSocket and storage.

import { comeIn } from "./calls.js";
import { Backoff, Code, ConnectionLost, disconnected, Line, passes, rpcAddress } from "./connection.js";
import { Rooms } from "./rooms.js";
import { lastingStorage, tabStorage } from "./storage.js";
import { Tabs } from "./tabs.js";

/** Answers to coming in that will not change by asking again. */
const FINAL_ERRORS = new Set([
  "bad_request", "username_taken", "too_large", "too_many", "unauthorized", "forbidden",
]);

/**
 * Attributes for the view:
 *
 *     phase       `starting`, `outside`, `inside`, or how it ended: `elsewhere` (the stay goes on in
 *                 another tab or program), `sent_away`, `token_over`, `name_lost`
 *     connection  `{state: "connecting" | "online" | "offline", retryAt}`
 *     me          `{name, account, role}`, null outside
 *     about       what the server says of itself
 *     otherTab    a guest's stay that another tab has, `{name, resume, epoch}`, or null
 *     entering    whether coming in is under way
 *     error       why one could not come in: `{code, message}` of the server's, or null
 *     lostName    the name that somebody else has now, as the error `lostBy` said
 *     goal        the message that is to be shown of the open room, or null
 *     failure     what the last call said that did not work, or null
 *     rooms       those that one is in; `room` is the open one
 *     person      what this person can ask for; every call fails without a connection
 */
export class Chat {
  phase = "starting";
  connection = { state: "connecting", retryAt: null };
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
  #line = null;
  /** Stands for the callback that is listened to; one given before has nothing to say any more. */
  #hearing = null;
  #tabs;
  #address;
  #backoff = new Backoff();
  #stopped = false;
  #hurry = () => {};

  constructor(base) {
    this.#address = rpcAddress(base);
    this.#tabs = new Tabs(this.#address, () => (this.me ? this.#stay : null));
  }

  /** Begin. `invitation` is what the address said: `{token, pass}`. */
  start({ token, pass }) {
    this.#pass = pass;
    this.#decided = this.#decide(token);
    this.#run();
  }

  /** Find out who to come in as, if as anybody. */
  async #decide(token) {
    const kept = tabStorage.get("stay");
    const others = await this.#tabs.elsewhere();
    // A tab that was duplicated has the other one's stay: two tabs must not take it from each other.
    const mine = others.some(({ resume }) => resume === kept?.resume) ? null : kept;
    const lasting = token ?? lastingStorage.get("token");
    if (lasting) this.#stay = { ...(mine?.token === lasting ? mine : null), token: lasting };
    else if (mine && !mine.token) this.#stay = mine;
    else this.otherTab = others.find((stay) => !stay.token) ?? null;
    if (kept && !mine) this.rooms.forget();
    if (!this.#stay) this.phase = "outside";
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
    this.#stopped = false;
    this.phase = "starting";
    this.#comeIn(this.#stay);
    this.#run();
  }

  /** Begin again without what was before. */
  startAnew() {
    this.#forgetAll();
    if (this.#stopped) {
      this.#stopped = false;
      this.#run();
    }
  }

  /** Leave for good. */
  async leave() {
    const session = this.#session;
    this.#forgetAll();
    await session?.leave().catch(() => {}); // A lost connection ends the stay, too, a little later.
  }

  /** Whether the sign-in is to outlast this tab. */
  remember(lasting) {
    lastingStorage.set("token", lasting ? this.#stay.token : null);
    this.#keepStay();
    this.changed();
  }

  get remembered() {
    return lastingStorage.get("token") !== null;
  }

  /** The page goes away, perhaps to be loaded again: the name waits for a while. */
  suspend() {
    this.#keepStay();
    this.rooms.keep();
    for (const room of this.rooms.values()) room.reading.tell();
    this.#stopped = true;
    this.#line?.abandon();
    this.#tabs.hide();
  }

  /** The page is there again, from the browser's cache. */
  wake() {
    this.#tabs.show();
    if (!this.#stopped || this.phase !== "inside") return;
    this.#stopped = false;
    this.#run();
  }

  /** Do not wait for the next try. */
  retryNow() {
    this.#hurry();
  }

  /** The network is said to be gone. */
  offline() {
    this.#line?.abandon();
  }

  open(name) {
    this.failure = null;
    this.room = this.rooms.get(name) ?? this.room;
    tabStorage.set("room", name);
    this.#load(this.room).catch(this.fails);
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

  // --- coming and going

  #comeIn(stay) {
    this.error = null;
    this.entering = true;
    this.#stay = stay;
    this.changed();
    if (this.#line && this.connection.state === "online") this.#enterOn(this.#line);
    else this.#hurry();
  }

  async #run() {
    while (!this.#stopped) {
      this.#connection("connecting");
      const line = new Line(this.#address);
      try {
        await line.opened;
        this.about = await line.answer(line.main.about);
        await this.#decided;
        this.#line = line;
        if (this.#stay) await this.#enterOn(line);
        if (!line.over) this.#connection("online");
      } catch (error) {
        giveUp(line, error);
      }
      const { code, final, lasted } = await line.closed;
      this.#lost();
      if (this.#stopped) return;
      if (final) return this.#end(code);
      this.#backoff.lost(code, lasted);
      await this.#wait(this.#backoff.nextDelay());
    }
  }

  async #enterOn(line) {
    try {
      await this.#enter(line);
    } catch (error) {
      // Another connection is made, and comes in.
      giveUp(line, error);
    }
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
    this.#keepStay();
    await this.rooms.connect(session, before);
    this.room = this.rooms.get(tabStorage.get("room")) ?? this.room ?? null;
    this.#openAnother();
    await this.#load(this.room);
    this.phase = "inside";
    this.entering = false;
    this.otherTab = null;
    this.#connection("online");
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
    const governs = room.online && room.kind !== "direct" && (this.me.role || room.owned);
    room.moderator = governs ? await this.person.moderate(room.name) : null;
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
    this.#connection("online");
  }

  #lost() {
    this.#line = this.#session = null;
    this.person = disconnected;
    this.rooms.disconnect();
    this.changed();
  }

  #end(code) {
    this.#stopped = true;
    this.entering = false;
    this.phase = { [Code.TAKEN_OVER]: "elsewhere", [Code.TOKEN_OVER]: "token_over" }[code] ?? "sent_away";
    this.me = null;
    if (code !== Code.TAKEN_OVER) tabStorage.set("stay", null);
    this.#connection("offline");
  }

  #forgetAll() {
    this.rooms.forget();
    this.room = this.me = this.otherTab = this.error = this.#stay = null;
    this.#hearing = this.#session = null;
    this.entering = false;
    this.phase = "outside";
    for (const name of ["stay", "room"]) tabStorage.set(name, null);
    lastingStorage.set("token", null);
    this.changed();
  }

  #keepStay() {
    // A token is kept only by choice; without it, a reload is the end of the visit.
    const keeps = this.#stay && this.phase !== "elsewhere" && (!this.#stay.token || this.remembered);
    if (keeps) tabStorage.set("stay", this.#stay);
    else if (this.#stay?.token) tabStorage.set("stay", null);
  }

  async #wait(milliseconds) {
    this.#connection("offline", Date.now() + milliseconds);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = () => {};
  }

  #connection(state, retryAt = null) {
    this.connection = { state, retryAt };
    this.changed();
  }
}

/** The connection has failed; what nobody has foreseen is told to whoever looks. */
function giveUp(line, error) {
  if (!passes(error)) console.error(error);
  line.abandon();
}
