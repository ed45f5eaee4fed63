// How far one has read in a room: what is unread, where a line says that it is new, and how far the
// server knows of it.

/** How often the server is told at most. */
const TELL_EVERY_MS = 1_000;

export class Reading {
  /** Messages of others that were not seen, and how many of them speak to one by name. */
  unread = 0;
  mentions = 0;
  /** The id above which a line says that it is new; null if there is none. */
  divider = null;

  #readId = 0;
  /** As the server knows it. */
  #told = 0;
  /** Tells the server, a little later. */
  #timer = null;
  #tell;

  /** `tell(id)` tells the server, and says whether there is one to tell. */
  constructor(tell) {
    this.#tell = tell;
  }

  /** It is another log: nothing of it was read. */
  clear() {
    this.#readId = this.#told = 0;
    this.divider = null;
  }

  /** A message of somebody else's has come that nobody looks at; whether it speaks to one. */
  miss(mentioned) {
    this.unread += 1;
    if (mentioned) this.mentions += 1;
  }

  /** All of it up to this id has been seen. */
  see(id) {
    this.unread = this.mentions = 0;
    if (this.#readId === id) return;
    this.#readId = id;
    if (this.#timer !== null) return;
    this.tell();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.tell();
    }, TELL_EVERY_MS);
  }

  /** Tell the server how far it was read, unless it knows. */
  tell() {
    if (this.#told < this.#readId && this.#tell(this.#readId)) this.#told = this.#readId;
  }

  /** The connection is gone: what was told last may not have arrived. */
  lose() {
    this.#told = 0;
  }

  /** Nobody is to be told any more. */
  forget() {
    clearTimeout(this.#timer);
  }
}
