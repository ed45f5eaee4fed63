// What the tabs of one browser tell each other: a stay is in one of them at a time.

/** How long the other tabs have to answer; one that is frozen does not. */
const ANSWER_MS = 2_000;

/** The same where a browser does not say how many there are: it does so with TLS, or on this machine. */
const UNKNOWN_MS = 250;

/** The other tabs of this chat. */
export class Tabs {
  /** Called with the name of an account and the token with which another tab has come in as it. */
  ontoken = () => {};

  #name;
  #id = Math.random();
  #channel;
  #current;
  #heard = [];
  /** Called after each answer. */
  #onanswer = () => {};
  /** Resolves when the browser knows of this tab; null where it knows of none. */
  #known = null;
  #hide = () => {};

  /** `current()` is this tab's stay, `{name, resume, …}`, or null. */
  constructor(address, current) {
    this.#name = `capnweb-chat:${address}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#current = current;
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.type === "who") {
        this.#channel.postMessage({ type: "me", to: data.by, stay: this.#current() });
      } else if (data.type === "token") {
        this.ontoken(data.name, data.token);
      } else if (data.to === this.#id) {
        this.#heard.push(data.stay);
        this.#onanswer();
      }
    });
    this.show();
  }

  /** This tab is there: it has a share in a lock, which the browser counts. */
  show() {
    if (!navigator.locks) return;
    this.#known = new Promise((known) => {
      const until = new Promise((hide) => (this.#hide = hide));
      navigator.locks.request(this.#name, { mode: "shared" }, () => (known(), until));
    });
  }

  /** Tell the other tabs: they may be the same account, with an older token. */
  share(name, token) {
    this.#channel.postMessage({ type: "token", name, token });
  }

  /** This tab goes away; a lock would keep it out of the browser's cache. */
  hide() {
    this.#hide();
  }

  /** The stays that other tabs have: `{name, resume, epoch}`, with `token` if it is an account's. */
  async elsewhere() {
    await this.#known;
    const others = this.#known ? await this.#count() : Infinity;
    if (others > 0) await this.#ask(others);
    return this.#heard.filter(Boolean);
  }

  async #count() {
    const { held } = await navigator.locks.query();
    return held.filter(({ name }) => name === this.#name).length - 1;
  }

  #ask(others) {
    return new Promise((resolve) => {
      setTimeout(resolve, others === Infinity ? UNKNOWN_MS : ANSWER_MS);
      this.#onanswer = () => this.#heard.length >= others && resolve();
      this.#channel.postMessage({ type: "who", by: this.#id });
    });
  }
}
