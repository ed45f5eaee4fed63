// Invitations into private rooms: as a link to this page, and as the terminal client writes them.

/** The address that lets whoever opens it into a room; what stands behind # reaches no server. */
export function passLink(pass) {
  return beginning() + new URLSearchParams({ pass });
}

/** The pass that a link to this page has, or null. */
export function passOf(link) {
  return link.startsWith(beginning()) ? new URLSearchParams(link.slice(beginning().length)).get("pass") : null;
}

function beginning() {
  return `${new URL(".", document.baseURI).href}#`;
}
