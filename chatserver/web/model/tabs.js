// What the tabs of one browser tell each other: a guest's stay is in one of them at a time.

/** How long other tabs have to answer; one that is frozen does not. */
const ANSWER_MS = 150;

/** The other tabs of this chat. */
export class Tabs {
  #channel;
  #current;
  #heard = () => {};

  /** `current()` is this tab's stay, `{name, resume, …}`, or null. */
  constructor(address, current) {
    this.#channel = new BroadcastChannel(`capnweb-chat:${address}`);
    this.#current = current;
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.type === "who") {
        const stay = this.#current();
        if (stay) this.#channel.postMessage({ type: "me", stay });
      } else if (data.type === "me") {
        this.#heard(data.stay);
      }
    });
  }

  /** A guest's stay that another tab has, as `{name, resume, epoch}`, or null. */
  elsewhere() {
    return new Promise((resolve) => {
      this.#heard = resolve;
      this.#channel.postMessage({ type: "who" });
      setTimeout(() => resolve(null), ANSWER_MS);
    });
  }
}
