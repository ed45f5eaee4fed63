// A person, and what one can do with or to somebody.

import { useEffect, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { Dialog, submits, useAction } from "./dialog.js";
import { hueOf, initialOf } from "./format.js";
import { html } from "./html.js";

/** For how long somebody may be muted or banned, in seconds; null is for good. */
const SPANS = [600, 3_600, 86_400, 604_800, null];
const HOUR = 1;

export function PersonCard({ chat, room, name, onClose, onMention }) {
  const [run, failure] = useAction(onClose);
  const [look, blind] = useAction(() => {});
  useEffect(() => void look(() => chat.findBlocked()), [chat, name]);
  const blocked = chat.blocked.has(name);
  return html`<${Dialog} title=${name} onClose=${onClose}>
    <p class=${`face big hue${hueOf(name)}`} aria-hidden="true">${initialOf(name)}</p>
    ${failure || blind}
    <div class="choices">
      <button type="button" class="primary" onClick=${() => onMention(name)}>${texts.mention}</button>
      <button type="button" onClick=${() => run(async () => chat.have(await chat.person.direct(name)))}>${texts.conversation}</button>
      <button type="button" onClick=${() => run(() => chat.block(name, !blocked))}>${blocked ? texts.unblock : texts.block}</button>
    </div>
    ${room.moderator && html`<${Moderation} moderator=${room.moderator} name=${name} run=${run} />`}
  </${Dialog}>`;
}

function Moderation({ moderator, name, run }) {
  const [reason, setReason] = useState("");
  const [span, setSpan] = useState(HOUR);
  return html`<section class="moderation" aria-label=${texts.moderate}>
    <h3>${texts.moderate}</h3>
    <${Reason} reason=${reason} onReason=${setReason} />
    <label for="span">${texts.span}</label>
    <select id="span" value=${span} onChange=${(event) => setSpan(Number(event.currentTarget.value))}>
      ${SPANS.map((_, index) => html`<option key=${index} value=${index}>${texts.spans[index]}</option>`)}
    </select>
    <div class="choices">
      <button type="button" onClick=${() => run(() => moderator.mute(name, SPANS[span], reason))}>${texts.mute}</button>
      <button type="button" class="danger" onClick=${() => run(() => moderator.ban(name, SPANS[span], reason))}>${texts.ban}</button>
      <button type="button" class="danger" onClick=${() => run(() => moderator.kick(name, reason))}>${texts.kick}</button>
    </div>
    <p class="hint">${texts.kickHint}</p>
  </section>`;
}

/** Erasing what somebody else has said. */
export function RemoveCard({ room, item, onClose }) {
  const [reason, setReason] = useState("");
  const [run, failure] = useAction(onClose);
  return html`<${Dialog} title=${texts.removeOf(item.user)} onClose=${onClose}>
    ${failure}
    <blockquote dir="auto">${item.text}</blockquote>
    <form onSubmit=${submits(() => run(() => room.moderator.remove(item.id, reason)))}>
      <${Reason} reason=${reason} onReason=${setReason} />
      <button class="danger">${texts.remove}</button>
    </form>
  </${Dialog}>`;
}

function Reason({ reason, onReason }) {
  return html`<label for="reason">${texts.reason}</label>
    <input id="reason" dir="auto" maxlength="200" value=${reason} onInput=${(event) => onReason(event.currentTarget.value)} />`;
}
