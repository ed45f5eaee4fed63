// The chat through the official library, unmodified, one request a line:
//
//   {"url": "ws://…", "scenario": NAME}  → {"observed": …}
//   when it throws                       → {"error": "…"}
//
// What is expected stands in test_chat.py.

import { isDeepStrictEqual } from "node:util";
import {
  newMessagePortRpcSession,
  newWebSocketRpcSession,
  RpcSession,
  RpcTarget,
  WebSocketTransport,
} from "capnweb";
import { WebSocket } from "ws";
import { answerEachLine } from "./lines.mjs";
import { until } from "./until.mjs";

// Node has had it since 22 only.
globalThis.WebSocket ??= WebSocket;

// What goes out on a socket before anything has come back since `clear` was called.
function outgoing(socket) {
  let kinds = [];
  let heard = false;
  const send = socket.send.bind(socket);
  socket.send = (message) => {
    if (!heard) kinds.push(JSON.parse(message)[0]);
    send(message);
  };
  socket.addEventListener("message", () => (heard = true));
  return {
    clear() {
      kinds = [];
      heard = false;
    },
    get kinds() {
      return kinds;
    },
  };
}

// A program of somebody's own that gets a room to speak in.
class Bot extends RpcTarget {
  #room;

  async work(room) {
    this.#room = room.dup();
    return (await room.say("beep")).id;
  }

  async again() {
    return outcome(this.#room.say("boop"));
  }

  rest() {
    this.#room[Symbol.dispose]();
  }
}

// What members hear.
class Listener extends RpcTarget {
  events = [];

  onMessage(event) {
    this.events.push(event);
  }
}

const ignore = { onMessage: () => {} };

function chat(events) {
  return events.filter(({ type }) => type === "chat").map(({ user, text }) => [user, text]);
}

async function outcome(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return [error.name, error.code ?? null];
  }
}

