// The messages of a room. Only a window of them is in the document, so ten thousand scroll as
// smoothly as ten; what one looks at stays where it is, whatever is added above or below.

import { Component, createRef } from "preact";
import { language, texts } from "../texts.js";
import { html, Icon } from "./html.js";
import { Message, Unsent } from "./message.js";

/** Pixels of the lowest item. */
const LOWEST = 28;

/** Pixels to the window's edge at which it is moved. */
const NEAR = 800;

/** Pixels to the end within which one counts as being there who goes down, and who goes up: in a
 * lively room, whoever leaves it slowly would otherwise be brought back with each message. */
const AT_END = 60;
const STILL_AT_END = 2;

/** How long a scrolling may go on that was begun before one asked for the end. */
const HOLD_MS = 400;

/** Messages of one person within this time stand together. */
const GROUP_MS = 5 * 60_000;

const day = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export class Messages extends Component {
  scroller = createRef();
  /** The window: from the item with this id to the one before that id; Infinity: to the end. */
  from = 0;
  to = Infinity;
  following = true;
  /** How many items the window is moved by; there are three times as many in the document at most. */
  step = 0;
  /** Where the scrolling was last. */
  top = 0;
  /** The oldest item that there was when this was drawn last, and whether there was a connection. */
  first = undefined;
  online = false;
  /** Until when the end is held against a scrolling that a key or a finger has begun before. */
  held = 0;
  state = { active: null, newBelow: 0 };

  componentDidMount() {
    this.props.handle.current = this;
    this.measure();
    this.toEnd();
    // The keyboard of a phone, or a longer draft, must not hide the newest message.
    this.resizes = new ResizeObserver(() => {
      this.measure();
      if (this.following) this.toEnd();
      this.watch();
    });
    this.resizes.observe(this.scroller.current);
    for (const type of ["wheel", "touchstart"]) {
      // Passive: scrolling does not wait for it.
      this.scroller.current.addEventListener(type, this.release, { passive: true });
    }
    document.addEventListener("visibilitychange", this.watch);
    window.addEventListener("focus", this.watch);
    window.addEventListener("blur", this.watch);
    this.watch();
  }

  componentWillUnmount() {
    this.resizes.disconnect();
    document.removeEventListener("visibilitychange", this.watch);
    window.removeEventListener("focus", this.watch);
    window.removeEventListener("blur", this.watch);
    this.props.room.watch(false);
  }

  /** What is looked at, and where it stands. */
  getSnapshotBeforeUpdate() {
    const { current } = this.scroller;
    // Somebody may have scrolled of whom no event has told yet.
    if (this.following && !this.holds() && this.goesUp() && !this.atEnd()) {
      this.following = false;
      this.watch();
    }
    if (this.following) return null;
    const rows = current.querySelectorAll("[data-id]");
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].offsetTop + rows[middle].offsetHeight > current.scrollTop) high = middle;
      else low = middle + 1;
    }
    const row = rows[low];
    return row ? { id: row.dataset.id, distance: row.offsetTop - current.scrollTop } : null;
  }

  componentDidUpdate(_props, _state, anchor) {
    const { current } = this.scroller;
    if (this.following) {
      this.toEnd();
    } else if (anchor) {
      const row = current.querySelector(`[data-id="${anchor.id}"]`);
      const moved = row ? row.offsetTop - current.scrollTop - anchor.distance : 0;
      if (moved) current.scrollTop += moved;
    }
    if (this.wanted) this.show(this.wanted);
    // Who waits at the very top for what comes before it cannot scroll any further to see it, or to
    // have it asked for again.
    const { online, timeline: { items: [oldest] } } = this.props.room;
    if (oldest?.id !== this.first || online !== this.online) {
      this.first = oldest?.id;
      this.online = online;
      this.scrolled();
    }
  }

  /** Two steps fill what one sees and what is near it, so a third can be let go of. */
  measure() {
    const height = this.scroller.current.clientHeight + 2 * NEAR;
    this.step = Math.ceil(height / 2 / LOWEST);
  }

  toEnd() {
    const { current } = this.scroller;
    if (!current) return; // an observer may tell of its end
    current.scrollTop = current.scrollHeight;
    this.top = current.scrollTop;
  }

  below() {
    const { scrollHeight, clientHeight, scrollTop } = this.scroller.current;
    return scrollHeight - clientHeight - scrollTop;
  }

  /** Whether one is at the end of what is in the document, and does not leave it. */
  atEnd() {
    return this.below() < (this.goesUp() ? STILL_AT_END : AT_END);
  }

  goesUp() {
    return this.scroller.current.scrollTop < this.top;
  }

  /** Whether somebody has asked for the end just now. */
  holds() {
    return performance.now() < this.held;
  }

  /** Go to the newest message, from wherever one is. */
  follow = ({ target } = {}) => {
    this.following = true;
    if (target) {
      this.held = performance.now() + HOLD_MS;
      // The button goes away; who pressed it with a key is where the messages are.
      this.scroller.current.focus({ preventScroll: true });
    }
    this.to = Infinity;
    const { items } = this.props.room.timeline;
    this.from = items[Math.max(0, items.length - this.step)]?.id ?? 0;
    this.setState({ newBelow: 0 });
    this.forceUpdate(() => {
      this.toEnd();
      this.watch();
    });
  };

  /** Go to a message, loading what is between if need be. */
  async jump(id) {
    const { room } = this.props;
    if (!(await room.loadUntil(id))) return;
    const { items } = room.timeline;
    const index = room.timeline.indexOf(id);
    this.following = false;
    this.from = items[Math.max(0, index - this.step)].id;
    this.to = items[index + this.step]?.id ?? Infinity;
    this.wanted = id;
    this.forceUpdate();
  }

  show(id) {
    this.wanted = null;
    const row = this.scroller.current.querySelector(`[data-id="${id}"]`);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    row.classList.add("shown");
    row.addEventListener("animationend", () => row.classList.remove("shown"), { once: true });
    row.focus({ preventScroll: true });
  }

  scrolled = () => {
    if (this.following && this.holds()) return this.toEnd();
    const { current } = this.scroller;
    if (!current) return; // a last event of the list that has gone
    const { room } = this.props;
    const { items } = room.timeline;
    const [start, end] = this.bounds(items);
    const following = end === items.length && this.atEnd();
    this.top = current.scrollTop;
    if (following !== this.following) {
      this.following = following;
      if (following) this.to = Infinity;
      this.setState({ newBelow: 0 });
      this.watch();
    }
    if (current.scrollTop < NEAR) {
      if (start > 0) this.move(items, Math.max(0, start - this.step), end);
      else room.loadOlder();
    } else if (this.below() < NEAR && end < items.length) {
      this.move(items, start, Math.min(items.length, end + this.step));
    }
  };

  /** Move the window's edge; the other one follows if there would be too much in the document. */
  move(items, start, end) {
    const [before] = this.bounds(items);
    if (start < before) end = Math.min(end, start + 3 * this.step);
    else start = Math.max(start, end - 3 * this.step);
    this.from = items[start]?.id ?? 0;
    this.to = end < items.length ? items[end].id : Infinity;
    this.forceUpdate();
  }

  bounds(items) {
    const { timeline } = this.props.room;
    const most = 3 * this.step;
    let start = timeline.indexOf(this.from);
    let end = this.to === Infinity ? items.length : timeline.indexOf(this.to);
    if (most && end - start > most) {
      // What is added below waits until one scrolls there.
      if (this.following) start = end - most + this.step;
      else this.to = items[(end = start + most)].id;
    }
    this.from = items[start]?.id ?? 0;
    return [start, end];
  }

  /** Tell the room whether its end is looked at. */
  watch = () => {
    this.props.room.watch(this.following && !document.hidden && document.hasFocus());
  };

  /** Who scrolls now means it. */
  release = () => {
    this.held = 0;
  };

  activate = ({ target }) => {
    const id = Number(target.closest?.("[data-id]")?.dataset.id) || null;
    if (id !== this.state.active) this.setState({ active: id });
  };

  deactivate = () => this.setState({ active: null });

  /** The arrows go from one message to the next. */
  key = (event) => {
    const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
    if (!step) return;
    const current = event.target.closest("[data-id]");
    let row = current ? current[step] : this.scroller.current.querySelector("[data-id]:last-of-type");
    while (row && !row.matches(".message[data-id]")) row = row[step];
    if (!row) return;
    event.preventDefault();
    row.focus();
  };

  render({ room, me, does, outboxActions }, { active }) {
    const { items, complete, holes } = room.timeline;
    const [start, end] = this.bounds(items);
    const atEnd = end === items.length;
    const below = this.following ? 0 : room.reading.unread;
    return html`<div class="reading">
      <div class="scroller" ref=${this.scroller} tabindex="0" role="region" aria-label=${texts.messages} onScroll=${this.scrolled} onKeyDown=${this.key}>
        ${complete && start === 0 && html`<p class="edge">${items.some(({ type }) => type === "chat") || room.outbox.entries.length ? texts.beginning : texts.quiet}</p>`}
        ${room.loading && html`<p class="edge">${texts.loading}</p>`}
        <ol onPointerOver=${this.activate} onPointerLeave=${this.deactivate} onFocusIn=${this.activate}>
          ${this.rows(items, start, end, { holes, active })}
          ${atEnd && room.outbox.open.map((entry) => html`<${Unsent} key=${`o${entry.key}`} entry=${entry} me=${me} room=${room} online=${room.online} ...${outboxActions} />`)}
        </ol>
      </div>
      ${(!this.following || !atEnd) && html`<button type="button" class="down" onClick=${this.follow} aria-label=${below ? texts.newBelow(below) : texts.toEnd}>
        ${below > 0 && html`<span>${below > 99 ? "99+" : below}</span>`}<${Icon} name="down" />
      </button>`}
    </div>`;
  }

  rows(items, start, end, { holes, active }) {
    const { room, me, does } = this.props;
    const rows = [];
    let before = items[start - 1];
    const { divider } = room.reading;
    let marked = divider === null;
    for (let index = start; index < end; index += 1) {
      const item = items[index];
      let apart = false;
      if (before?.day !== item.day) {
        rows.push(html`<li key=${`d${item.id}`} class="day"><span>${dayOf(item)}</span></li>`);
        apart = true;
      }
      if (before && between(holes, before.id, item.id)) {
        rows.push(html`<li key=${`h${item.id}`} class="hole">${texts.hole}</li>`);
        apart = true;
      }
      if (!marked && item.id > divider && item.type === "chat") {
        rows.push(html`<li key="new" class="new"><span>${texts.newHere}</span></li>`);
        marked = apart = true;
      }
      if (item.type === "chat") {
        const head = apart || before?.type !== "chat" || before.by !== item.by || before.user !== item.user || item.time - before.time > GROUP_MS;
        rows.push(html`<${Message}
          key=${item.id} item=${item} head=${head} me=${me} room=${room} does=${does} active=${active === item.id}
          answered=${item.replyTo ? room.timeline.find(item.replyTo) : undefined} />`);
      } else {
        rows.push(html`<li key=${item.id} class="notice" data-id=${item.id}><bdi>${item.text}</bdi></li>`);
      }
      before = item;
    }
    return rows;
  }
}

function between(holes, after, id) {
  for (const hole of holes) if (hole >= after && hole < id) return true;
  return false;
}

function dayOf(item) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (item.day === today.toDateString()) return texts.today;
  if (item.day === yesterday.toDateString()) return texts.yesterday;
  return day.format(item.time);
}
