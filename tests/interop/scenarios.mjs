// The scenarios as the reference's client plays them: what the server answered, as plain JSON.
// scenarios.py has the same ones in Python, and what is expected of both.

import { RpcStub, RpcTarget } from "capnweb";
import { Counter, streamOf } from "./scenario_api.mjs";
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

// The list is mapped at the server; its promise is disposed of.
async function mapped(promise, callback) {
  try {
    return await promise.map(callback);
  } finally {
    dispose(promise);
  }
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

  // ---- map

  async "map a list"(main) {
    return await mapped(main.numbers(3), (n) => main.add(n, 10));
  },

  async "map a list of capabilities"(main) {
    return await mapped(main.makeCounters(3), (counter) => counter.increment(10));
  },

  async "map one value, null and nothing"(main) {
    const increment = (n) => main.add(n, 1);
    const [one, nothing, missing] = await Promise.all(
      [main.echo(5), main.echo(null), main.echo(undefined)].map((value) => mapped(value, increment)));
    return [one, nothing, missing === undefined];
  },

  async "map a list of lists"(main) {
    return await mapped(
      main.echo([[1, 2], [], [3]]), (row) => row.map((n) => main.add(n, 10)));
  },

  async "map to a structure"(main) {
    return await mapped(main.numbers(2), (n) => ({ n, more: [main.add(n, 1), main.answer] }));
  },

  async "map with a captured object of the client's"(main) {
    const counter = new RpcStub(new Counter(0));
    const seen = await mapped(main.numbers(3), (n) => counter.increment(n));
    dispose(counter);
    return seen.sort();
  },

  async "map with an error"(main) {
    const error = await caught(mapped(main.numbers(3), (n) => main.fail("RangeError", "no tea")));
    return [error.name, error.message];
  },

  // ---- streams

  async "read a stream of the server's"(main) {
    const stream = await main.streamNumbers(100);
    let sum = 0;
    for await (const n of stream) sum += n;
    dispose(stream);
    return sum;
  },

  async "read a stream that fails"(main) {
    const stream = await main.streamAndFail();
    const chunks = [];
    const error = await caught((async () => {
      for await (const chunk of stream) chunks.push(chunk);
    })());
    dispose(stream);
    return [error.name, error.message];
  },

  async "stop reading a stream without an end"(main) {
    const stream = await main.streamForever();
    const reader = stream.getReader();
    const chunks = [(await reader.read()).value, (await reader.read()).value];
    await reader.cancel();
    dispose(stream);
    await until(async () => await main.cancelled);
    return chunks;
  },

  async "let the server read a stream"(main) {
    return await main.sum(streamOf([1, 2, 3, 4]));
  },

  async "let the server read a stream that fails"(main) {
    const error = await caught(main.sum(new ReadableStream({
      start: (controller) => { controller.error(new RangeError("no more")); },
    })));
    return [error.name, error.message];
  },

  async "write to a stream of the server's"(main) {
    const stream = await main.makeSink();
    const writer = stream.getWriter();
    for (const chunk of ["a", { b: [1] }]) await writer.write(chunk);
    await writer.close();
    dispose(stream);
    return await main.collected;
  },

  async "abort a stream of the server's"(main) {
    const stream = await main.makeSink();
    const writer = stream.getWriter();
    await writer.write("a");
    await writer.abort(new RangeError("enough"));
    await until(async () => (await main.aborted) !== undefined);
    dispose(stream);
    const { message } = await main.aborted;
    return [await main.collected, message];
  },

  async "let the server write to a stream"(main) {
    const chunks = [];
    await main.writeNumbers(new WritableStream({
      write: (chunk) => { chunks.push(chunk); },
      close: () => { chunks.push("end"); },
    }), 3);
    return chunks;
  },

  async "blobs"(main) {
    const blob = await main.makeBlob("grüß Gott", "text/plain");
    return [await blob.text(), blob.type, await main.readBlob(new Blob(["hi"], { type: "a/b" }))];
  },

  async "a response"(main) {
    const response = await main.makeResponse("created", 201);
    const seen = [response.status, response.headers.get("x-test"), await response.text()];
    dispose(response);
    return seen;
  },

  async "a request"(main) {
    return await main.readRequest(new Request("http://example.com/a", {
      method: "POST", body: "the body", headers: { "x-test": "1" },
    }));
  },
};

// What fits in one HTTP batch: everything is asked for before anything is awaited, and the server
// waits for nothing that it calls here. A batch's tables are gone with it.
export const batches = {
  async "several calls in a batch"(main) {
    return await Promise.all([main.answer, main.add(2, 3), main.echo([1, { a: null }])]);
  },

  async "calls on results in a batch"(main) {
    return await main.makeCounter(0).next().next().next().value;
  },

  async "a promise as an argument in a batch"(main) {
    return await main.add(main.add(1, 2), main.answer);
  },

  async "map in a batch"(main) {
    return await main.numbers(3).map((n) => main.add(n, 10));
  },

  async "an error in a batch"(main) {
    const [error, sum] = await Promise.all([caught(main.fail("RangeError", "no tea")), main.add(1, 2)]);
    return [error.name, error.message, error.code, sum];
  },

  async "a function in a batch"(main) {
    const heard = [];
    const told = [1, { a: null }].map((value) => main.tell((it) => { heard.push(it); }, value));
    return [(await Promise.all(told))[0], heard];
  },
};
