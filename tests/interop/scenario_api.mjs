// What the servers of the scenarios serve. scenario_api.py is the same in Python, method by method.

import { RpcTarget } from "capnweb";

// In Node 20, ReadableStream.from makes objects that the reference takes for no streams.
export function streamOf(chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

export class Counter extends RpcTarget {
  #value;
  #onDispose;

  constructor(value, onDispose = () => {}) {
    super();
    this.#value = value;
    this.#onDispose = onDispose;
  }

  increment(by) {
    this.#value += by;
    return this.#value;
  }

  get value() {
    return this.#value;
  }

  // A new counter, one further.
  next() {
    return new Counter(this.#value + 1);
  }

  [Symbol.dispose]() {
    this.#onDispose();
  }
}

export class Main extends RpcTarget {
  #aborted;
  #cancelled = false;
  #collected = [];
  #connection;
  #disposals = 0;
  #kept;
  #notes = [];
  #waiting = new Map();

  // connection() is the session, once there is one; a batch has none.
  constructor(connection = () => undefined) {
    super();
    this.#connection = connection;
  }

  // ---- values

  echo(value) {
    return value;
  }

  add(a, b) {
    return a + b;
  }

  get answer() {
    return 42;
  }

  get settings() {
    return { color: "green", limits: { members: 10 } };
  }

  fail(name, message) {
    const types = { Error, RangeError, SyntaxError, TypeError };
    const error = new (types[name] ?? Error)(message, { cause: new RangeError("the cause") });
    if (error.name !== name) error.name = name;
    throw Object.assign(error, { code: "teapot", detail: { attempts: [1, 2] } });
  }

  // ---- capabilities of the client's

  call(callback, ...args) {
    return callback(...args);
  }

  tell(callback, value) {
    callback(value)[Symbol.dispose]();
    return "told";
  }

  callInside(listener, event) {
    return listener.onEvent(event);
  }

  callTwo(first, second) {
    return Promise.all([first(1), second(2)]);
  }

  increment(counter, by) {
    return counter.increment(by);
  }

  incrementInside(holder, by) {
    return holder.list[0].increment(by);
  }

  keep(callback) {
    this.#kept = callback.dup();
  }

  keepWithoutDup(callback) {
    this.#kept = callback;
  }

  callKept(value) {
    return this.#kept(value);
  }

  forget() {
    this.#kept[Symbol.dispose]();
  }

  giveBack(capability) {
    return { it: capability.dup() };
  }

  askClient(question) {
    return this.#connection().getRemoteMain().reply(question);
  }

  // ---- capabilities of the server's

  makeCounter(start) {
    return new Counter(start, () => ++this.#disposals);
  }

  makeAdder(n) {
    return (x) => x + n;
  }

  makeParts() {
    return { counter: this.makeCounter(1), functions: [(x) => x + 1], last: { double: (x) => x * 2 } };
  }

  get disposals() {
    return this.#disposals;
  }

  // ---- lists, to be mapped

  numbers(n) {
    return Array.from({ length: n }, (_, index) => index + 1);
  }

  makeCounters(n) {
    return this.numbers(n).map((start) => this.makeCounter(start));
  }

  // ---- streams and blobs

  streamNumbers(n) {
    return streamOf(this.numbers(n));
  }

  // Ends with an error after two chunks.
  streamAndFail() {
    let n = 0;
    return new ReadableStream({
      pull(controller) {
        n += 1;
        if (n > 2) controller.error(new RangeError("no more"));
        else controller.enqueue(n);
      },
    });
  }

  // Without an end; `cancelled` tells whether the reader has stopped it.
  streamForever() {
    let n = 0;
    return new ReadableStream({
      pull: (controller) => { controller.enqueue(++n); },
      cancel: () => { this.#cancelled = true; },
    });
  }

  get cancelled() {
    return this.#cancelled;
  }

  async sum(stream) {
    let sum = 0;
    for await (const n of stream) sum += n;
    return sum;
  }

  // A stream to write to; `collected` and `aborted` tell what has come of it.
  makeSink() {
    return new WritableStream({
      write: (chunk) => { this.#collected.push(chunk); },
      close: () => { this.#collected.push("end"); },
      abort: (reason) => { this.#aborted = reason; },
    });
  }

  get collected() {
    return this.#collected;
  }

  get aborted() {
    return this.#aborted;
  }

  async writeNumbers(stream, n) {
    const writer = stream.getWriter();
    for (const number of this.numbers(n)) await writer.write(number);
    await writer.close();
  }

  makeBlob(text, type) {
    return new Blob([text], { type });
  }

  async readBlob(blob) {
    return [await blob.text(), blob.type];
  }

  makeResponse(text, status) {
    return new Response(text, { status, headers: { "x-test": "1" } });
  }

  async readRequest(request) {
    return [request.method, request.url, request.headers.get("x-test"), await request.text()];
  }

  // ---- time

  wait(key) {
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  set(key, value) {
    this.#waiting.get(key)(value);
  }

  never() {
    return new Promise(() => {});
  }

  // Calls back and forth until depth is 0; who was called, outermost first.
  async bounce(callback, depth) {
    if (depth === 0) return [];
    return [`server ${depth}`, ...await callback(depth)];
  }

  note(n) {
    this.#notes.push(n);
  }

  get notes() {
    return this.#notes;
  }

  // ---- the session

  stats() {
    return this.#connection().getStats();
  }
}
