// Markup as tagged templates, without a build: https://github.com/developit/htm

import { Component, h } from "preact";
import htm from "htm";

export const html = htm.bind(h);

/** A component that is drawn again only if something that it was given is another thing. */
export class Pure extends Component {
  shouldComponentUpdate(props, state) {
    return differs(this.props, props) || differs(this.state, state);
  }
}

function differs(one, other) {
  const names = Object.keys(other);
  return names.length !== Object.keys(one).length || names.some((name) => one[name] !== other[name]);
}

/** Draws what `paths` say, in the colour of the text around it. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  send: "M5 12h14M12 5l7 7-7 7",
  down: "M12 5v14M5 12l7 7 7-7",
  bell: "M6 17V11a6 6 0 1 1 12 0v6l2 2H4zM10 21h4",
  bellOff: "M6 17V11a6 6 0 0 1 9-5M18 12v5l2 2H4l2-2M10 21h4M3 3l18 18",
  leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  plus: "M12 5v14M5 12h14",
  info: "M12 11v6M12 7v.5M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18",
  person: "M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M4 20a8 6 0 0 1 16 0",
  reply: "M9 7l-5 5 5 5M4 12h9a6 6 0 0 1 6 6v1",
  smile: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M8.5 14a4 4 0 0 0 7 0M9 9.5v.5M15 9.5v.5",
  edit: "M4 20l1-5L16 4l4 4L9 19z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  check: "M5 12.5l4.5 4.5L19 7.5",
};
