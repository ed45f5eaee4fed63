// The reference serves big streams: WebSocket on any path. The first line of its output says where.

import { createServer } from "node:http";
import { RpcSession, RpcTarget, WebSocketTransport } from "capnweb";
import { WebSocket, WebSocketServer } from "ws";

globalThis.WebSocket ??= WebSocket;

class Streams extends RpcTarget {
  #given = 0;

  // n chunks of size bytes; `given` says how many have been asked for.
  give(n, size) {
    this.#given = 0;
    return new ReadableStream({
      pull: (controller) => {
        if (this.#given++ < n) controller.enqueue(new Uint8Array(size));
        else controller.close();
      },
    });
  }

  get given() {
    return this.#given;
  }

  async take(stream) {
    let bytes = 0;
    for await (const chunk of stream) bytes += chunk.length;
    return bytes;
  }

  // Reads one chunk, then none until `release` is called; how many bytes there were in all.
  async takeLate(stream) {
    const reader = stream.getReader();
    let { value } = await reader.read();
    let bytes = value.length;
    await new Promise((resolve) => { this.go = resolve; });
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return bytes;
      bytes += value.length;
    }
  }

  release() {
    this.go();
  }
}

const server = createServer();
new WebSocketServer({ server }).on("connection", (socket) => {
  new RpcSession(new WebSocketTransport(socket), new Streams());
});
server.listen(0, "127.0.0.1", () => {
  console.log(`ready ws://127.0.0.1:${server.address().port}/`);
});