const scenarios = {
  async "join, send, receive, list and leave"(url) {
    const chatServer = newWebSocketRpcSession(url);
    const listener = new Listener();
    const welcome = await chatServer.join("Alice", listener);
    const sent = await chatServer.sendMessage("Alice", "Hello everyone!");
    await until(() => chat(listener.events).length > 0);
    const users = await chatServer.listUsers();
    const goodbye = await chatServer.leave("Alice");
    const message = listener.events.find(({ type }) => type === "chat");
    chatServer[Symbol.dispose]();
    return {
      welcome: welcome.message,
      members: Object.keys(welcome).sort(),
      heard: [message.user, message.text, message.time instanceof Date],
      same: [message.id === sent.id, message.time.getTime() === sent.time.getTime()],
      users,
      goodbye: goodbye.message,
    };
  },

  async "a plain object with a function as callback"(url) {
    const chatServer = newWebSocketRpcSession(url);
    const events = [];
    await chatServer.join("Alice", { onMessage: (event) => { events.push(event); } });
    await chatServer.sendMessage("Alice", "hi");
    await until(() => chat(events).length > 0);
    await chatServer.leave("Alice");
    chatServer[Symbol.dispose]();
    return chat(events);
  },

  async "two members hear each other in the same order"(url) {
    const servers = [newWebSocketRpcSession(url), newWebSocketRpcSession(url)];
    const listeners = [new Listener(), new Listener()];
    await servers[0].join("Alice", listeners[0]);
    await servers[1].join("Bob", listeners[1]);
    await servers[0].sendMessage("Alice", "hi Bob");
    await servers[1].sendMessage("Bob", "hi Alice");
    await until(() => listeners.every(({ events }) => chat(events).length === 2));
    await servers[0].leave("Alice");
    await servers[1].leave("Bob");
    for (const server of servers) server[Symbol.dispose]();
    return listeners.map(({ events }) => chat(events));
  },

  async "errors have codes, and the connection goes on"(url) {
    const chatServer = newWebSocketRpcSession(url);
    const other = newWebSocketRpcSession(url);
    await chatServer.join("Alice", ignore);
    const seen = {
      taken: await outcome(other.join("alice", ignore)),
      notJoined: await outcome(other.sendMessage("Alice", "not me")),
      noName: await outcome(chatServer.join("", ignore)),
      longName: await outcome(chatServer.join("x".repeat(33), ignore)),
      reserved: await outcome(chatServer.join("system", ignore)),
      noText: await outcome(chatServer.sendMessage("Alice", "")),
      longText: await outcome(chatServer.sendMessage("Alice", "x".repeat(4001))),
      longestText: await outcome(chatServer.sendMessage("Alice", "😀".repeat(4000))),
      noCallback: await outcome(chatServer.join("Carol", {})),
      wrongCallback: await outcome(chatServer.join("Carol", "a string")),
      tooFew: await outcome(chatServer.sendMessage("Alice")),
      wrongType: await outcome(chatServer.sendMessage("Alice", 7)),
      surplus: await outcome(chatServer.sendMessage("Alice", "hi", {}, "surplus")),
      unknownMethod: await outcome(chatServer.nonsense()),
      goesOn: await outcome(chatServer.leave("Alice")),
    };
    for (const server of [chatServer, other]) server[Symbol.dispose]();
    return seen;
  },

  async "absent options may be undefined, null or missing"(url) {
    const chatServer = newWebSocketRpcSession(url);
    await chatServer.join("Alice", ignore, undefined);
    await chatServer.join("Bob", ignore, null);
    await chatServer.join("Carol", ignore, { since: undefined, epoch: null });
    const users = await chatServer.listUsers();
    for (const user of users) await chatServer.leave(user);
    chatServer[Symbol.dispose]();
    return users;
  },

  async "a join, a message and the history in one round trip"(url) {
    const chatServer = newWebSocketRpcSession(url);
    const joined = chatServer.join("Alice", ignore);
    const sent = chatServer.sendMessage("Alice", "pipelined");
    const results = await Promise.all([joined.username, joined.users, sent.id, joined.lastId]);
    const history = await chatServer.getHistory({ limit: 1 });
    await chatServer.leave("Alice");
    chatServer[Symbol.dispose]();
    const [username, users, id, lastId] = results;
    return { username, users, later: id > lastId, history: chat(history) };
  },

  async "properties are read without a call"(url) {
    const chatServer = newWebSocketRpcSession(url);
    await chatServer.join("Alice", ignore);
    const before = await chatServer.messageCount;
    await chatServer.sendMessage("Alice", "one more");
    const seen = [await chatServer.userCount, await chatServer.messageCount - before];
    await chatServer.leave("Alice");
    chatServer[Symbol.dispose]();
    return seen;
  },

  async "whoever disposes of the main stub has left"(url) {
    const staying = newWebSocketRpcSession(url);
    const leaving = newWebSocketRpcSession(url);
    const listener = new Listener();
    await staying.join("Dora", listener);
    // Events of other scenarios may be gathered with these ones.
    const told = (kind) => listener.events.some(({ type, users }) =>
      type === kind && users.includes("Eve"));
    await leaving.join("Eve", ignore);
    await until(() => told("join"));  // Who leaves earlier is not told of.
    leaving[Symbol.dispose]();
    await until(() => told("leave"));
    const users = await staying.listUsers();
    await staying.leave("Dora");
    staying[Symbol.dispose]();
    return users;
  },

  async "logging in, entering and speaking is one round trip"(url) {
    const socket = new WebSocket(url);
    const chatServer = new RpcSession(new WebSocketTransport(socket)).getRemoteMain();
    await chatServer.about;
    const wire = outgoing(socket);
    wire.clear();
    const listener = new Listener();
    const { id } = await chatServer.login(listener, { name: "Ann" }).enter("gardening").say("hello");
    const { kinds } = wire;
    await until(() => chat(listener.events).length > 0);
    const heard = listener.events.find(({ type }) => type === "chat");
    chatServer[Symbol.dispose]();
    return { kinds, heard: [heard.room, heard.user, heard.text, heard.id === id] };
  },

  async "a room is handed on in a session of a program's own"(url) {
    const chatServer = newWebSocketRpcSession(url);
    const listener = new Listener();
    const person = chatServer.login(listener, { name: "Ann" });
    const room = await person.enter("workshop");
    const { port1, port2 } = new MessageChannel();
    newMessagePortRpcSession(port1, new Bot());
    const bot = newMessagePortRpcSession(port2);
    const shared = await room.share();
    const id = await bot.work(shared);
    await until(() => chat(listener.events).length > 0);
    const leaving = await outcome(shared.leave());
    const before = await bot.again();
    await person.logout();
    const after = await bot.again();
    await bot.rest();
    bot[Symbol.dispose]();
    chatServer[Symbol.dispose]();
    port1.close();
    port2.close();
    const [said] = listener.events.filter(({ type }) => type === "chat");
    return { said: [said.user, said.text, said.id === id], leaving, before, after };
  },

  // Needs the server of chat_tables_server.py.
  async "the tables of both sides after an hour in rooms"(url) {
    const session = new RpcSession(new WebSocketTransport(new WebSocket(url)));
    const chatServer = session.getRemoteMain();
    const tables = async () => {
      const theirs = await fetch(url.replace(/^ws/, "http").replace("/rpc/ws", "/tables"));
      return { ours: session.getStats(), theirs: await theirs.json() };
    };
    await chatServer.userCount;
    // Alone, once the connection of the scenario before is gone.
    const before = await until(async () => {
      const seen = await tables();
      return isDeepStrictEqual(seen.theirs, [{ imports: 1, exports: 1 }]) && seen;
    });
    const held = [];
    const hold = (promise) => {
      held.push(promise);
      return promise;
    };
    const listener = new Listener();
    const person = hold(chatServer.login(listener, { name: "Ann" }));
    const { name } = await person.me;
    for (const place of ["kitchen", "garden", "cellar"]) {
      const room = hold(person.enter(place));
      const { id } = await room.say("hello");
      await room.edit(id, "hello!");
      await room.react(id, "👍");
      await room.history();
      await room.people();
      await hold(room.share()).typing();
      await outcome(room.edit(1, "not mine"));
    }
    await hold(person.open({ title: "Ours" })).createPass();
    await outcome(person.enter("+nothing"));
    await until(() => listener.events.filter(({ type }) => type === "react").length === 3);
    await person.rooms();
    await person.logout();
    // One that is disposed of for each promise, also those that others were asked through.
    for (const promise of held) promise[Symbol.dispose]();
    let after;
    await until(async () => isDeepStrictEqual(after = await tables(), before)).catch(() => {});
    chatServer[Symbol.dispose]();
    return { before, after, name };
  },

  // Needs the server of chat_tables_server.py.
  async "the tables of both sides after 1,000 messages and a leave"(url) {
    const session = new RpcSession(new WebSocketTransport(new WebSocket(url)));
    const chatServer = session.getRemoteMain();
    const tables = async () => {
      const theirs = await fetch(url.replace(/^ws/, "http").replace("/rpc/ws", "/tables"));
      return { ours: session.getStats(), theirs: await theirs.json() };
    };
    await chatServer.userCount;
    const before = await tables();
    const listener = new Listener();
    await chatServer.join("Alice", listener);
    for (let n = 0; n < 1000; n += 50) {
      const texts = Array.from({ length: 50 }, (_, i) => `message ${n + i}`);
      await Promise.all(texts.map((text) => chatServer.sendMessage("Alice", text)));
    }
    await until(() => chat(listener.events).length === 1000);
    await chatServer.leave("Alice");
    let after;
    await until(async () => isDeepStrictEqual(after = await tables(), before)).catch(() => {});
    const inOrder = chat(listener.events).every(([, text], n) => text === `message ${n}`);
    chatServer[Symbol.dispose]();
    return { before, after, inOrder };
  },
};

await answerEachLine(async ({ url, scenario }) => {
  try {
    return { observed: await scenarios[scenario](url) };
  } catch (error) {
    return { error: error.stack };
  }
});
