// Who is spoken to by name.

/** Whether a text speaks to somebody by name. */
export function mentions(text, name) {
  return mentionPattern([name]).test(text);
}

/** Matches `@` and one of these names, of which there is at least one. */
export function mentionPattern(names) {
  const escaped = [...names]
    .sort((one, other) => other.length - one.length)
    .map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?<![\\p{L}\\p{N}_])@(?:${escaped.join("|")})(?![\\p{L}\\p{N}_])`, "giu");
}
