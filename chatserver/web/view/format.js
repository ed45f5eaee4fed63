// What people write, as parts to show: text, links, mentions, code. Only ever text: nothing here
// makes markup, so nothing that somebody types can become any.

import { mentionPattern } from "../model/mentions.js";
import { passOf } from "./invitation.js";

/** A fence on lines of its own makes a block, backticks make code, addresses become links, and what
 * the terminal client invites with becomes what one can press. */
const PARTS = /```(?:[\w+-]*\n)?([\s\S]+?)```|`([^`\n]+)`|(https?:\/\/[^\s<>"`]+)|(?<!\S)\/accept ([\w-]{22})(?!\S)/gu;

/** What ends a sentence rather than an address. */
const TRAILING = /[.,;:!?'"»”’]+$|(?<!\([^()]*)\)+[.,;:!?]*$/u;

/** How many names a text is searched for; in a crowd, only one's own. */
const MAX_NAMES = 200;

/** Parts `{kind, text}`: `text`, `link`, `mention` (with `me`), `code`, `block`, `pass` (with `pass`). */
export function partsOf(text, me, names) {
  const mention = mentionPattern(names.length <= MAX_NAMES ? [me, ...names] : [me]);
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(PARTS)) {
    plain(text.slice(end, found.index));
    end = found.index + found[0].length;
    const [all, block, code, link, pass] = found;
    if (block !== undefined) parts.push({ kind: "block", text: block.replace(/\n$/, "") });
    else if (code !== undefined) parts.push({ kind: "code", text: code });
    else if (pass !== undefined) parts.push({ kind: "pass", text: all, pass });
    else addLink(link);
  }
  plain(text.slice(end));
  return parts;

  function plain(piece) {
    let start = 0;
    for (const found of piece.matchAll(mention)) {
      push("text", piece.slice(start, found.index));
      parts.push({ kind: "mention", text: found[0], me: found[0].slice(1).toLowerCase() === me.toLowerCase() });
      start = found.index + found[0].length;
    }
    push("text", piece.slice(start));
  }

  function addLink(link) {
    const shown = link.replace(TRAILING, "");
    const pass = passOf(shown);
    if (pass) parts.push({ kind: "pass", text: shown, pass });
    else if (URL.canParse(shown)) parts.push({ kind: "link", text: shown });
    else push("text", shown);
    push("text", link.slice(shown.length));
  }

  function push(kind, text) {
    if (text) parts.push({ kind, text });
  }
}

/** One of the colours that the style sheet has for names; the same for the same name. */
export function hueOf(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 9973;
  return hash % 8;
}

/** A letter that nothing is joined to. */
const PLAIN = /^[A-Za-z0-9](?=[ -~]|$)/;

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What stands in a person's picture: the first letter, or the whole of an emoji. */
export function initialOf(name) {
  const [first] = PLAIN.exec(name) ?? [segmenter.segment(name)[Symbol.iterator]().next().value.segment];
  return first.toUpperCase();
}
