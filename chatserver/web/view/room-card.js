// A room, and what one can do with it.

import { useEffect, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { titleOf } from "./attention.js";
import { Dialog, submits, useAction } from "./dialog.js";
import { html } from "./html.js";
import { passLink } from "./invitation.js";

// As the times of messages: by the reader's custom.
const until = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function RoomCard({ chat, room, onClose }) {
  const [run, failure] = useAction(onClose);
  const isLobby = room.name === chat.about?.lobby;
  return html`<${Dialog} title=${titleOf(room)} onClose=${onClose}>
    ${failure}
    ${room.topic && html`<p dir="auto">${room.topic}</p>`}
    ${(room.owned || room.moderator) && html`<${Topic} room=${room} />`}
    ${room.owned && html`<${Invitations} room=${room} />`}
    ${room.owned && html`<${HandOn} chat=${chat} room=${room} />`}
    ${room.moderator && html`<${Sanctions} moderator=${room.moderator} />`}
    <div class="choices">
      ${(!isLobby || room.over) && html`<button type="button" onClick=${() => run(() => chat.leaveRoom(room))}>${room.over ? texts.putAway : room.kind === "direct" ? texts.endConversation : texts.leaveRoom}</button>`}
      ${room.owned && html`<button type="button" class="danger" onClick=${() => run(() => chat.leaveRoom(room, "close"))}>${texts.closeRoom}</button>`}
    </div>
  </${Dialog}>`;
}

function Topic({ room }) {
  const [topic, setTopic] = useState(room.topic);
  const [run, failure] = useAction(() => {});
  return html`<form onSubmit=${submits(() => run(() => room.calls.setTopic(topic)))}>
    ${failure}
    <label for="topic">${texts.topic}</label>
    <div class="line"><input id="topic" dir="auto" maxlength="300" value=${topic} onInput=${(event) => setTopic(event.currentTarget.value)} />
    <button>${texts.setTopic}</button></div>
  </form>`;
}

function Invitations({ room }) {
  const [link, setLink] = useState(null);
  const [copied, setCopied] = useState(false);
  const [make, failure] = useAction((pass) => setLink(passLink(pass)));
  const [revoke, failureToRevoke] = useAction(() => setLink(null));
  async function copy() {
    await navigator.clipboard.writeText(link);
    setCopied(true);
  }
  return html`<section aria-label=${texts.invite}>
    ${failure}${failureToRevoke}
    <div class="choices">
      <button type="button" class="primary" onClick=${() => make(() => room.calls.createPass())}>${texts.invite}</button>
      <button type="button" onClick=${() => revoke(() => room.calls.revokePasses())}>${texts.revoke}</button>
    </div>
    ${link && html`<label for="pass">${texts.inviteHint}</label><div class="line"><input id="pass" readonly value=${link} />
      ${navigator.clipboard && html`<button type="button" onClick=${copy}>${copied ? texts.copied : texts.copy}</button>`}</div>`}
  </section>`;
}

function HandOn({ chat, room }) {
  const [name, setName] = useState("");
  const [run, failure] = useAction(() => setName(""));
  const others = room.people.names.filter((other) => other !== chat.me.name).sort();
  if (!others.length) return null;
  return html`<form onSubmit=${submits(() => run(() => room.calls.handOn(name)))}>
    ${failure}
    <label for="heir">${texts.handOn}</label>
    <div class="line"><select id="heir" required value=${name} onChange=${(event) => setName(event.currentTarget.value)}>
      <option value="">${texts.nobody}</option>
      ${others.map((other) => html`<option key=${other} value=${other}>${other}</option>`)}
    </select>
    <button>${texts.handOnNow}</button></div>
  </form>`;
}

/** Who is muted here or may not come in, and letting them again. */
function Sanctions({ moderator }) {
  const [sanctions, setSanctions] = useState(null);
  const [load, failure] = useAction(setSanctions);
  const again = () => load(() => moderator.sanctions());
  useEffect(() => void again(), [moderator]);
  const lift = (id) => load(async () => {
    await moderator.lift(id);
    return moderator.sanctions();
  });
  return html`<section aria-label=${texts.sanctions}>
    <h3>${texts.sanctions}</h3>
    ${failure}
    ${sanctions?.length === 0 && html`<p class="hint">${texts.noSanctions}</p>`}
    <ul class="found">${sanctions?.map((sanction) => html`<li key=${sanction.id}>
      <span><bdi>${sanction.name}</bdi> ${texts.inForce[sanction.kind](sanction.until && until.format(sanction.until))}
        <br /><small>${texts.decidedBy} <bdi>${sanction.by}</bdi>${sanction.reason && html`: <bdi>${sanction.reason}</bdi>`}</small></span>
      <button type="button" aria-label=${texts.liftOf(sanction.name)} onClick=${() => lift(sanction.id)}>${texts.lift}</button>
    </li>`)}</ul>
  </section>`;
}
