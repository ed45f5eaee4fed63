// What was said in one room, as it stands: events in the order of their ids, with what later events
// have made of them. Items are replaced, never changed, so that a view sees by identity what is new.

/** Messages kept in memory while the end is read; older ones come again from history. */
const KEPT = 1_000;

/** How many more there may be before they are let go. */
const SLACK = 1_000;

/** An answer with fewer was not cut by how large it is: that is at 1 MiB, six bytes a letter at most. */
const FEW_LETTERS = 100_000;

const SHOWN = new Set(["chat", "join", "leave", "topic", "notice"]);

export class Timeline {
  /** Ascending by id. */
  items = [];
  /** The last event that has come; the next one's `prev`. */
  lastId = 0;
  /** Whether the first item is the first there is. */
  complete = false;
  /** Ids before which something may be missing: the log was trimmed, or began anew. */
  holes = new Set();
  #amendments = null;

  /** Take in an event that just came; whether it is a new item. */
  add(event) {
    if (event.id <= this.lastId) return false;
    this.lastId = event.id;
    if (SHOWN.has(event.type)) {
      this.items = [...this.items, itemOf(event)];
      return true;
    }
    this.#amend(event);
    return false;
  }

  /** An event that is not shown has come. */
  pass({ id }) {
    this.lastId = Math.max(this.lastId, id);
  }

  /** Older items were asked for: what is told of them meanwhile is applied when they come. */
  expectOlder() {
    this.#amendments = [];
  }

  /** Take in what was before the first item, ascending; of so many there are more. */
  prepend(events, limit) {
    const first = this.items[0]?.id ?? Infinity;
    const older = events.filter(({ id, type }) => id < first && SHOWN.has(type)).map(itemOf);
    this.items = [...older, ...this.items];
    this.lastId = Math.max(this.lastId, events.at(-1)?.id ?? 0);
    const letters = events.reduce((sum, { text }) => sum + (text?.length ?? 0), 0);
    this.complete = events.length === 0 || (events.length < limit && letters < FEW_LETTERS);
    const amendments = this.#amendments ?? [];
    this.#amendments = null;
    for (const amendment of amendments) this.#amend(amendment);
  }

  /** What is left out before the next event: it is lost, or told by history only. */
  gap() {
    this.holes = new Set([...this.holes, this.lastId]);
  }

  /** Begin anew: it is another log. */
  clear() {
    this.items = [];
    this.lastId = 0;
    this.complete = false;
    this.holes = new Set();
  }

  /** Let go of old items. */
  trim() {
    if (this.items.length <= KEPT + SLACK) return;
    this.items = this.items.slice(-KEPT);
    this.complete = false;
  }

  /** The place of an id, or of the next one after it. */
  indexOf(id) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  find(id) {
    const item = this.items[this.indexOf(id)];
    return item?.id === id ? item : undefined;
  }

  /** The id after which the last so many messages of others come. */
  beforeLast(count, name) {
    let index = this.items.length;
    while (count > 0 && index > 0) {
      const { type, user } = this.items[(index -= 1)];
      if (type === "chat" && user !== name) count -= 1;
    }
    return index < this.items.length ? this.items[index].id - 1 : null;
  }

  #amend(event) {
    const { type, target, text, reactions, time } = event;
    const index = this.indexOf(target);
    const item = this.items[index];
    if (item?.id !== target) {
      this.#amendments?.push(event); // Not loaded; history will tell it as it stands.
      return;
    }
    const changes = {
      edit: { text, edited: time },
      remove: { text: undefined, removed: true, reactions: undefined },
      react: { reactions },
    }[type];
    if (!changes) return; // Of a newer server.
    this.items = this.items.with(index, { ...item, ...changes });
  }
}

/** With its time as a number, and the reader's day as what can be compared. */
function itemOf(event) {
  return { ...event, time: event.time.getTime(), day: event.time.toDateString() };
}
