// What survives a reload, for this tab alone. A browser may forbid storing: then nothing survives,
// and everything else works.

const PREFIX = "capnweb-chat:";

function storageOf(kind) {
  try {
    return window[kind];
  } catch {
    return null; // Blocked by the person's settings.
  }
}

class Storage {
  #storage;

  constructor(kind) {
    this.#storage = storageOf(kind);
  }

  get(name) {
    try {
      return JSON.parse(this.#storage?.getItem(PREFIX + name) ?? "null");
    } catch {
      return null; // Written by something else.
    }
  }

  /** Keep a value; null forgets it. */
  set(name, value) {
    try {
      if (value === null) this.#storage?.removeItem(PREFIX + name);
      else this.#storage?.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
      // Full: it is kept in memory, and lost with the tab.
    }
  }
}

/** Of this tab. */
export const tabStorage = new Storage("sessionStorage");

/** Of this browser: only what the person has chosen to keep. */
export const lastingStorage = new Storage("localStorage");
