// The chat: a list of rooms and people beside one room.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { texts } from "../texts.js";
import { ConnectionLine } from "./app.js";
import { Attention, titleOf } from "./attention.js";
import { Composer } from "./composer.js";
import { html, Icon } from "./html.js";
import { Messages } from "./list.js";
import { RoomFinder } from "./finder.js";
import { PersonCard, RemoveCard } from "./person.js";
import { RoomCard } from "./room-card.js";
import { Sidebar } from "./sidebar.js";

export function Inside({ chat }) {
  const { room } = chat;
  const [menu, setMenu] = useState(false);
  const [dialog, setDialog] = useState(null);
  const opener = useRef(null);
  const counter = useRef(0);

  const closeMenu = () => setMenu(false);

  useEffect(() => {
    if (!menu) return;
    const key = (event) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) closeMenu();
    };
    addEventListener("keydown", key);
    return () => {
      removeEventListener("keydown", key);
      opener.current?.focus(); // What was behind the list can be used again.
    };
  }, [menu]);

  useEffect(closeMenu, [room?.name]);

  const show = useCallback((what) => setDialog({ ...what, number: (counter.current += 1) }), []);
  const showPerson = useCallback((name) => show({ name }), []);
  const showFinder = useCallback(() => show({ find: true }), []);
  const showRemove = useCallback((remove) => show({ remove }), []);
  // One that closes late must not close the next.
  const close = () => setDialog((current) => (current === dialog ? null : current));
  return html`<div class=${`chat${menu ? " with-menu" : ""}`}>
    <a class="skip" href="#field">${texts.skipToMessage}</a>
    ${chat.announced && html`<${Announcement} key=${chat.announced.id} chat=${chat} />`}
    <${Sidebar} chat=${chat} open=${menu} onClose=${closeMenu}
      onPerson=${showPerson} onFind=${showFinder} />
    ${menu && html`<div class="scrim" onClick=${closeMenu}></div>`}
    ${!room ? html`<${Nowhere} chat=${chat} covered=${menu} opener=${opener} onMenu=${() => setMenu(true)} onFind=${showFinder} />`
    : html`<${RoomView} key=${room.name} chat=${chat} room=${room} covered=${menu} opener=${opener}
      onMenu=${() => setMenu(true)} onAbout=${() => show({ about: true })} onPerson=${showPerson} onRemove=${showRemove} mention=${dialog?.mention && dialog} />`}
    ${dialog?.name && html`<${PersonCard} key=${dialog.number} chat=${chat} room=${room} name=${dialog.name} onClose=${close}
      onMention=${(name) => { closeMenu(); show({ mention: name }); }} />`}
    ${dialog?.remove && html`<${RemoveCard} key=${dialog.number} room=${room} item=${dialog.remove} onClose=${close} />`}
    ${dialog?.about && html`<${RoomCard} key=${dialog.number} chat=${chat} room=${room} onClose=${close} />`}
    ${dialog?.find && html`<${RoomFinder} key=${dialog.number} chat=${chat} onClose=${close} />`}
  </div>`;
}

/** What those who run the chat say to everybody. */
function Announcement({ chat }) {
  return html`<div class="announcement" role="alert">
    <p><strong>${texts.announcement}</strong> <bdi>${chat.announced.text}</bdi></p>
    <button type="button" class="plain" aria-label=${texts.dismiss} onClick=${() => chat.hearAnnouncement(null)}><${Icon} name="close" /></button>
  </div>`;
}

/** Instead of a room. */
function Nowhere({ chat, covered, opener, onMenu, onFind }) {
  return html`<main class="room" inert=${covered}>
    <header class="bar">
      <${MenuButton} opener=${opener} covered=${covered} onMenu=${onMenu} />
      <div class="what"><h1>${texts.nowhere}</h1></div>
      <div class="status" role="status"><${ConnectionLine} chat=${chat} /></div>
    </header>
    <div class="nowhere">
      <p>${texts.nowhereHint}</p>
      <button type="button" id="field" class="primary" onClick=${onFind}>${texts.findOne}</button>
    </div>
  </main>`;
}

function MenuButton({ opener, covered, onMenu }) {
  return html`<button type="button" class="plain only-narrow" ref=${opener} aria-label=${texts.menu} aria-expanded=${covered} onClick=${onMenu}><${Icon} name="menu" /></button>`;
}

/** Who is here, or whether the other one is. */
function presenceOf({ kind, with: other, people }) {
  if (kind !== "direct") return texts.here(people.count);
  return people.get(other)?.online ? texts.isHere : texts.isAway;
}

