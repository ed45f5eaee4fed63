// Serves one method with the reference implementation, on Node with `ws`. Usage: rpc_server.mjs PORT
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { RpcTarget, newWebSocketRpcSession } from "capnweb";

globalThis.WebSocket ??= WebSocket; // the package reads its constants; Node has it from 22 on

class Adder extends RpcTarget {
  add(a, b) {
    return a + b;
  }
}

const httpServer = createServer();
const webSockets = new WebSocketServer({ server: httpServer, perMessageDeflate: false });
webSockets.on("connection", (socket) => {
  newWebSocketRpcSession(socket, new Adder());
});
httpServer.listen(Number(process.argv[2]), "127.0.0.1");
