// Peer: the reference implementation of Cap'n Web on Node with `ws`, after "HTTP server on Node.js" in its
// README. The same wire as ours; each `onMessage` is awaited, as code written against its stubs does.
// Usage: node capnweb_server.mjs PORT
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { RpcTarget, newWebSocketRpcSession } from "capnweb";

globalThis.WebSocket ??= WebSocket; // the package reads its constants; Node has it from 22 on

const members = new Map(); // name → the stub of its callback
let lastId = 0;

class Chat extends RpcTarget {
  #user = "";

  join(user, callback) {
    this.#user = user;
    members.set(user, callback.dup()); // an argument's stub ends with the call, a duplicate stays
    return { message: `Welcome to the chat, ${user}!` };
  }

  async sendMessage(_user, text) {
    const event = { id: ++lastId, type: "chat", user: this.#user, text, time: new Date() };
    await Promise.all([...members.values()].map((callback) => callback.onMessage(event)));
    return { id: event.id, time: event.time };
  }

  [Symbol.dispose]() {
    members.get(this.#user)?.[Symbol.dispose]();
    members.delete(this.#user);
  }
}

const httpServer = createServer();
const webSockets = new WebSocketServer({ server: httpServer, perMessageDeflate: false });
webSockets.on("connection", (socket) => {
  newWebSocketRpcSession(socket, new Chat());
});
httpServer.listen(Number(process.argv[2]), "127.0.0.1");