function RoomView({ chat, room, covered, opener, onMenu, onAbout, onPerson, onRemove, mention }) {
  const { me } = chat;
  const messages = useRef(null);
  const composer = useRef(null);
  const [editing, setEditing] = useState(null);
  const [reply, setReply] = useState(null);
  const title = titleOf(room);
  const online = chat.connection.state === "online";

  const does = useMemo(() => ({
    jump: (id) => messages.current.jump(id),
    react: (item, emoji, on) => room.calls.react(item.id, emoji, on).catch(chat.fails),
    reply: (item) => { setEditing(null); setReply(item); },
    edit: (item) => { setReply(null); setEditing(item); },
    accept: (pass) => chat.accept(pass).catch(chat.fails),
    about: onPerson,
    remove: (item) => (item.user === me.name ? room.calls.remove(item.id).catch(chat.fails) : onRemove(item)),
    moderates: room.moderator !== null,
  }), [room, room.moderator]);

  const outboxActions = useMemo(() => ({
    onRetry: (entry) => room.outbox.retry(entry),
    onDiscard: (entry) => { room.outbox.discard(entry); composer.current.focus(); },
    onTakeBack: (entry) => composer.current.insert(room.outbox.discard(entry)),
  }), [room]);

  useEffect(() => {
    const { goal } = chat;
    chat.goal = null;
    if (goal) messages.current.jump(goal);
  });

  useEffect(() => {
    if (mention) composer.current.insert(`@${mention.mention} `);
  }, [mention]);

  function send(text) {
    if (editing) {
      if (text !== editing.text) room.calls.edit(editing.id, text).catch(chat.fails);
      setEditing(null);
    } else {
      room.say(text, reply?.id);
      setReply(null);
      messages.current.follow();
    }
  }

  async function comeAgain() {
    try {
      await chat.have(await chat.person.enter(room.name));
    } catch (error) {
      chat.fails(error);
    }
  }

  function editLast() {
    const last = room.timeline.items.findLast((item) => item.type === "chat" && item.user === me.name && !item.removed && (!me.by || item.by === me.by));
    if (last) setEditing(last);
    return Boolean(last);
  }

  const { typing } = room.people;
  return html`<main class="room" inert=${covered}>
    <header class="bar">
      <${MenuButton} opener=${opener} covered=${covered} onMenu=${onMenu} />
      <div class="what">
        <h1 dir="auto">${title}</h1>
        <p>${room.topic ? html`<bdi>${room.topic}</bdi> · ` : ""}${presenceOf(room)}</p>
      </div>
      <div class="status" role="status"><${ConnectionLine} chat=${chat} /></div>
      <${Bell} />
      <button type="button" class="plain" aria-label=${texts.roomMenu} onClick=${onAbout}><${Icon} name="info" /></button>
    </header>
    <${Messages} handle=${messages} room=${room} me=${me} does=${does} outboxActions=${outboxActions} />
    <div class="foot">
      <p class="typing" aria-live="off">${typing.length > 0 && html`<bdi>${texts.typing(typing)}</bdi>`}</p>
      ${chat.failure && html`<p class="problem" role="alert">${texts.failed(chat.failure)}</p>`}
      ${!online && !room.over && html`<p class="hint">${texts.offlineKept}</p>`}
      ${room.over ? html`<div class="over">
        <p class="hint">${texts.roomOver}</p>
        ${room.kind === "public" && online && html`<button type="button" onClick=${comeAgain}>${texts.enterAgain}</button>`}
        <button type="button" onClick=${() => chat.leaveRoom(room).catch(chat.fails)}>${texts.putAway}</button>
      </div>` : html`<${Composer} handle=${composer} room=${room} me=${me} title=${title} editing=${editing} reply=${reply}
        onSend=${send} onEditLast=${editLast} onCancel=${() => { setEditing(null); setReply(null); }} />`}
    </div>
  </main>`;
}

/** Notifications, asked for once and only when somebody wants them. */
function Bell() {
  // Browsers ask another process: not with each message.
  const [on, setOn] = useState(() => Attention.on);
  const [denied, setDenied] = useState(false);
  if (!Attention.available) return null;
  async function turn() {
    const done = await Attention.turn(!on);
    setDenied(!done);
    setOn(Attention.on);
  }
  const label = denied ? texts.notifyDenied : on ? texts.notifyOff : texts.notify;
  return html`<button type="button" class="plain" aria-pressed=${on} aria-label=${label} title=${label} onClick=${turn}><${Icon} name=${on ? "bell" : "bellOff"} /></button>`;
}
