// What is to be said in one room: sent in order, one after another, again until it is answered.
// Its key makes a repetition harmless, so a message is stored once however often it is sent.

import { ConnectionLost, passes, pause } from "./connection.js";

/**
 * Entries are `{key, text, replyTo, state, tried, after, id, error}`. State: `waiting` (for its turn or
 * the connection), `sending`, `sent` (answered; its event is still to come), `failed`.
 */
export class Outbox {
  #send = null;
  #changed;
  #pumping = false;

  /** `changed()` is called after each change. */
  constructor(entries, changed) {
    // Whether what was being sent has arrived is not known any more: it goes again, with its key.
    this.entries = entries.map((entry) => ({ ...entry, state: entry.state === "failed" ? "failed" : "waiting" }));
    this.#changed = changed;
  }

  /** What is not known to be in the log. */
  get open() {
    return this.entries.filter((entry) => entry.state !== "sent" && !entry.seen);
  }

  /** `after` is the last event before it: where to look for it should the stay end. */
  add(text, replyTo, after) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.entries = [...this.entries, { key, text, replyTo, after, state: "waiting", at: Date.now() }];
    this.#changed();
    this.#pump();
  }

  /** The connection is there: `send(entry)` returns the promise of an answer `{id}`. */
  begin(send) {
    this.#send = send;
    this.#pump();
  }

  /** The connection is gone. */
  pause() {
    this.#send = null;
  }

  /** Try one again that has failed. */
  retry(entry) {
    this.#change(entry, { state: "waiting", error: undefined });
    this.#pump();
  }

  /** Forget one that has failed; what it said. */
  discard(entry) {
    this.#remove(entry);
    return entry.text;
  }

  /** All that is open is not sent by itself any more: whoever said it is somebody else now. */
  fail(error) {
    for (const entry of this.open) this.#change(entry, { state: "failed", error });
  }

  /** An event of one's own name has come; whether it is one of these. */
  saw({ id, text }) {
    const entry =
      this.entries.find((entry) => entry.id === id) ??
      this.entries.find((entry) => entry.state !== "failed" && entry.tried && !entry.seen && entry.text === text);
    if (!entry) return false;
    if (entry.state === "sent") this.#remove(entry);
    else this.#change(entry, { seen: id }); // The answer is still to come.
    return true;
  }

  /**
   * A stay has ended, and with it the meaning of its keys. `said` are the texts of one's own since
   * then: those are in the log. The others are not, and go out anew.
   */
  reconcile(said) {
    const left = [...said];
    for (const entry of [...this.entries]) {
      const found = left.indexOf(entry.text);
      if (entry.seen || (entry.tried && found >= 0)) {
        if (found >= 0) left.splice(found, 1);
        this.#remove(entry);
      }
    }
  }

  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let entry; this.#send && (entry = this.entries.find(({ state }) => state === "waiting")); ) {
        await this.#try(entry);
      }
    } finally {
      this.#pumping = false;
    }
  }

  async #try(entry) {
    const send = this.#send;
    entry = this.#change(entry, { state: "sending", tried: true });
    try {
      const { id } = await send(entry);
      entry = this.#current(entry);
      if (entry?.seen) this.#remove(entry);
      else if (entry) this.#change(entry, { state: "sent", id });
      return;
    } catch (error) {
      entry = this.#current(entry);
      if (!entry) return;
      if (error instanceof ConnectionLost) {
        if (this.#send === send) this.#send = null;
        this.#change(entry, { state: "waiting" });
      } else if (passes(error)) {
        this.#change(entry, { state: "waiting" });
        await pause(error.retryAfter);
      } else {
        this.#change(entry, { state: "failed", error: error.message });
      }
    }
  }

  #current(entry) {
    return this.entries.find(({ key }) => key === entry.key);
  }

  /** Entries are replaced, not changed, so that a view sees by identity what is new. */
  #change(entry, changes) {
    const changed = { ...entry, ...changes };
    this.entries = this.entries.map((other) => (other.key === entry.key ? changed : other));
    this.#changed();
    return changed;
  }

  #remove(entry) {
    this.entries = this.entries.filter(({ key }) => key !== entry.key);
    this.#changed();
  }
}
