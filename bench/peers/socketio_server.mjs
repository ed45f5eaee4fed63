// Peer: Socket.IO on Node, after its "Emit cheatsheet" and, for memory, its "Memory usage" page.
// Usage: node socketio_server.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { perMessageDeflate: false });
io.engine.on("connection", (rawSocket) => {
  rawSocket.request = null; // "Memory usage": the initial HTTP request is not kept
});
let lastId = 0;

io.on("connection", (socket) => {
  socket.on("join", (user, room) => {
    socket.data.user = user;
    if (room) {
      socket.data.room = room;
      socket.join(room);
    }
    socket.emit("welcome");
  });
  socket.on("chat", (text) => {
    const { user, room } = socket.data;
    const all = room ? io.to(room) : io;
    all.emit("message", { id: ++lastId, type: "chat", user, text, time: Date.now() });
  });
});

httpServer.listen(Number(process.argv[2]), "127.0.0.1");
