// The rooms that one person is in, as they come and go. Which they are is the server's to say;
// which of them was looked at last, and what one wrote there, outlives the connection.

import { unlessKeptOut } from "./calls.js";
import { Room } from "./room.js";
import { tabStorage } from "./storage.js";

/** A stay that goes on in the same log, as far as a room that was just entered is concerned. */
const GOES_ON = { sameStay: true, sameLog: true };

export class Rooms {
  #owner;
  #byName = new Map();
  #session = null;
  /** The last event that came, of any room: what comes after it was not told. */
  #heard = 0;
  /** Events that come before the rooms are there. */
  #early = null;
  /** By room, events of those that one has got into just now, and that are not known yet. */
  #strays = new Map();

  /** `owner` is the chat, see `Room`; its `came(room)` is called with each room that is there anew. */
  constructor(owner) {
    this.#owner = owner;
    for (const info of tabStorage.get("rooms") ?? []) this.#add(info);
  }

  get(name) {
    return this.#byName.get(name);
  }

  values() {
    return [...this.#byName.values()];
  }

  get first() {
    return this.values()[0] ?? null;
  }

  get empty() {
    return this.#byName.size === 0;
  }

  /** The last event that nothing is missing before. */
  get since() {
    return Math.min(this.#heard, ...this.values().map(({ missesAfter }) => missesAfter));
  }

  /** Coming in is under way: what is told meanwhile waits. */
  expect() {
    this.#early = [];
  }

  /** Somebody has come in, or back, see `comeIn`; `before` says what was before, see `Room.connect`. */
  async connect(session, before) {
    this.#session = session;
    this.#strays.clear();
    if (!before.sameLog || !before.recovered || !before.since) this.#heard = session.lastId;
    const inside = new Map(session.rooms.map((entered) => [entered.info.name, entered]));
    if (!before.sameStay) await this.#comeAgain(inside);
    for (const room of this.values()) if (!inside.has(room.name)) this.#end(room);
    const connecting = [...inside.values()].map(({ info, calls }) => {
      const room = this.get(info.name) ?? this.#add(info);
      return room.connect(calls, info, { ...before, lastId: session.lastId });
    });
    const early = this.#early;
    this.#early = null;
    for (const event of early) this.receive(event);
    this.keep();
    await Promise.all(connecting);
  }

  /** A new stay goes where the one before was, as far as everybody may. */
  async #comeAgain(inside) {
    const open = this.values().filter(({ name, kind, over }) => kind === "public" && !over && !inside.has(name));
    const entered = await Promise.all(open.map(({ name }) => unlessKeptOut(this.#session.person.enter(name))));
    for (const room of entered) if (!(room instanceof Error)) inside.set(room.info.name, room);
  }

  /** Have a room that the server has let one into: by entering, opening, accepting a pass. */
  async have({ info, calls }) {
    const known = this.get(info.name);
    const room = known ?? this.#add(info);
    if (!room.online) {
      const connected = room.connect(calls, info, { ...GOES_ON, sameStay: !known, lastId: 0 });
      for (const event of this.#strays.get(info.name) ?? []) room.receive(event);
      this.#strays.delete(info.name);
      this.keep();
      await connected;
    }
    return room;
  }

  receive(event) {
    if (this.#early) {
      this.#early.push(event);
      return;
    }
    const isNew = event.id > this.#heard; // Or told again, to who comes back.
    if (isNew) this.#heard = event.id;
    const room = this.get(event.room);
    if (room && !room.over) {
      room.receive(event);
      if (this.#leaves(event)) this.#end(room);
    } else if (event.room === "*") {
      if (event.type === "notice" && isNew) this.#owner.hearAnnouncement(event);
    } else if (event.id) {
      this.#meet(event);
    }
  }

  /** Whether one is not in the room any more after this. An account stays in everybody's room while it is away. */
  #leaves({ type, room, users }) {
    const { me, about } = this.#owner;
    return type === "leave" && users.includes(me.name) && !(me.account && room === about.lobby);
  }

  /** Somebody has begun a conversation, or one is about to learn that one is inside. */
  #meet(event) {
    const strays = this.#strays.get(event.room);
    if (strays) {
      strays.push(event);
      return;
    }
    this.#strays.set(event.room, [event]);
    if (event.type !== "chat" || !event.room.startsWith("@")) return;
    this.#session.person.enter(event.room).then((entered) => this.have(entered), () => {
      this.#strays.delete(event.room); // It ended at once, or the connection did: coming back tells.
    });
  }

  /** Leave a room, or end it for everybody: by the call of this name. */
  async leave(room, call) {
    if (!room.over) await room.calls[call]();
    room.disconnect();
    room.forget();
    this.#byName.delete(room.name);
    this.keep();
  }

  /** The connection is gone. */
  disconnect() {
    this.#session = this.#early = null;
    for (const room of this.values()) room.disconnect();
  }

  keep() {
    const rooms = this.values().filter(({ over }) => !over);
    tabStorage.set("rooms", rooms.map(({ name, kind, title, topic }) => ({ name, kind, title, topic })));
    for (const room of this.values()) room.keep();
  }

  forget() {
    for (const room of this.values()) room.forget();
    this.#byName.clear();
    this.#strays.clear();
    this.#heard = 0;
    this.#early = null;
    tabStorage.set("rooms", null);
  }

  #add(info) {
    const room = new Room(info, this.#owner);
    this.#byName.set(room.name, room);
    return room;
  }

  /** One is not in it any more. What one can still read, or had not sent, stays until it is put away. */
  #end(room) {
    room.end();
    if (!room.hasSomething) {
      room.forget();
      this.#byName.delete(room.name);
    }
    this.keep();
  }
}
