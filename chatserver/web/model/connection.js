// One WebSocket with a Cap'n Web session on it, and when to try another one.
// Nothing here knows the chat.

import { newWebSocketRpcSession } from "capnweb";

export const Code = {
  LEAVING: 1000,
  // The connection is given up for another; the server does not take it for leaving.
  TRYING_AGAIN: 4000,
  TAKEN_OVER: 4001,
  ACCOUNT_CAME: 4002,
  TOKEN_OVER: 4003,
  SENT_AWAY: 4004,
};

/** Close codes after which coming back by oneself would be wrong; 1008 is a violated policy. */
const FINAL = new Set([1008, Code.TAKEN_OVER, Code.TOKEN_OVER, Code.SENT_AWAY]);

/** Close codes of a server that goes away: everybody is sent away at once, and spreads out. */
const CROWD = new Set([1001, 1012]);

/** How long an answer may take before the connection counts as dead: TCP would take minutes. */
const ANSWER_MS = 8_000;

/** How long nothing may come before the server is asked whether it is there. */
const SILENCE_MS = 30_000;

/** How long to wait when the server cannot answer for a moment. */
const AGAIN_MS = 1_000;

/** How long opening may take. */
const OPENING_MS = 10_000;

const FIRST_DELAY_MS = 1_000;

/** Below the server's grace (15 s): after a restart nobody comes too late for the own name. */
const LONGEST_DELAY_MS = 10_000;

/** How long a connection must have lasted for the next loss to count as a new one. */
const STABLE_MS = 10_000;

/** Where a series of attempts begins that should not begin at once: within 4 s. */
const SHAKY_ATTEMPT = 2;

/** The connection ended before the answer came. */
export class ConnectionLost extends Error {}

/** Stands for what is asked by calls while there is no connection. */
export const disconnected = new Proxy({}, {
  get: () => async () => {
    throw new ConnectionLost("There is no connection at the moment.");
  },
});

/** Whether an answer may be another one soon. */
export function passes(error) {
  return error instanceof ConnectionLost || error.code === "unavailable" || error.code === "rate_limited";
}

/** Wait before asking again; `seconds` is what the server has said, if it has. */
export function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000 || AGAIN_MS));
}

/** How long to wait before each attempt: exponential, with full jitter and a cap. */
export class Backoff {
  #attempt = 0;

  /** After the end of a connection, see `Line.closed`. */
  lost({ code, lasted }) {
    this.#attempt = lasted >= STABLE_MS ? 0 : Math.min(this.#attempt, SHAKY_ATTEMPT);
    if (CROWD.has(code)) this.#attempt = Math.max(this.#attempt, SHAKY_ATTEMPT);
  }

  nextDelay() {
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#attempt, LONGEST_DELAY_MS);
    if (longest < LONGEST_DELAY_MS) this.#attempt += 1;
    return Math.random() * longest;
  }
}

/**
 * One connection, from opening to its end.
 *
 * `main` is the server's main object. `opened` and `closed` are promises; `closed` always resolves,
 * with `{code, reason, final, lasted}`.
 */
export class Line {
  #socket;
  #over = false;
  #heardAt = performance.now();
  #end;
  #timers = new Set();

  constructor(url) {
    this.#socket = new WebSocket(url);
    this.main = newWebSocketRpcSession(this.#socket);
    this.closed = new Promise((resolve) => (this.#end = resolve));
    this.opened = new Promise((resolve, reject) => {
      this.#socket.addEventListener("open", resolve);
      this.closed.then(() => reject(new ConnectionLost("The connection was refused.")));
    });
    this.opened.catch(() => {});
    this.#socket.addEventListener("message", () => (this.#heardAt = performance.now()));
    this.#socket.addEventListener("close", ({ code, reason }) => this.#ended(code, reason));
    this.began = performance.now();
    const opening = this.#later(OPENING_MS, () => this.abandon());
    this.opened.then(() => {
      this.#cancel(opening);
      this.#listen();
    }, () => {});
  }

  /** Asked of the socket: the library tells of the end before this hears of it. */
  get over() {
    return this.#over || this.#socket.readyState > WebSocket.OPEN;
  }

  /** The answer to a call, or ConnectionLost if it does not come. */
  async answer(promise) {
    const overdue = this.#later(ANSWER_MS, () => this.abandon());
    // What the library says of a lost connection has many forms; this is one.
    const lost = this.closed.then(() => {
      throw new ConnectionLost("The connection was lost.");
    });
    lost.catch(() => {});
    try {
      return await Promise.race([promise, lost]);
    } catch (error) {
      throw this.over ? new ConnectionLost("The connection was lost.") : error;
    } finally {
      this.#cancel(overdue);
    }
  }

  /** End it on purpose. */
  close(code, reason) {
    this.#socket.close(code, reason);
    this.#ended(code, reason);
  }

  /** Give it up for another one, without waiting for a peer that may not be there any more. */
  abandon() {
    this.close(Code.TRYING_AGAIN, "Trying again.");
  }

  #listen() {
    this.#later(SILENCE_MS, async () => {
      if (performance.now() - this.#heardAt >= SILENCE_MS / 2) {
        await this.answer(this.main.userCount).catch(() => {});
      }
      if (!this.#over) this.#listen();
    });
  }

  #ended(code, reason) {
    if (this.#over) return;
    this.#over = true;
    this.#timers.forEach(clearTimeout);
    this.#end({ code, reason, final: FINAL.has(code), lasted: performance.now() - this.began });
  }

  #later(milliseconds, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, milliseconds);
    this.#timers.add(timer);
    return timer;
  }

  #cancel(timer) {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

/** The WebSocket beside this page. */
export function rpcAddress(base) {
  const url = new URL("rpc/ws", base);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = url.search = "";
  return url.href;
}
