// A program that is asked and answers: one JSON value a line, in order, until the input ends.

import { createInterface } from "node:readline";

export async function answerEachLine(answer) {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
}
