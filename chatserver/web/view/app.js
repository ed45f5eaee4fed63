// What is shown when: coming in, the chat, the end.

import { useEffect, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { Entry } from "./entry.js";
import { html, Icon } from "./html.js";
import { Inside } from "./inside.js";

export function App({ chat, attention }) {
  useRedraw(chat);
  useEffect(() => attention.update());
  if (chat.phase === "starting") return html`<main class="card" aria-busy="true"><${Brand} /><p role="status">${texts.starting}</p><${ConnectionLine} chat=${chat} /></main>`;
  if (chat.phase === "inside") return html`<${Inside} chat=${chat} />`;
  if (chat.phase === "outside" || chat.phase === "name_lost") return html`<${Entry} chat=${chat} />`;
  return html`<${Ended} chat=${chat} />`;
}

/**
 * Draw again when the chat changes: at once after a pause, once a frame while it goes on changing,
 * and now and then where there are no frames because nobody sees the page; its title has the numbers.
 */
function useRedraw(chat) {
  const [, redraw] = useState(0);
  useEffect(() => {
    let planned = false;
    let drawnAt = 0;
    chat.onchange = () => {
      if (planned) return;
      planned = true;
      let timer, frame;
      const draw = () => {
        clearTimeout(timer);
        cancelAnimationFrame(frame);
        planned = false;
        drawnAt = performance.now();
        redraw((count) => count + 1);
      };
      if (performance.now() - drawnAt > FRAME_MS) {
        queueMicrotask(draw); // With all that changes in this moment.
      } else {
        timer = setTimeout(draw, NO_FRAME_MS);
        frame = requestAnimationFrame(draw);
      }
    };
    chat.onchange();
  }, [chat]);
}

const FRAME_MS = 16;

/** How long a frame may take to come. */
const NO_FRAME_MS = 250;

export function Brand() {
  return html`<p class="brand"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M6 5h20a4 4 0 0 1 4 4v11a4 4 0 0 1-4 4H15l-7 6v-6H6a4 4 0 0 1-4-4V9a4 4 0 0 1 4-4zm4 7.500a2 2 0 1 0 0 4a2 2 0 1 0 0-4zm6 0a2 2 0 1 0 0 4a2 2 0 1 0 0-4zm6 0a2 2 0 1 0 0 4a2 2 0 1 0 0-4z" /></svg> ${texts.chat}</p>`;
}

/** What is the case with the connection, in words. */
export function ConnectionLine({ chat }) {
  const { state, retryAt } = chat.connection;
  const seconds = useSecondsUntil(retryAt);
  if (state === "online") return html`<p class="connection online"><span class="dot"></span>${texts.online}</p>`;
  if (state === "connecting") return html`<p class="connection"><span class="dot"></span>${texts.connecting}</p>`;
  return html`<p class="connection offline">
    <span class="dot"></span>${texts.nextTry(seconds)}
    <button type="button" class="link" onClick=${() => chat.retryNow()}>${texts.tryNow}</button>
  </p>`;
}

/** Whole seconds until then, counted down. */
function useSecondsUntil(time) {
  const [, tick] = useState(0);
  const left = Math.max(0, (time ?? 0) - Date.now());
  useEffect(() => {
    if (!time || left === 0) return;
    const timer = setTimeout(() => tick((count) => count + 1), left % 1000 || 1000);
    return () => clearTimeout(timer);
  });
  return Math.max(1, Math.ceil(left / 1000));
}

function Ended({ chat }) {
  const what = { elsewhere: "elsewhere", token_over: "tokenOver" }[chat.phase] ?? "sentAway";
  return html`<main class="card">
    <${Brand} />
    <h1>${texts[`${what}Title`]}</h1>
    <p role="alert">${texts[what]}${chat.endedBy && html` <bdi class="said-by">${chat.endedBy}</bdi>`}</p>
    ${what === "elsewhere" && html`<button class="primary" onClick=${() => chat.takeBack()}>${texts.takeBack}</button>`}
    <button class=${what === "elsewhere" ? "" : "primary"} onClick=${() => chat.startAnew()}>${texts.startAnew}</button>
  </main>`;
}
