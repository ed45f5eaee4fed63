// A small chat server written with the official library: what a client of ours needs of the main
// object, one room, nothing kept. The first line of its output says where it is.

import { createServer } from "node:http";
import { RpcSession, RpcTarget, WebSocketTransport } from "capnweb";
import { WebSocket, WebSocketServer } from "ws";

// The transport compares ready states with this one's, which Node has had since 22 only.
globalThis.WebSocket ??= WebSocket;

const log = [];
const members = new Map();

function append(event) {
  const entry = { id: log.length + 1, time: new Date(), ...event };
  log.push(entry);
  for (const hear of members.values()) hear(entry)[Symbol.dispose]();
  return entry;
}

function notice(type, user, text) {
  return append({ type, user, text, users: [user], count: 1 });
}

// What to call with each event, and what to dispose of at the end.
function receiver(callback) {
  const isStub = typeof callback === "function";
  const kept = (isStub ? callback : callback.onMessage).dup();
  return [(event) => (isStub ? kept.onMessage(event) : kept(event)), kept];
}

function refuse(code, message) {
  return Object.assign(new Error(message), { code });
}

class Chat extends RpcTarget {
  #mine = new Map();
  #session;

  constructor(session) {
    super();
    this.#session = session;
  }

  join(username, callback) {
    if (members.has(username)) throw refuse("username_taken", `${username} is online.`);
    const [hear, kept] = receiver(callback);
    const lastId = log.length;
    members.set(username, hear);
    this.#mine.set(username, kept);
    notice("join", username, `${username} joined the chat`);
    return {
      message: `Welcome to the chat, ${username}!`, username, userCount: members.size,
      users: this.listUsers(), lastId, epoch: "one", resume: username, recovered: true,
    };
  }

  sendMessage(username, text) {
    if (!this.#mine.has(username)) throw refuse("not_joined", `${username} has not joined here.`);
    const { id, time } = append({ type: "chat", user: username, text });
    return { id, time };
  }

  listUsers() {
    return [...members.keys()];
  }

  leave(username) {
    members.delete(username);
    this.#mine.get(username)[Symbol.dispose]();
    this.#mine.delete(username);
    notice("leave", username, `${username} left the chat`);
    return { message: `Goodbye, ${username}!` };
  }

  get userCount() {
    return members.size;
  }

  get messageCount() {
    return log.filter(({ type }) => type === "chat").length;
  }

  // Not of the chat: for the test.
  tables() {
    return this.#session().getStats();
  }
}

const server = createServer();
new WebSocketServer({ server, path: "/rpc/ws" }).on("connection", (socket) => {
  const session = new RpcSession(new WebSocketTransport(socket), new Chat(() => session));
});
server.listen(0, "127.0.0.1", () => {
  console.log(`ready ws://127.0.0.1:${server.address().port}/rpc/ws`);
});
