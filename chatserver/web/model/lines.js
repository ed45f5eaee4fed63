// One connection after another, for as long as somebody wants to be connected.

import { Backoff, Line, passes } from "./connection.js";

export class Lines {
  /** `{state: "connecting" | "online" | "offline", retryAt}`. */
  state = { state: "connecting", retryAt: null };

  #address;
  #begin;
  #ended;
  #changed;
  #line = null;
  #stopped = true;
  #backoff = new Backoff();
  #hurry = () => {};

  /**
   * `begin(line)` is awaited for each that is open; if it fails, there is another one. `ended` is
   * called with what `line.closed` says, and says whether to go on; `changed()` after each change.
   */
  constructor(address, { begin, ended, changed }) {
    this.#address = address;
    this.#begin = begin;
    this.#ended = ended;
    this.#changed = changed;
  }

  /** The one that can be asked; null if there is none. */
  get current() {
    return this.state.state === "online" ? this.#line : null;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.abandon();
  }

  /** Give the present one up. */
  abandon() {
    this.#line?.abandon();
  }

  /** Do not wait for the next try. */
  retryNow() {
    this.#hurry();
  }

  /** Do something with a connection: if that fails, it is given up for another one. */
  async use(line, action) {
    try {
      await action(line);
    } catch (error) {
      // What nobody has foreseen is told to whoever looks.
      if (!passes(error)) console.error(error);
      line.abandon();
    }
  }

  async #run() {
    while (!this.#stopped) {
      this.#is("connecting");
      const line = (this.#line = new Line(this.#address));
      await this.use(line, async () => {
        await line.opened;
        await this.#begin(line);
      });
      if (!line.over) this.#is("online");
      const end = await line.closed;
      this.#line = null;
      const goesOn = this.#ended(end);
      if (this.#stopped) return;
      if (!goesOn) {
        this.#stopped = true;
        this.#is("offline");
        return;
      }
      this.#backoff.lost(end);
      await this.#wait(this.#backoff.nextDelay());
    }
  }

  async #wait(milliseconds) {
    this.#is("offline", Date.now() + milliseconds);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = () => {};
  }

  #is(state, retryAt = null) {
    this.state = { state, retryAt };
    this.#changed();
  }
}
