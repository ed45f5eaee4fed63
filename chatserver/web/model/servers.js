// How a chat is entered and what its rooms are asked: by the lobby's calls, which every server
// knows, or, where `about` answers, as a person with rooms. Both give the same:
//
//   {name, account, role, resume, epoch, lastId, recovered, rooms, room(info), leave(), person}
//
// `rooms` are those that one is in, `room(info)` is what a room is asked by. What it `can` do is
// what the page offers; the lobby of a server without rooms can `say` and tell its `history`.

import { RpcTarget } from "capnweb";

/** What the lobby is called where the server does not say. */
export const LOBBY = "lobby";

/** Names that one list brings at a time. */
const LIST = 200;

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

/** What the server says of itself; null if it has the lobby alone. */
export async function aboutOf(line) {
  try {
    return (await line.answer(line.main.about)) ?? null;
  } catch (error) {
    if (line.over) throw error;
    return null;
  }
}

/** Come in, or back. `stay` is `{name, token, resume, epoch, since}`; `hear(event)` gets the events. */
export function comeIn(line, about, stay, hear) {
  const receiver = new Receiver(hear);
  const options = Object.fromEntries(
    ["resume", "epoch", "since"].filter((name) => stay[name]).map((name) => [name, stay[name]]),
  );
  return about
    ? logIn(line, about, receiver, { ...options, ...(stay.token ? { token: stay.token } : { name: stay.name }) })
    : joinLobby(line, stay.name, receiver, options);
}

async function joinLobby(line, name, receiver, options) {
  const { main } = line;
  const answer = await line.answer(main.join(name, receiver, options));
  const { username, users, userCount } = answer;
  return {
    ...answer,
    name: username,
    account: false,
    role: null,
    person: null,
    rooms: [{ name: LOBBY, kind: "public", inside: true, people: userCount }],
    room: () => ({
      can: new Set(),
      say: (text, { key }) => line.answer(main.sendMessage(username, text, { key })),
      history: (wanted) => line.answer(main.getHistory(wanted)),
      people: async () => {
        const names = users.length === userCount ? users : await line.answer(main.listUsers());
        return names.map((name) => ({ name, online: true }));
      },
    }),
    leave: () => line.answer(main.leave(username)),
  };
}

const ROOM_ABILITIES = ["edit", "remove", "react", "reply", "typing", "read", "events"];

async function logIn(line, about, receiver, options) {
  const person = line.main.login(receiver, options);
  const me = await line.answer(person.me);
  const rooms = await everything((page) => line.answer(person.rooms(page)), ({ name }) => name);
  if (!rooms.some(({ name, inside }) => name === about.lobby && inside)) {
    const lobby = person.enter(about.lobby);
    const info = await line.answer(lobby.info);
    rooms.unshift({ ...info, inside: true });
  }
  return {
    ...me,
    person: personCalls(line, person),
    rooms: rooms.filter(({ inside }) => inside),
    room: ({ name }) => roomCalls(line, person.enter(name), me),
    leave: () => line.answer(person.logout()),
  };
}

function personCalls(line, person) {
  const ask = (method) => (...values) => line.answer(person[method](...values));
  const opened = (method) => async (...values) => line.answer(person[method](...values).info);
  return {
    visible: () => everything((page) => line.answer(person.rooms(page)), ({ name }) => name),
    enter: opened("enter"),
    open: opened("open"),
    direct: opened("direct"),
    accept: opened("accept"),
    block: ask("block"),
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

function roomCalls(line, room) {
  const ask = (method) => (...values) => line.answer(room[method](...values));
  return {
    can: new Set(ROOM_ABILITIES),
    say: ask("say"),
    history: ask("history"),
    events: ask("events"),
    people: () => everything((page) => line.answer(room.people(page)), ({ name }) => name),
    ...Object.fromEntries(
      ["typing", "edit", "remove", "react", "read", "setTopic", "createPass", "revokePasses",
        "handOn", "close", "leave"].map((method) => [method, ask(method)]),
    ),
  };
}

/** All of a list that comes in parts; `keyOf` is what the next part comes after. */
async function everything(ask, keyOf) {
  const all = [];
  for (let after; ; after = keyOf(all.at(-1))) {
    const part = await ask(after === undefined ? { limit: LIST } : { after, limit: LIST });
    all.push(...part);
    if (part.length < LIST) return all;
  }
}
