// Who is in a room, as far as the page knows, and who of them is typing.

import { MOST_PEOPLE } from "./calls.js";

/** How long somebody counts as typing who does not say so again. */
const TYPING_MS = 5_000;

export class People {
  /** How many they are. */
  count = 0;

  #byName = new Map();
  #all = null;
  /** Whether the server was asked, and whether all are known by name. */
  #asked = false;
  #complete = false;
  /** Names of those who are typing, with what ends it. */
  #typing = new Map();
  #changed;

  /** `changed()` is called when somebody has not gone on typing. */
  constructor(changed) {
    this.#changed = changed;
  }

  get names() {
    return [...this.#byName.keys()];
  }

  /** `{name, online, role}` of each: another list when somebody has changed. */
  get all() {
    return (this.#all ??= [...this.#byName.values()]);
  }

  get typing() {
    return [...this.#typing.keys()];
  }

  get(name) {
    return this.#byName.get(name);
  }

  /** What the server has answered. */
  are(people) {
    this.#byName = new Map(people.map((person) => [person.name, person]));
    this.#all = null;
    this.#asked = true;
    this.#complete = people.length < MOST_PEOPLE;
    this.count = this.#complete ? people.length : Math.max(this.count, people.length);
  }

  /** The connection is gone: nobody is seen typing, and the server is to be asked again. */
  lose() {
    this.#asked = false;
    for (const name of this.#typing.keys()) this.stopsTyping(name);
  }

  /** Those of a `join` or `leave`. */
  move({ type, users, count }) {
    this.#all = null;
    for (const name of users) {
      if (type === "leave") this.#byName.delete(name);
      else this.#byName.set(name, { ...this.#byName.get(name), name, online: true });
    }
    this.#complete &&= users.length === count;
    if (this.#asked && this.#complete) this.count = this.#byName.size;
    else this.count = Math.max(0, this.count + (type === "leave" ? -count : count));
  }

  present({ user, online }) {
    const person = this.#byName.get(user);
    if (!person) return;
    this.#byName.set(user, { ...person, online });
    this.#all = null;
  }

  types(name) {
    this.stopsTyping(name);
    const end = setTimeout(() => {
      this.stopsTyping(name);
      this.#changed();
    }, TYPING_MS);
    this.#typing.set(name, end);
  }

  stopsTyping(name) {
    clearTimeout(this.#typing.get(name));
    this.#typing.delete(name);
  }
}
