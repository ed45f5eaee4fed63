// The rooms that one is in, and the people of the open one. On a phone it slides over the room.

import { useEffect, useRef } from "preact/hooks";
import { texts } from "../texts.js";
import { Brand } from "./app.js";
import { titleOf } from "./attention.js";
import { hueOf, initialOf } from "./format.js";
import { html, Icon, Pure } from "./html.js";

/** People that are listed; nobody reads more. */
const LISTED = 200;

export function Sidebar({ chat, open, onClose, onPerson, onFind }) {
  const { me, room, rooms } = chat;
  const closer = useRef(null);
  const all = rooms.values();

  useEffect(() => {
    if (open) closer.current.focus();
  }, [open]);

  function enter(name) {
    chat.open(name);
    if (open) onClose();
  }

  return html`<nav class="side" aria-label=${texts.menu}>
    <div class="top">
      <${Brand} />
      <button type="button" class="plain only-narrow" ref=${closer} aria-label=${texts.closeMenu} onClick=${onClose}><${Icon} name="close" /></button>
    </div>
    <div class="lists">
      <div class="heading"><h2>${texts.rooms}</h2><button type="button" class="plain" aria-label=${texts.findRooms} onClick=${onFind}><${Icon} name="plus" /></button></div>
      <${Rooms} rooms=${all.filter(({ kind }) => kind !== "direct")} open=${room} onEnter=${enter} />
      ${all.some(({ kind }) => kind === "direct") && html`
        <h2>${texts.conversations}</h2>
        <${Rooms} rooms=${all.filter(({ kind }) => kind === "direct")} open=${room} onEnter=${enter} />`}
      ${room && html`<h2>${texts.people} <span class="count">${room.people.count}</span></h2>
      <${People} all=${room.people.all} name=${me.name} onPerson=${onPerson} />`}
    </div>
    ${me.account && html`<label class="check stay"><input type="checkbox" checked=${chat.remembered} onChange=${(event) => chat.remember(event.currentTarget.checked)} /> ${texts.staySignedIn}</label>`}
    <div class="self">
      <span class=${`face hue${hueOf(me.name)}`} aria-hidden="true">${initialOf(me.name)}</span>
      <span class="name"><bdi>${me.name}</bdi>${texts.roles[me.role] && html` <small>${texts.roles[me.role]}</small>`}</span>
      <button type="button" class="plain" aria-label=${texts.leave} title=${texts.leave} onClick=${() => chat.leave()}><${Icon} name="leave" /></button>
    </div>
  </nav>`;
}

function Rooms({ rooms, open, onEnter }) {
  return html`<ul class="rooms">${rooms.map((room) => html`<li key=${room.name}>
    <button type="button" aria-current=${room === open ? "page" : undefined} onClick=${() => onEnter(room.name)}>
      <bdi>${titleOf(room)}</bdi>
      <${Badge} ...${room.reading} />
    </button>
  </li>`)}</ul>`;
}

function Badge({ unread, mentions }) {
  if (!unread) return null;
  return html`<span class=${`badge${mentions ? " mentioned" : ""}`} aria-label=${texts.unread(unread)}>${unread > 99 ? "99+" : unread}</span>`;
}

class People extends Pure {
  render({ all, name: me, onPerson }) {
    const people = all.toSorted(
      (one, other) => (other.name === me) - (one.name === me) || one.name.localeCompare(other.name),
    );
    return html`<ul class="people">
      ${people.slice(0, LISTED).map(({ name, online, role }) => html`<li key=${name}>
        <button type="button" disabled=${name === me} onClick=${() => onPerson(name)}>
          <span class=${`face hue${hueOf(name)}${online ? " online" : ""}`} aria-hidden="true">${initialOf(name)}</span>
          <span class="name"><bdi>${name}</bdi>${name === me && html` <small>${texts.you}</small>`}${texts.roles[role] && html` <small>${texts.roles[role]}</small>`}${!online && html` <small>${texts.away}</small>`}</span>
        </button>
      </li>`)}
      ${people.length > LISTED && html`<li class="hint">${texts.more(people.length - LISTED)}</li>`}
    </ul>`;
  }
}
