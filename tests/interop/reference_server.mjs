// The reference serves the scenarios: WebSocket on /rpc/ws, HTTP batch on /rpc/batch. The first
// line of its output says where, once it accepts connections.

import { createServer } from "node:http";
import { nodeHttpBatchRpcResponse, RpcSession, WebSocketTransport } from "capnweb";
import { WebSocket, WebSocketServer } from "ws";
import { Main } from "./scenario_api.mjs";

// The transport compares ready states with this one's, which Node has had since 22 only.
globalThis.WebSocket ??= WebSocket;

const server = createServer((request, response) => {
  if (request.url === "/rpc/batch") {
    nodeHttpBatchRpcResponse(request, response, new Main());
  } else {
    response.writeHead(404).end();
  }
});

new WebSocketServer({ server, path: "/rpc/ws" }).on("connection", (socket) => {
  const session = new RpcSession(new WebSocketTransport(socket), new Main(() => session));
});

server.listen(0, "127.0.0.1", () => {
  console.log(`ready ws://127.0.0.1:${server.address().port}/rpc/ws`);
});
