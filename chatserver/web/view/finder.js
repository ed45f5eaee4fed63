// Finding one's way to others: public rooms, a private one of one's own, a conversation.

import { useEffect, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { titleOf } from "./attention.js";
import { Dialog, submits, useAction } from "./dialog.js";
import { html } from "./html.js";

export function RoomFinder({ chat, onClose }) {
  const [rooms, setRooms] = useState(null);
  const [name, setName] = useState("");
  const [title, setTitle] = useState("");
  const [history, setHistory] = useState(false);
  const [other, setOther] = useState("");
  const [load, failureOfList] = useAction(setRooms);
  const [run, failure] = useAction(onClose);
  const go = (arrive) => run(async () => chat.have(await arrive()));
  useEffect(() => void load(() => chat.person.visible()), []);
  const others = rooms?.filter((room) => room.kind === "public" && !chat.rooms.get(room.name)?.online) ?? [];

  return html`<${Dialog} title=${texts.findRooms} onClose=${onClose}>
    ${failureOfList}${failure}
    <h3>${texts.publicRooms}</h3>
    ${rooms && others.length === 0 && html`<p class="hint">${texts.noRooms}</p>`}
    <ul class="found">${others.map((room) => html`<li key=${room.name}>
      <span><bdi>${titleOf(room)}</bdi> <small>${texts.here(room.people)}</small>${room.topic && html`<br /><small dir="auto">${room.topic}</small>`}</span>
      <button type="button" onClick=${() => go(() => chat.person.enter(room.name))}>${texts.enterRoom}</button>
    </li>`)}</ul>
    <form onSubmit=${submits(() => go(() => chat.person.enter(name.trim().toLowerCase())))}>
      <label for="room-name">${texts.roomName}</label>
      <div class="line"><input id="room-name" dir="auto" required maxlength="32" aria-describedby="room-hint" value=${name} onInput=${(event) => setName(event.currentTarget.value)} />
      <button>${texts.enterRoom}</button></div>
      <p id="room-hint" class="hint">${texts.roomNameHint}</p>
    </form>
    <form onSubmit=${submits(() => go(() => chat.person.open({ title: title.trim(), ...(history ? { history: "all" } : {}) })))}>
      <h3>${texts.openPrivate}</h3>
      <label for="room-title">${texts.roomTitle}</label>
      <div class="line"><input id="room-title" dir="auto" required maxlength="64" value=${title} onInput=${(event) => setTitle(event.currentTarget.value)} />
      <button>${texts.open}</button></div>
      <label class="check"><input type="checkbox" checked=${history} onChange=${(event) => setHistory(event.currentTarget.checked)} /> ${texts.earlierReadable}</label>
    </form>
    <form onSubmit=${submits(() => go(() => chat.person.direct(other.trim())))}>
      <h3>${texts.writeToSomebody}</h3>
      <label for="other">${texts.theirName}</label>
      <div class="line"><input id="other" dir="auto" required maxlength="64" value=${other} onInput=${(event) => setOther(event.currentTarget.value)} />
      <button>${texts.write}</button></div>
    </form>
  </${Dialog}>`;
}
