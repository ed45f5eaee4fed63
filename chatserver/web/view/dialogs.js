// What opens over the chat: a person, the open room, finding and opening rooms.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { titleOf } from "./attention.js";
import { hueOf, initialOf } from "./format.js";
import { html, Icon } from "./html.js";
import { passLink } from "./invitation.js";

const HOUR = 3_600;

/** A dialog that the browser keeps the focus in; Escape closes it and gives the focus back. */
function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const { current } = dialog;
    current.showModal();
    return () => current.close(); // Which gives the focus back.
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <div class="inner">
      <div class="top">
        <h2 id="dialog-title"><bdi>${title}</bdi></h2>
        <button type="button" class="plain" aria-label=${texts.close} onClick=${() => dialog.current.close()}><${Icon} name="close" /></button>
      </div>
      ${children}
    </div>
  </dialog>`;
}

/** Run a call of the dialog's; `failure` is what it said instead of working. */
function useAction(onDone) {
  const [failure, setFailure] = useState(null);
  async function run(action) {
    try {
      setFailure(null);
      onDone(await action());
    } catch (error) {
      setFailure(error.message);
    }
  }
  return [run, failure && html`<p class="problem" role="alert">${texts.failed(failure)}</p>`];
}

export function PersonCard({ chat, room, name, onClose, onMention }) {
  const [reason, setReason] = useState("");
  const [run, failure] = useAction(onClose);
  const { moderator } = room;
  return html`<${Dialog} title=${name} onClose=${onClose}>
    <p class=${`face big hue${hueOf(name)}`} aria-hidden="true">${initialOf(name)}</p>
    ${failure}
    <div class="choices">
      <button type="button" class="primary" onClick=${() => onMention(name)}>${texts.mention}</button>
      <button type="button" onClick=${() => run(async () => chat.have(await chat.person.direct(name)))}>${texts.conversation}</button>
      <button type="button" onClick=${() => run(() => chat.person.block(name))}>${texts.block}</button>
    </div>
    ${moderator && html`
      <label for="reason">${texts.reason}</label>
      <input id="reason" dir="auto" value=${reason} onInput=${(event) => setReason(event.currentTarget.value)} />
      <div class="choices">
        <button type="button" onClick=${() => run(() => moderator.mute(name, HOUR, reason))}>${texts.mute}</button>
        <button type="button" onClick=${() => run(() => moderator.kick(name, reason))}>${texts.kick}</button>
        <button type="button" onClick=${() => run(() => moderator.ban(name, undefined, reason))}>${texts.ban}</button>
      </div>`}
  </${Dialog}>`;
}

export function RoomCard({ chat, room, onClose }) {
  const [topic, setTopic] = useState(room.topic);
  const [link, setLink] = useState(null);
  const [copied, setCopied] = useState(false);
  const [run, failure] = useAction(() => {});
  const [runAndClose, failureAtEnd] = useAction(onClose);
  const isLobby = room.name === chat.about?.lobby;
  const governs = room.owned || room.moderator;

  async function copy() {
    await navigator.clipboard.writeText(link);
    setCopied(true);
  }

  return html`<${Dialog} title=${titleOf(room)} onClose=${onClose}>
    ${failure}${failureAtEnd}
    ${room.topic && html`<p dir="auto">${room.topic}</p>`}
    ${governs && html`<form onSubmit=${(event) => { event.preventDefault(); run(() => room.calls.setTopic(topic)); }}>
      <label for="topic">${texts.topic}</label>
      <input id="topic" dir="auto" value=${topic} onInput=${(event) => setTopic(event.currentTarget.value)} />
      <button>${texts.setTopic}</button>
    </form>`}
    ${room.owned && html`<div>
      <button type="button" onClick=${() => run(async () => setLink(passLink(await room.calls.createPass())))}>${texts.invite}</button>
      ${link && html`<label for="pass">${texts.inviteHint}</label><div class="line"><input id="pass" readonly value=${link} />
        <button type="button" onClick=${copy}>${copied ? texts.copied : texts.copy}</button></div>`}
    </div>`}
    <div class="choices">
      ${!isLobby && html`<button type="button" onClick=${() => runAndClose(() => chat.leaveRoom(room))}>${room.over ? texts.putAway : room.kind === "direct" ? texts.endConversation : texts.leaveRoom}</button>`}
      ${room.owned && html`<button type="button" onClick=${() => runAndClose(() => chat.leaveRoom(room, "close"))}>${texts.closeRoom}</button>`}
    </div>
  </${Dialog}>`;
}

export function RoomFinder({ chat, onClose }) {
  const [rooms, setRooms] = useState(null);
  const [name, setName] = useState("");
  const [title, setTitle] = useState("");
  const [history, setHistory] = useState(false);
  const [load, failureOfList] = useAction(setRooms);
  const [run, failure] = useAction(onClose);
  const go = (info) => run(async () => chat.have(await info));
  useEffect(() => void load(() => chat.person.visible()), []);
  const others = rooms?.filter((room) => room.kind === "public" && !chat.rooms.get(room.name)?.online) ?? [];

  return html`<${Dialog} title=${texts.findRooms} onClose=${onClose}>
    ${failureOfList}${failure}
    <h3>${texts.publicRooms}</h3>
    ${rooms && others.length === 0 && html`<p class="hint">${texts.noRooms}</p>`}
    <ul class="found">${others.map((room) => html`<li key=${room.name}>
      <span><bdi>${room.name}</bdi> <small>${texts.here(room.people)}</small>${room.topic && html`<br /><small dir="auto">${room.topic}</small>`}</span>
      <button type="button" onClick=${() => go(chat.person.enter(room.name))}>${texts.enterRoom}</button>
    </li>`)}</ul>
    <form onSubmit=${(event) => { event.preventDefault(); go(chat.person.enter(name.trim().toLowerCase())); }}>
      <label for="room-name">${texts.roomName}</label>
      <div class="line"><input id="room-name" dir="auto" required maxlength="32" aria-describedby="room-hint" value=${name} onInput=${(event) => setName(event.currentTarget.value)} />
      <button>${texts.enterRoom}</button></div>
      <p id="room-hint" class="hint">${texts.roomNameHint}</p>
    </form>
    <form onSubmit=${(event) => { event.preventDefault(); go(chat.person.open({ title: title.trim(), ...(history ? { history: "all" } : {}) })); }}>
      <h3>${texts.openPrivate}</h3>
      <label for="room-title">${texts.roomTitle}</label>
      <div class="line"><input id="room-title" dir="auto" required value=${title} onInput=${(event) => setTitle(event.currentTarget.value)} />
      <button>${texts.open}</button></div>
      <label class="check"><input type="checkbox" checked=${history} onChange=${(event) => setHistory(event.currentTarget.checked)} /> ${texts.earlierReadable}</label>
    </form>
  </${Dialog}>`;
}
