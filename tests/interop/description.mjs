// JavaScript values as JSON that Python can read, and back: ["type", …]. The Python side of it is
// description.py; both are exact, so that two equal descriptions mean two equal values.

const TYPED_ARRAYS = [
  ArrayBuffer, DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array,
  Int32Array, Uint32Array, BigInt64Array, BigUint64Array, Float32Array, Float64Array,
];

// Numbers that JSON has no literal for.
const SPECIAL_NUMBERS = { NaN, Infinity, "-Infinity": -Infinity, "-0": -0 };

const ERRORS = {
  Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError,
};

export function describe(value) {
  if (value === undefined) return ["undefined"];
  if (value === null) return ["null"];
  switch (typeof value) {
    case "boolean": return ["bool", value];
    case "string": return ["string", value];
    case "bigint": return ["bigint", value.toString(16)];
    case "number": {
      for (const [name, special] of Object.entries(SPECIAL_NUMBERS)) {
        if (Object.is(value, special)) return ["number", name];
      }
      return ["number", value];
    }
  }
  if (Array.isArray(value)) return ["array", value.map(describe)];
  if (value instanceof Date) {
    const ms = value.getTime();
    return ["date", Number.isNaN(ms) ? null : ms];
  }
  if (value instanceof Error) return ["error", ...describeError(value)];
  if (value instanceof URL) return ["url", value.href];
  if (value instanceof Headers) return ["headers", [...value]];
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return describeBytes(value);
  return ["object", describeEntries(value, Object.keys(value))];
}

// A Buffer counts as the Uint8Array that it is.
function describeBytes(value) {
  const kind = TYPED_ARRAYS.find((type) => value instanceof type).name;
  const bytes = value instanceof ArrayBuffer
    ? Buffer.from(value)
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return ["bytes", kind, bytes.toString("base64")];
}

// Own properties only; a cause and an aggregate's errors are among them, though not enumerable.
function describeError(error) {
  const keys = Object.getOwnPropertyNames(error).filter(
    (key) => !["name", "message", "stack"].includes(key));
  return [error.name, error.message, describeEntries(error, keys)];
}

function describeEntries(value, keys) {
  return keys.map((key) => [key, describe(value[key])]);
}

export function build([type, ...rest]) {
  const [first, second, third] = rest;
  switch (type) {
    case "undefined": return undefined;
    case "null": return null;
    case "bool":
    case "string": return first;
    case "bigint": return buildBigInt(first);
    case "number": return typeof first === "number" ? first : SPECIAL_NUMBERS[first];
    case "array": return first.map(build);
    case "date": return new Date(first === null ? NaN : first);
    case "url": return new URL(first);
    case "headers": return new Headers(first);
    case "bytes": return buildBytes(first, Buffer.from(second, "base64"));
    case "error": return buildError(first, second, third);
    case "object": return setEntries({}, first);
    default: throw new TypeError(`no such type: ${type}`);
  }
}

// Hexadecimal, because Python bounds how many decimal digits it converts.
function buildBigInt(digits) {
  return digits.startsWith("-") ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}

function buildBytes(kind, buffer) {
  // A copy with a buffer of its own, aligned for any element size.
  const bytes = new Uint8Array(buffer);
  if (kind === "ArrayBuffer") return bytes.buffer;
  return new (TYPED_ARRAYS.find((type) => type.name === kind))(bytes.buffer);
}

function buildError(name, message, entries) {
  const type = ERRORS[name] ?? Error;
  const error = type === AggregateError ? new type([], message) : new type(message);
  // A class of the application's own: the reference sends its name.
  if (error.name !== name) error.name = name;
  return setEntries(error, entries);
}

// Own properties even where the name is one of Object.prototype's setters; a cause and an
// aggregate's errors are not enumerable, as JavaScript's own constructors make them.
function setEntries(target, entries) {
  for (const [key, value] of entries) {
    const hidden = target instanceof Error
      && (key === "cause" || (key === "errors" && target instanceof AggregateError));
    Object.defineProperty(target, key, {
      value: build(value), enumerable: !hidden, writable: true, configurable: true,
    });
  }
  return target;
}
