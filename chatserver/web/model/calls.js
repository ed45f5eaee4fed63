// How a chat is entered, and what it and its rooms are asked, as plain functions whose answers are
// promises. Coming in gives
//
//     {name, account, role, resume, epoch, lastId, recovered, rooms, person, leave()}
//
// where `rooms` are those that one is in, `{info, calls}`: what the server says of one, and what it
// is asked by.

import { RpcTarget } from "capnweb";
import { passes } from "./connection.js";

/** Names that one list brings at a time. */
const LIST = 500;

/** People whom the page knows by name in one room; of more, it knows how many they are. */
export const MOST_PEOPLE = 1_000;

/** Public rooms that somebody comes into who may not into everybody's. */
const INSTEAD = 20;

/** Answers of a room that is not for this person. */
const KEPT_OUT = new Set(["forbidden", "no_such_room"]);

/** What the server calls with each event. */
class Receiver extends RpcTarget {
  #hear;

  constructor(hear) {
    super();
    this.#hear = hear;
  }

  onMessage(event) {
    this.#hear(event);
  }
}

/**
 * Come in, or back. `stay` is `{name, token, resume, epoch, since}`, `lobby` the name of the room in
 * which everybody is; `hear(event)` gets the events.
 */
export async function comeIn(line, lobby, { name, token, ...stay }, hear) {
  const options = Object.fromEntries(
    ["resume", "epoch", "since"].filter((option) => stay[option]).map((option) => [option, stay[option]]),
  );
  const person = line.main.login(new Receiver(hear), { ...options, ...(token ? { token } : { name }) });
  const everybodys = person.enter(lobby);
  // One round trip for all of it.
  const [me, info] = await Promise.all([line.answer(person.me), unlessKeptOut(line.answer(everybodys.info))]);
  const calls = personCalls(line, person);
  const leave = () => line.answer(person.logout());
  const rooms = me.rooms
    .filter((room) => room.name !== lobby)
    .map((room) => ({ info: room, calls: roomCalls(line, () => person.enter(room.name)) }));
  if (!(info instanceof Error)) rooms.unshift({ info, calls: roomCalls(line, () => everybodys) });
  else if (!rooms.length) rooms.push(...(await enterOthers(calls)));
  if (!rooms.length) {
    await leave();
    throw info;
  }
  return { ...me, person: calls, rooms, leave };
}

/** The answer, or the error that says that this is not for this person. */
export function unlessKeptOut(answer) {
  return answer.catch((error) => {
    if (KEPT_OUT.has(error.code)) return error;
    throw error;
  });
}

/** Whoever is banned from everybody's room, or has a token for others, is in the rooms that there are. */
async function enterOthers({ visible, enter }) {
  const open = (await visible()).filter(({ kind }) => kind === "public").slice(0, INSTEAD);
  const entered = await Promise.all(open.map(({ name }) => unlessKeptOut(enter(name))));
  return entered.filter((room) => !(room instanceof Error));
}

function personCalls(line, person) {
  /** Ways into a room: they answer with what `rooms` has. */
  const arrive = (method) => async (...values) => {
    const room = person[method](...values);
    return { info: await line.answer(room.info), calls: roomCalls(line, () => room) };
  };
  return {
    visible: () => everything((page) => line.answer(person.rooms(page)), ({ name }) => name),
    enter: arrive("enter"),
    open: arrive("open"),
    direct: arrive("direct"),
    accept: arrive("accept"),
    block: (...values) => line.answer(person.block(...values)),
    blocked: () => everything((page) => line.answer(person.blocked(page)), (name) => name),
    /** What one may do to others in a room, or null. */
    moderate: async (room) => {
      const moderator = await unlessKeptOut(line.answer(person.moderate(room)));
      if (moderator instanceof Error) return null;
      const method = (name) => (...values) => line.answer(moderator[name](...values));
      return {
        ...Object.fromEntries(["remove", "mute", "kick", "ban", "lift"].map((name) => [name, method(name)])),
        sanctions: () => everything(method("sanctions"), ({ id }) => id),
      };
    },
    renew: (...values) => line.answer(person.renew(...values)),
  };
}

/** What a room is asked by; `enter()` gives the server's object for it, when it is asked first. */
function roomCalls(line, enter) {
  let room = null;
  const ask = (call) => async (...values) => {
    room ??= enter();
    try {
      return await line.answer(call(room, values));
    } catch (error) {
      if (passes(error)) room = null; // It may be the entering that has failed.
      throw error;
    }
  };
  const method = (name) => ask((room, values) => room[name](...values));
  const people = method("people");
  return {
    info: ask((room) => room.info),
    people: () => everything(people, ({ name }) => name, MOST_PEOPLE),
    ...Object.fromEntries(
      ["say", "history", "events", "typing", "edit", "remove", "react", "read", "setTopic", "createPass",
        "revokePasses", "handOn", "close", "leave"].map((name) => [name, method(name)]),
    ),
  };
}

/** All of a list that comes in parts, or about `most` of it; `keyOf` is what the next part comes after. */
async function everything(ask, keyOf, most = Infinity) {
  const all = [];
  for (let after; ; after = keyOf(all.at(-1))) {
    const part = await ask(after === undefined ? { limit: LIST } : { after, limit: LIST });
    all.push(...part);
    if (part.length < LIST || all.length >= most) return all;
  }
}
