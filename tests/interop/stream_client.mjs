// The reference's client reads, or writes, one big stream of a server of ours:
//   node stream_client.mjs URL read|write CHUNKS SIZE
// It prints the number of bytes that went through.

import { newWebSocketRpcSession } from "capnweb";
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;

const [url, direction, chunks, size] = process.argv.slice(2);
const main = newWebSocketRpcSession(url);
let bytes = 0;
if (direction === "read") {
  for await (const chunk of await main.give(Number(chunks), Number(size))) bytes += chunk.length;
} else {
  let given = 0;
  bytes = await main.take(new ReadableStream({
    pull(controller) {
      if (given++ < Number(chunks)) controller.enqueue(new Uint8Array(Number(size)));
      else controller.close();
    },
  }));
}
console.log(`bytes ${bytes}`);
main[Symbol.dispose]();
