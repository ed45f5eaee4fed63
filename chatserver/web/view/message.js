// One message, and one that is still to be sent.

import { useMemo } from "preact/hooks";
import { language, texts } from "../texts.js";
import { hueOf, initialOf, partsOf } from "./format.js";
import { html, Icon, Pure } from "./html.js";

// Whether the clock has 12 hours or 24 is the reader's custom, whatever the page's language.
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });

/** How a message begins that says what somebody does. */
const DOING = "/me ";

/** What one tap reacts with. */
const REACTIONS = ["👍", "❤️", "😂", "🎉", "😮", "😢"];

/** A message of somebody's. `head`: it begins a group; `active`: one can do something with it now. */
export class Message extends Pure {
  render({ item, head, me, room, answered, active, does }) {
    const mine = item.user === me.name;
    const about = () => does.about(item.user);
    // Who had the name before is somebody else, or a stay of one's own that has ended.
    const changes = mine && (!me.by || !item.by || item.by === me.by);
    return html`<li
      class=${`message${mine ? " mine" : ""}${head ? " head" : ""}${item.removed ? " gone" : ""}`}
      data-id=${item.id} tabindex="-1">
      ${!mine && html`<span class=${`face hue${hueOf(item.user)}`} aria-hidden="true" onClick=${about}>${head ? initialOf(item.user) : ""}</span>`}
      <div class="bubble">
        ${mine
          ? html`<span class="hidden">${texts.says(texts.you, "")}</span>`
          : html`<span class=${head ? `who hue${hueOf(item.user)}` : "hidden"} onClick=${about}><bdi>${item.user}</bdi></span>`}
        ${item.replyTo && html`<${Answered} id=${item.replyTo} item=${answered} onJump=${does.jump} />`}
        <div class="said">
          ${item.removed ? html`<p class="text">${texts.removed}</p>` : html`<${Text} text=${item.text} who=${item.user} me=${me} room=${room} onAccept=${does.accept} />`}
          <p class="meta">
            ${item.edited && html`<span>${texts.edited}</span>`}
            <time datetime=${new Date(item.time).toISOString()} title=${moment.format(item.time)}>${clock.format(item.time)}</time>
            ${mine && html`<span class="sent" role="img" aria-label=${texts.sent}><${Icon} name="check" /></span>`}
          </p>
        </div>
        ${Object.keys(item.reactions ?? {}).length > 0 && html`<${Reactions} item=${item} me=${me} does=${does} />`}
        ${active && !item.removed && room.online && html`<${Actions} item=${item} changes=${changes} mine=${mine} does=${does} />`}
      </div>
    </li>`;
  }
}

/** A message of one's own that is not in the log yet, as far as is known. */
export class Unsent extends Pure {
  render({ entry, me, room, online, onRetry, onDiscard, onTakeBack }) {
    const failed = entry.state === "failed";
    return html`<li class=${`message mine head unsent${failed ? " failed" : ""}`}>
      <div class="bubble">
        <span class="hidden">${texts.says(texts.you, "")}</span>
        <div class="said">
          <${Text} text=${entry.text} who=${me.name} me=${me} room=${room} />
          ${!failed && html`<p class="meta">${entry.state === "sent" ? texts.sent : online ? texts.sending : texts.waiting}</p>`}
        </div>
        ${failed && html`
            <p class="meta" role="alert">${texts.notSent} ${reasonOf(entry)}</p>
            <p class="choices">
              ${!room.over && html`<button type="button" onClick=${() => onRetry(entry)}>${texts.sendAgain}</button>
              <button type="button" onClick=${() => onTakeBack(entry)}>${texts.takeBackText}</button>`}
              <button type="button" onClick=${() => onDiscard(entry)}>${texts.discard}</button>
            </p>`}
      </div>
    </li>`;
  }
}

/** Why it was not sent; the model knows no texts. */
function reasonOf({ error, tried }) {
  if (error === "name_lost") return tried ? texts.notSentNameLost : "";
  return error === "room_over" ? texts.notSentRoomOver : error;
}

/** Only text nodes and elements of our own: what somebody typed never becomes markup. */
function Text({ text, who, me, room, onAccept }) {
  const does = text?.startsWith(DOING);
  // Who is there now decides what is a mention; it need not be looked at again.
  const parts = useMemo(() => partsOf(does ? text.slice(DOING.length) : text ?? "", me.name, room.people.names), [text]);
  return html`<div class=${`text${does ? " does" : ""}`} dir="auto">${does && html`<bdi>${who}</bdi> `}${parts.map(({ kind, text: piece, me: mine, pass }) => {
    if (kind === "pass" && onAccept) return html`<button type="button" class="link" onClick=${() => onAccept(pass)}>${piece}</button>`;
    if (kind === "link") return html`<a href=${piece} target="_blank" rel="noopener noreferrer nofollow">${piece}</a>`;
    if (kind === "mention") return html`<strong class=${mine ? "mention me" : "mention"}>${piece}</strong>`;
    if (kind === "code") return html`<code dir="ltr">${piece}</code>`;
    if (kind === "block") return html`<pre dir="ltr" tabindex="0"><code>${piece}</code></pre>`;
    return piece;
  })}</div>`;
}

/** What a message is an answer to. */
function Answered({ id, item, onJump }) {
  return html`<button type="button" class="answered" onClick=${() => onJump(id)}>
    ${item ? html`<bdi>${item.user}</bdi> <span dir="auto">${item.removed ? texts.removed : item.text}</span>` : texts.replyGone}
  </button>`;
}

function Reactions({ item, me, does }) {
  return html`<p class="reactions">${Object.entries(item.reactions).map(([emoji, { count, users }]) => {
    const mine = users.includes(me.name);
    return html`<button key=${emoji} type="button" aria-pressed=${mine} title=${users.join(", ")} aria-label=${texts.reacted(emoji, count)}
      onClick=${() => does.react(item, emoji, !mine)}>${emoji} <span>${count}</span></button>`;
  })}</p>`;
}

function Actions({ item, changes, mine, does }) {
  return html`<div class="actions" role="toolbar" aria-label=${texts.actions}>
    ${REACTIONS.map((emoji) => html`<button key=${emoji} type="button" aria-label=${texts.reactWith(emoji)} onClick=${() => does.react(item, emoji, true)}>${emoji}</button>`)}
    <button type="button" aria-label=${texts.reply} onClick=${() => does.reply(item)}><${Icon} name="reply" /></button>
    ${changes && html`<button type="button" aria-label=${texts.edit} onClick=${() => does.edit(item)}><${Icon} name="edit" /></button>`}
    ${!mine && html`<button type="button" aria-label=${texts.about(item.user)} onClick=${() => does.about(item.user)}><${Icon} name="person" /></button>`}
    ${(changes || does.moderates) && html`<button type="button" aria-label=${texts.remove} onClick=${() => does.remove(item)}><${Icon} name="trash" /></button>`}
  </div>`;
}
