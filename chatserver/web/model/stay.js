// Who somebody is to the server, `{name, token, resume, epoch, by}`: a guest by the secret of a stay,
// an account by a token. What of it outlives the page, and what there is when the page begins.

import { lastingStorage, tabStorage } from "./storage.js";

/** Whether the sign-in outlasts this tab. */
export function signedIn() {
  return lastingStorage.get("token") !== null;
}

/** Whether it is to. */
export function staySignedIn(stay, lasting) {
  lastingStorage.set("token", lasting ? stay.token : null);
  keepStay(stay);
}

/** Keep it for a reload. A token is kept only by choice: without it, a reload is the end of the visit. */
export function keepStay(stay) {
  tabStorage.set("stay", !stay.token || signedIn() ? stay : null);
}

export function forgetStay() {
  for (const name of ["stay", "room"]) tabStorage.set(name, null);
  lastingStorage.set("token", null);
}

/**
 * What to come in with: `{stay, otherTab, copied}`. `token` is an invitation's, or null; `stay` and
 * `otherTab`, a guest's stay that another tab has, may be null; `copied` is whether what this tab has
 * kept is the other one's.
 */
export async function findStay(tabs, token) {
  const kept = tabStorage.get("stay");
  const others = await tabs.elsewhere();
  // A tab that was duplicated has the other one's stay: two tabs must not take it from each other.
  const copied = kept !== null && others.some(({ resume }) => resume === kept.resume);
  const mine = copied ? null : kept;
  const account = token ?? lastingStorage.get("token");
  if (account) return { stay: mine?.token === account ? mine : { token: account }, otherTab: null, copied };
  if (mine && !mine.token) return { stay: mine, otherTab: null, copied };
  return { stay: null, otherTab: others.find((stay) => !stay.token) ?? null, copied };
}
