// Waits for conditions, with a deadline that a passing test never reaches.

const DEADLINE_MS = 20_000;
const INTERVAL_MS = 5;

// Looks at an (async) condition until it is true; its value.
export async function until(condition, what = condition.toString()) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`after ${DEADLINE_MS} ms still not true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
