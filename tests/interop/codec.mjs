// The reference's encoder and decoder, one request a line:
//
//   {"serialize": DESCRIPTION}   → {"text": "…"}
//   {"deserialize": "…"}         → {"value": DESCRIPTION}
//   either, when it throws       → {"error": {"name": "TypeError", "message": "…"}}

import { deserialize, serialize } from "capnweb";
import { build, describe } from "./description.mjs";
import { answerEachLine } from "./lines.mjs";

await answerEachLine((request) => {
  try {
    if ("serialize" in request) return { text: serialize(build(request.serialize)) };
    return { value: describe(deserialize(request.deserialize)) };
  } catch (error) {
    return { error: { name: error.name, message: error.message } };
  }
});
