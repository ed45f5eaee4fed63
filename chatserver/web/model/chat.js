// The chat as one person in one tab has it: the connection and coming back, who one is, the rooms.
// The view reads its fields and calls its methods; it knows no browser but WebSocket and storage.

import { Backoff, Code, ConnectionLost, Line, passes, rpcAddress } from "./connection.js";
import { Room } from "./room.js";
import { aboutOf, comeIn } from "./servers.js";
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
 *     about       what the server says of itself; null if it has the lobby alone
 *     otherTab    a guest's stay that another tab has, `{name, resume, epoch}`, or null
 *     entering    whether coming in is under way
 *     error       why one could not come in: `{code, message}` of the server's, or null
 *     lostName    the name that somebody else has now, as the error `lostBy` said
 *     uninvited   whether the address had an invitation that the server knows nothing of
 *     failure     what the last call said that did not work, or null
 *     rooms       by name; `room` is the open one
 *     person      the calls of somebody who has rooms; null where the server has none
 */
export class Chat {
  phase = "starting";
  connection = { state: "connecting", retryAt: null };
  me = null;
  about = null;
  otherTab = null;
  entering = false;
  error = null;
  rooms = new Map();
  room = null;
  person = null;
  lostName = null;
  lostBy = null;
  uninvited = false;
  failure = null;

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
    for (const room of this.rooms.values()) room.keep();
    this.#stopped = true;
    this.#line?.abandon();
  }

  /** The page is there again, from the browser's cache. */
  wake() {
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
    this.changed();
  }

  /** Have a room that the server has let one into: by entering, opening, accepting a pass. */
  async have(info) {
    const known = this.rooms.get(info.name);
    const room = known ?? this.#addRoom(info);
    if (!known || !room.online) {
      const going = { sameStay: true, sameLog: true, recovered: true };
      await room.connect(this.#session.room(info), { lastId: info.lastId }, going);
      await this.#learnModeration(room);
    }
    this.open(room.name);
    return room;
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
        this.about = await aboutOf(line);
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
    if (stay.token && !this.about) {
      this.#stay = null;
      this.uninvited = true;
      this.phase = "outside";
      return;
    }
    const since = Math.max(0, ...[...this.rooms.values()].map(({ timeline }) => timeline.lastId));
    // What comes before the rooms are there waits for them.
    let early = [];
    const hearing = (this.#hearing = {});
    const hear = (event) => {
      if (line.over || this.#hearing !== hearing) return;
      if (early) early.push(event);
      else this.#receive(event);
    };
    let session;
    try {
      session = await comeIn(line, this.about, { ...stay, since }, hear);
    } catch (error) {
      if (!FINAL_ERRORS.has(error.code) && (line.over || passes(error))) throw error;
      this.#refused(error);
      return;
    }
    if (this.#stay !== stay) return; // Left, or begun anew, meanwhile.
    const before = {
      sameStay: session.resume === stay.resume,
      sameLog: session.epoch === stay.epoch,
      recovered: !since || session.recovered,
    };
    this.#session = session;
    this.#stay = { ...stay, name: session.name, resume: session.resume, epoch: session.epoch };
    this.me = { name: session.name, account: Boolean(session.account), role: session.role };
    this.person = session.person;
    this.#keepStay();
    const inside = new Set(session.rooms.map(({ name }) => name));
    for (const room of [...this.rooms.values()]) if (!inside.has(room.name)) this.#drop(room);
    const rooms = session.rooms.map((info) => [info, this.rooms.get(info.name) ?? this.#addRoom(info)]);
    const connecting = rooms.map(([info, room]) => {
      room.update(info);
      return room.connect(session.room(info), session, before);
    });
    for (const event of early) this.#receive(event);
    early = null;
    await Promise.all(connecting);
    this.room = this.rooms.get(tabStorage.get("room")) ?? this.room ?? rooms[0][1];
    this.phase = "inside";
    this.entering = false;
    this.otherTab = null;
    this.#connection("online");
    await Promise.all([...this.rooms.values()].map((room) => this.#learnModeration(room)));
    await this.#acceptPass();
  }

  async #acceptPass() {
    const pass = this.#pass;
    if (!pass || !this.person) return;
    this.#pass = null;
    try {
      await this.have(await this.person.accept(pass));
    } catch (error) {
      if (error instanceof ConnectionLost) this.#pass = pass;
      else this.error = error;
    }
    this.changed();
  }

  async #learnModeration(room) {
    room.moderator = this.person && room.kind !== "direct" ? await this.person.moderate(room.name) : null;
    this.changed();
  }

  #receive(event) {
    const room = this.rooms.get(event.room) ?? (this.person ? null : this.rooms.values().next().value);
    if (room) {
      room.receive(event);
      if (event.type === "leave" && this.person && event.users?.includes(this.me.name)) this.#drop(room);
    } else if (event.type === "notice" && event.room === "*") {
      for (const each of this.rooms.values()) each.receive({ ...event, prev: undefined });
    } else if (event.type === "chat" && this.person) {
      // Somebody has begun a conversation with this person.
      this.#session.person.enter(event.room).then((info) => {
        if (!this.rooms.has(info.name)) return this.#joinQuietly(info);
      }).catch(() => {}); // It ended at once, or the connection did: coming back tells.
    }
  }

  async #joinQuietly(info) {
    const room = this.#addRoom(info);
    const going = { sameStay: true, sameLog: true, recovered: true };
    await room.connect(this.#session.room(info), { lastId: info.lastId }, going);
    room.unread = info.unread ?? room.unread;
    this.changed();
  }

  #addRoom(info) {
    const room = new Room(info, this);
    this.rooms.set(room.name, room);
    return room;
  }

  #drop(room) {
    room.disconnect();
    room.forget();
    this.rooms.delete(room.name);
    if (this.room === room) this.room = this.rooms.values().next().value ?? null;
    this.changed();
  }

  #refused(error) {
    // Somebody who was inside has lost the name, and with it the stay; what was written is kept.
    const was = this.rooms.size > 0;
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
    this.person = null;
    for (const room of this.rooms.values()) room.disconnect();
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
    for (const room of this.rooms.values()) room.forget();
    this.rooms = new Map();
    this.room = this.me = this.person = this.otherTab = this.error = this.#stay = null;
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
