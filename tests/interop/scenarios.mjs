// The scenarios as the reference's client plays them: what the server answered, as plain JSON.
// scenarios.py has the same ones in Python, and what is expected of both.

import { RpcTarget } from "capnweb";
import { Counter } from "./scenario_api.mjs";
import { until } from "./until.mjs";

// What the client serves.
export class ClientMain extends RpcTarget {
  reply(question) {
    return `${question} Yes!`;
  }
}

function dispose(...capabilities) {
  for (const capability of capabilities) capability[Symbol.dispose]();
}

async function caught(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("There was no error.");
}

export const scenarios = {
  async "call a method"(main) {
    return await main.add(2, 3);
  },

  async "send values there and back"(main) {
    return await main.echo({ list: [1, [null, "😀"]], "": {}, no: false });
  },

  async "read a property"(main) {
    return await main.answer;
  },

  async "read properties of a property"(main) {
    return [await main.settings.color, await main.settings.limits.members];
  },

  async "an error has its class, code, properties and cause"(main) {
    const errors = [];
    for (const name of ["Error", "RangeError", "SyntaxError", "TypeError", "Teapot"]) {
      const error = await caught(main.fail(name, "no tea"));
      errors.push([error.name, error.message, error.code, error.detail, error.cause.message]);
    }
    return errors;
  },

  async "a method that is not there"(main) {
    const error = await caught(main.nonsense(1));
    return [error.name, error.message];
  },

  async "a property that is not there"(main) {
    return (await main.nonsense) === undefined;
  },

  async "the server calls a function"(main) {
    return await main.call((a, b) => a * b, 6, 7);
  },

  async "the server calls a function in an object"(main) {
    const list = [];
    await main.callInside({ onEvent: (event) => { list.push(event); } }, "hello");
    return list;
  },

  async "an error in a callback comes back"(main) {
    const error = await caught(main.call(() => { throw new RangeError("too far"); }));
    return [error.name, error.message];
  },

  async "the server keeps a function"(main) {
    const heard = [];
    await main.keep((value) => { heard.push(value); return heard.length; });
    const answers = [await main.callKept("a"), await main.callKept("b")];
    await main.forget();
    return [heard, answers];
  },

  async "a function that was not kept ends with the call"(main) {
    await main.keepWithoutDup(() => 1);
    return (await caught(main.callKept("a"))) instanceof Error;
  },

  async "the server uses an object of the client's"(main) {
    const counter = new Counter(1);
    return [await main.increment(counter, 2), await main.increment(counter, 3), counter.value];
  },

  async "the server uses an object deep inside an argument"(main) {
    return await main.incrementInside({ list: [new Counter(1)] }, 2);
  },

  async "the client's object learns that the call is done"(main) {
    let disposals = 0;
    await main.increment(new Counter(1, () => ++disposals), 2);
    await until(() => disposals > 0);
    return disposals;
  },

  async "one function twice in one call"(main) {
    const heard = [];
    const callback = (value) => { heard.push(value); return value * 10; };
    return [await main.callTwo(callback, callback), heard.sort()];
  },

  async "the client uses an object of the server's"(main) {
    const counter = await main.makeCounter(10);
    const seen = [await counter.increment(1), await counter.increment(2), await counter.value];
    dispose(counter);
    return seen;
  },

  async "the server's object learns of its disposal"(main) {
    const counter = await main.makeCounter(10);
    dispose(counter);
    await until(async () => await main.disposals);
    return await main.disposals;
  },

  async "a duplicate outlives its original"(main) {
    const counter = await main.makeCounter(10);
    const duplicate = counter.dup();
    dispose(counter);
    const seen = [await duplicate.increment(1), await main.disposals];
    dispose(duplicate);
    await until(async () => await main.disposals);
    return seen;
  },

  async "a disposed stub can't be used"(main) {
    const counter = await main.makeCounter(10);
    dispose(counter);
    return (await caught(counter.increment(1))) instanceof Error;
  },

  async "an object is given back to its owner, the server"(main) {
    const counter = await main.makeCounter(1);
    const seen = [await main.increment(counter, 4), await counter.value];
    dispose(counter);
    return seen;
  },

  async "an object is given back to its owner, the client"(main) {
    const counter = new Counter(1);
    const given = await main.giveBack(counter);
    const seen = [await given.it.increment(2), counter.value];
    dispose(given);
    return seen;
  },

  async "a function as a result"(main) {
    const add5 = await main.makeAdder(5);
    const seen = [await add5(1), await add5(2)];
    dispose(add5);
    return seen;
  },

  async "a result with capabilities inside"(main) {
    const parts = await main.makeParts();
    const seen = [await parts.counter.increment(1)];
    seen.push(await parts.functions[0](10), await parts.last.double(10));
    dispose(parts);
    return seen;
  },

  async "a call on a result that is not there yet"(main) {
    const counter = main.makeCounter(1);
    const seen = await Promise.all([counter.increment(1), counter.increment(2), counter.value]);
    dispose(counter);
    return seen;
  },

  async "calls on results, five deep"(main) {
    const counters = [main.makeCounter(0)];
    for (let depth = 1; depth <= 5; depth++) counters.push(counters.at(-1).next());
    const value = await counters.at(-1).value;
    dispose(...counters);
    return value;
  },

  async "a call on a part of a result that is not there yet"(main) {
    const parts = main.makeParts();
    const seen = await Promise.all([parts.counter.increment(1), parts.last.double(10)]);
    dispose(parts);
    return seen;
  },

  async "an argument that is not there yet"(main) {
    const sum = main.add(1, 2);
    const total = await main.add(sum, 4);
    dispose(sum);
    return total;
  },

  async "an object that is not there yet as an argument"(main) {
    const counter = main.makeCounter(3);
    const seen = await main.increment(counter, 2);
    dispose(counter);
    return seen;
  },

  async "a property as an argument"(main) {
    return await main.add(main.answer, main.settings.limits.members);
  },

  async "an error on the way to a later call"(main) {
    const failed = main.fail("RangeError", "no tea");
    const error = await caught(failed.counter.increment(1));
    dispose(failed);
    return [error.name, error.message];
  },

  async "an error in an argument that is not there yet"(main) {
    const failed = main.fail("RangeError", "no tea");
    const error = await caught(main.add(failed, 1));
    dispose(failed);
    return [error.name, error.message];
  },

  async "a call that a later one answers"(main) {
    const waiting = main.wait("key");
    const set = await main.set("key", [1, 2]);
    // JavaScript answers undefined for a method without an answer, Python null.
    return [await waiting, set === undefined || set === null];
  },

  async "a call that waits for another call's answer"(main) {
    const waiting = main.wait("key");
    const sum = main.add(waiting, 1);
    await main.set("key", 41);
    const answer = await sum;
    dispose(waiting);
    return answer;
  },

  async "a call that nobody answers"(main) {
    const promise = main.never();
    const answer = await main.answer;
    dispose(promise);
    return answer;
  },

  async "calls back and forth, three levels deep"(main) {
    const back = async (depth) => [`client ${depth}`, ...await main.bounce(back, depth - 1)];
    return await main.bounce(back, 3);
  },

  async "calls arrive in the order sent"(main) {
    const calls = [];
    for (let n = 0; n < 20; n++) calls.push(main.note(n));
    const notes = await main.notes;
    dispose(...calls);
    return notes;
  },

  async "the server calls the client's main object"(main) {
    return await main.askClient("Is anybody there?");
  },
};
