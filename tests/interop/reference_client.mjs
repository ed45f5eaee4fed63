// The reference's client plays the scenarios, one request a line:
//
//   {"url": "ws://…", "scenario": NAME}    → {"observed": …, "before": SIZES, "after": SIZES}
//   {"url": "http://…", "scenario": NAME}  → {"observed": …}, in one HTTP batch
//   when it throws                         → {"error": "…", …}
//
// SIZES are those of the tables, [the client's, the server's]. After the scenario they are awaited
// to be as before, with a deadline; its last look is what it answers.

import { isDeepStrictEqual } from "node:util";
import { newHttpBatchRpcSession, RpcSession, WebSocketTransport } from "capnweb";
import { WebSocket } from "ws";
import { answerEachLine } from "./lines.mjs";
import { batches, ClientMain, scenarios } from "./scenarios.mjs";
import { until } from "./until.mjs";

// The transport compares ready states with this one's, which Node has had since 22 only.
globalThis.WebSocket ??= WebSocket;

async function inOneBatch(url, scenario) {
  try {
    return { observed: await batches[scenario](newHttpBatchRpcSession(url)) };
  } catch (error) {
    return { error: error.stack };
  }
}

async function overWebSocket(url, scenario) {
  const session = new RpcSession(new WebSocketTransport(new WebSocket(url)), new ClientMain());
  const main = session.getRemoteMain();
  const sizes = async () => [session.getStats(), await main.stats()].map(
    ({ imports, exports }) => ({ imports, exports }));
  const result = { before: await sizes() };
  try {
    result.observed = await scenarios[scenario](main);
    await until(async () => {
      result.after = await sizes();
      return isDeepStrictEqual(result.after, result.before);
    }, "the tables are as they were").catch(() => {});
  } catch (error) {
    result.error = error.stack;
  }
  main[Symbol.dispose]();
  return result;
}

await answerEachLine(({ url, scenario }) =>
  (url.startsWith("http") ? inOneBatch : overWebSocket)(url, scenario));
