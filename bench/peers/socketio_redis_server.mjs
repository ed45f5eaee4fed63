// Peer: Socket.IO on Node in several processes, joined by Redis as its page "Redis adapter"
// recommends for new developments: the sharded adapter. Members open WebSockets at once, so no
// process has to be found again and the sticky sessions of the page "Using multiple nodes" are not
// needed; `node:cluster` shares the port. Otherwise as socketio_server.mjs.
// Usage: node socketio_redis_server.mjs PORT REDIS_URL PROCESSES
import cluster from "node:cluster";
import { createServer } from "node:http";
import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url, processes] = process.argv.slice(2);

if (cluster.isPrimary) {
  for (let number = 0; number < Number(processes); number++) cluster.fork();
} else {
  const pubClient = createClient({ url });
  const subClient = pubClient.duplicate();
  await Promise.all([pubClient.connect(), subClient.connect()]);

  const httpServer = createServer();
  const io = new Server(httpServer, {
    adapter: createShardedAdapter(pubClient, subClient),
    perMessageDeflate: false,
  });
  io.engine.on("connection", (rawSocket) => {
    rawSocket.request = null; // "Memory usage": the initial HTTP request is not kept
  });
  let lastId = 0;

  io.on("connection", (socket) => {
    socket.on("join", (user) => {
      socket.data.user = user;
      socket.emit("welcome");
    });
    socket.on("chat", (text) => {
      const user = socket.data.user;
      io.emit("message", { id: ++lastId, type: "chat", user, text, time: Date.now() });
    });
  });

  httpServer.listen(Number(port), "127.0.0.1");
}
