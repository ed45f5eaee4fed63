// Coming in: a name, or going on with the stay of another tab.

import { useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { Brand, ConnectionLine } from "./app.js";
import { html } from "./html.js";

export function Entry({ chat }) {
  const [name, setName] = useState("");
  const [empty, setEmpty] = useState(false);
  const field = useRef(null);
  const { otherTab, error, entering } = chat;
  const lost = chat.phase === "name_lost" && error === chat.lostBy;
  const problem = empty ? texts.emptyName : lost ? null : error?.message;

  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    if (error) field.current?.focus();
  }, [error]);

  function submit(event) {
    event.preventDefault();
    setEmpty(!name.trim());
    if (name.trim()) chat.enter(name.trim());
    else field.current.focus();
  }

  return html`<main class="card">
    <${Brand} />
    <h1>${texts.welcome}</h1>
    ${lost && html`<p role="alert">${texts[error.code === "account_came" ? "accountCame" : "nameLost"](chat.lostName)}</p>`}
    ${otherTab && html`
      <p><bdi>${texts.inAnotherTab(otherTab.name)}</bdi></p>
      <button class="primary" disabled=${entering} onClick=${() => chat.takeOver()}><bdi>${texts.goOnHere(otherTab.name)}</bdi></button>
      <p>${texts.orAnotherName}</p>`}
    ${chat.about?.guests === false ? html`
      <p>${texts.invitedOnly}</p>
      ${error && html`<p class="problem" role="alert">${error.message}</p>`}` : html`
    <form onSubmit=${submit} novalidate>
      <label for="name">${texts.yourName}</label>
      <input
        id="name" ref=${field} dir="auto" autocomplete="nickname" autocapitalize="words" spellcheck=${false} maxlength="64"
        value=${name} onInput=${(event) => setName(event.currentTarget.value)}
        aria-invalid=${problem ? "true" : undefined} aria-describedby=${problem ? "problem" : "hint"} />
      ${problem
        ? html`<p id="problem" class="problem" role="alert">${problem}</p>`
        : html`<p id="hint" class="hint">${texts.welcomeHint}</p>`}
      <button class=${otherTab ? "" : "primary"} aria-disabled=${entering}>${entering ? texts.comingIn : texts.comeIn}</button>
    </form>`}
    <div role="status"><${ConnectionLine} chat=${chat} /></div>
  </main>`;
}
