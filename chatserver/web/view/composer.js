// Where one writes: a draft for each room, completion of names, answering, editing.

import { Component, createRef } from "preact";
import { texts } from "../texts.js";
import { html, Icon } from "./html.js";

/** What the server takes; it counts code points. */
const MAX_TEXT = 4_000;

/** From how few left on their number is shown. */
const FEW_LEFT = 200;

/** What begins like a command of the terminal client, which would be said to everybody by mistake. */
const COMMAND = /^\/(?!me\s)[\p{L}\p{N}-]+(?=\s|$)/u;

/** Such a text that is meant: it is said with one stroke less. */
const NO_COMMAND = /^\/(?=\/[\p{L}\p{N}-]+(?:\s|$))/u;

/** Names that are offered at a time. */
const OFFERED = 6;

export class Composer extends Component {
  field = createRef();
  state = { text: this.props.room.draft, offered: [], chosen: 0, command: null };

  componentDidMount() {
    this.props.handle.current = this;
    // On a phone the keyboard would cover what is to be read first.
    if (matchMedia("(hover: hover)").matches) this.focus();
    this.fit();
  }

  componentDidUpdate(before) {
    const { editing, reply } = this.props;
    if (editing !== before.editing) {
      this.setState({ text: editing ? editing.text : this.props.room.draft }, () => this.fit());
      this.focus();
    } else if (reply !== before.reply && reply) {
      this.focus();
    }
  }

  focus() {
    this.field.current.focus();
  }

  /** Put something where the writing is. */
  insert(piece) {
    const { text } = this.state;
    this.write(text && !/\s$/u.test(text) ? `${text} ${piece}` : text + piece);
    this.focus();
  }

  write(text) {
    this.setState({ text, command: null }, () => this.fit());
    if (!this.props.editing) this.props.room.setDraft(text);
  }

  /** As high as the text, where the style sheet alone cannot do it. */
  fit() {
    if (CSS.supports("field-sizing", "content")) return;
    const { current } = this.field;
    if (!current) return; // the view has changed before the text was drawn
    current.style.height = "auto";
    current.style.height = `${current.scrollHeight}px`;
  }

  input = ({ currentTarget: { value, selectionStart } }) => {
    this.write(value);
    this.offer(value, selectionStart);
  };

  offer(text, caret) {
    const typed = /(?:^|\s)@([^\s@]*)$/u.exec(text.slice(0, caret))?.[1];
    const { room, me } = this.props;
    const offered = typed === undefined ? [] : room.people.names
      .filter((name) => name !== me.name && name.toLowerCase().startsWith(typed.toLowerCase()))
      .sort().slice(0, OFFERED);
    this.setState({ offered, chosen: 0, from: caret - (typed?.length ?? 0), caret });
  }

  complete(name) {
    const { text, from, caret } = this.state;
    const before = `${text.slice(0, from)}${name} `;
    this.write(before + text.slice(caret));
    this.setState({ offered: [] }, () => {
      this.focus();
      this.field.current.setSelectionRange(before.length, before.length);
    });
  }

  key = (event) => {
    const { offered, chosen, text } = this.state;
    const { key } = event;
    if (event.isComposing) return; // Enter ends a word in Chinese, not the message.
    if (offered.length) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[key];
      if (step) this.setState({ chosen: (chosen + step + offered.length) % offered.length });
      else if (key === "Enter" || key === "Tab") this.complete(offered[chosen]);
      else if (key === "Escape") this.setState({ offered: [] });
      else return;
      event.preventDefault();
      event.stopPropagation();
    } else if (key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.send();
    } else if (key === "ArrowUp" && !text && this.props.onEditLast()) {
      event.preventDefault();
    } else if (key === "Escape" && this.state.command) {
      this.setState({ command: null });
    } else if (key === "Escape" && (this.props.editing || this.props.reply)) {
      this.props.onCancel();
    }
  };

  send = (event) => {
    event?.preventDefault();
    const { text } = this.state;
    if (!text.trim() || lengthOf(text) > MAX_TEXT) return;
    const command = this.props.editing ? null : COMMAND.exec(text)?.[0];
    if (command) this.setState({ command });
    else this.say(text.replace(NO_COMMAND, ""));
  };

  /** Send it, whatever it begins with. */
  say(text) {
    this.props.onSend(text.trim());
    if (!this.props.editing) this.write("");
    this.setState({ offered: [], command: null });
    this.focus();
  }

  render({ room, title, editing, reply, onCancel }, { text, offered, chosen, command }) {
    const length = text.length > MAX_TEXT - FEW_LEFT ? lengthOf(text) : text.length;
    const left = MAX_TEXT - length;
    return html`<form class="composer" onSubmit=${this.send}>
      ${(editing || reply) && html`<p class="context">
        <span>${editing ? texts.editing : html`<bdi>${texts.replyTo(reply.user)}</bdi>`}</span>
        <button type="button" class="plain" aria-label=${editing ? texts.cancel : texts.cancelReply} onClick=${onCancel}><${Icon} name="close" /></button>
      </p>`}
      ${offered.length > 0 && html`<ul class="offered" role="listbox" id="offered" aria-label=${texts.mentionList}>
        ${offered.map((name, index) => html`<li
          key=${name} id=${`offered-${index}`} role="option" aria-selected=${index === chosen}
          onPointerDown=${(event) => { event.preventDefault(); this.complete(name); }}><bdi>${name}</bdi></li>`)}
      </ul>`}
      ${command && html`<p class="context problem" role="alert">
        <span><bdi>${command}</bdi> ${texts.isCommand}</span>
        <button type="button" onClick=${() => this.say(text)}>${texts.sayAnyway}</button>
      </p>`}
      <div class="line">
        <textarea
          id="field" ref=${this.field} rows="1" dir="auto" enterkeyhint="send" placeholder=${texts.placeholder}
          aria-label=${texts.message(title)} value=${text}
          aria-autocomplete="list" aria-controls=${offered.length ? "offered" : undefined}
          aria-activedescendant=${offered.length ? `offered-${chosen}` : undefined}
          aria-invalid=${left < 0 ? "true" : undefined} aria-describedby=${left <= FEW_LEFT ? "left" : undefined}
          onInput=${this.input} onKeyDown=${this.key} onBlur=${() => this.setState({ offered: [] })}></textarea>
        <button class="send" aria-label=${editing ? texts.save : texts.send} aria-disabled=${!text.trim() || left < 0}><${Icon} name=${editing ? "check" : "send"} /></button>
      </div>
      ${left <= FEW_LEFT && html`<p id="left" class=${left < 0 ? "problem" : "hint"} role="status">${left < 0 ? texts.tooLong(length, MAX_TEXT) : texts.left(left)}</p>`}
    </form>`;
  }
}

function lengthOf(text) {
  return [...text].length;
}
