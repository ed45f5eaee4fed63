// What the tabs of one browser tell each other: a stay is in one of them at a time.

/** How long other tabs have to answer; one that is frozen does not. */
const ANSWER_MS = 150;

/** The other tabs of this chat. */
export class Tabs {
  #channel;
  #current;
  #heard = [];

  /** `current()` is this tab's stay, `{name, resume, …}`, or null. */
  constructor(address, current) {
    this.#channel = new BroadcastChannel(`capnweb-chat:${address}`);
    this.#current = current;
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.type === "who") {
        const stay = this.#current();
        if (stay) this.#channel.postMessage({ type: "me", stay });
      } else if (data.type === "me") {
        this.#heard.push(data.stay);
      }
    });
  }

  /** The stays that other tabs have: `{name, resume, epoch}`, with `token` if it is an account's. */
  async elsewhere() {
    this.#channel.postMessage({ type: "who" });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return this.#heard;
  }
}
