// What opens over the chat, and what is done in it.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { html, Icon } from "./html.js";

/** A dialog that the browser keeps the focus in; Escape closes it and gives the focus back. */
export function Dialog({ title, onClose, children }) {
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
export function useAction(onDone) {
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

/** What a form does when it is sent. */
export function submits(action) {
  return (event) => {
    event.preventDefault();
    action();
  };
}
