// Peer: `ws` on Node with plain frames, after the "Server broadcast" example of its README.
// Usage: node ws_server.mjs PORT
import WebSocket, { WebSocketServer } from "ws";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
});
let lastId = 0;

server.on("connection", (socket) => {
  let user = "";
  socket.on("error", console.error);
  socket.on("message", (data) => {
    const request = JSON.parse(data);
    if (request.type === "join") {
      user = request.user;
      socket.send(JSON.stringify({ type: "welcome" }));
      return;
    }
    const event = { id: ++lastId, type: "chat", user, text: request.text, time: Date.now() };
    const message = JSON.stringify(event);
    server.clients.forEach((client) => {
      if (client.readyState === WebSocket.OPEN) client.send(message);
    });
  });
});
