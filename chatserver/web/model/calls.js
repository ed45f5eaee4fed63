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
  const [me, info] = await Promise.all([line.answer(person.me), line.answer(everybodys.info)]);
  const others = me.rooms.filter((room) => room.name !== lobby);
  return {
    ...me,
    person: personCalls(line, person),
    rooms: [
      { info, calls: roomCalls(line, () => everybodys) },
      ...others.map((room) => ({ info: room, calls: roomCalls(line, () => person.enter(room.name)) })),
    ],
    leave: () => line.answer(person.logout()),
  };
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
    /** What one may do to others in a room, or null. */
    moderate: async (room) => {
      const moderator = person.moderate(room);
      try {
        // It answers at once, and refuses if it is not one's to ask.
        await line.answer(moderator.sanctions({ limit: 1 }));
      } catch (error) {
        if (error.code === "forbidden" || error.code === "no_such_room") return null;
        throw error;
      }
      return Object.fromEntries(
        ["remove", "mute", "kick", "ban", "lift", "sanctions"].map((method) => [
          method,
          (...values) => line.answer(moderator[method](...values)),
        ]),
      );
    },
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
