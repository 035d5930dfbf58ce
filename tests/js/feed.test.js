// The feed: what it fetches, how often, and what it does with the answer. No server: `fetch` and the clock are the
// test's.

import assert from "node:assert/strict";
import test from "node:test";

import { Feed } from "../../app/curves/feed.js";
import { Series } from "../../app/curves/series.js";

const POLL_MS = 1000;
const row = (step) => ({ kind: "train", step, epoch: 1, loss: 1 });

// A feed of one run over responses: functions of the requested offset, or numbers for statuses. The last one repeats.
function feedOf(context, ...responses) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  context.mock.method(performance, "now", () => now);
  globalThis.document = new EventTarget();
  const offsets = [];
  context.mock.method(globalThis, "fetch", async (url) => {
    const offset = Number(new URL(url, "http://lab").searchParams.get("offset"));
    const response = responses[Math.min(offsets.length, responses.length - 1)];
    offsets.push(offset);
    if (typeof response === "number") return { ok: false, status: response };
    return { ok: true, status: 200, json: async () => response(offset) };
  });
  const run = { id: "20260101-000000-fcn-0000", series: new Series() };
  const rounds = [];
  const feed = new Feed(async () => "library", (library, wasReset) => rounds.push(wasReset));
  feed.follow([run], POLL_MS);
  const wait = async (ms) => {
    now += ms;
    context.mock.timers.tick(ms);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  context.after(() => feed.close());
  return { run, feed, offsets, rounds, wait };
}

const NOTHING = { rows: [], offset: 7, reset: false, state: "running", is_final: false };
const answer = (changes) => () => ({ ...NOTHING, ...changes });

test("a living run is polled after its offset, again and again", async (context) => {
  const answers = [answer({ rows: [row(1)], offset: 50 }), answer({ rows: [row(2)], offset: 90 })];
  const { run, offsets, wait } = feedOf(context, ...answers);
  await wait(0);
  await wait(POLL_MS);
  assert.deepEqual(offsets, [0, 50]);
  assert.deepEqual(run.series.train.step, [1, 2]);
  assert.deepEqual([run.series.state, run.series.isFinal], ["running", false]);
});

for (const state of ["paused", "finished", "failed", "stopped", "lost"]) {
  test(`a run that is ${state} is polled every ten seconds`, async (context) => {
    const { run, offsets, wait } = feedOf(context, answer({ state, is_final: true }));
    await wait(0);
    assert.deepEqual([run.series.state, run.series.isFinal], [state, true]);
    for (let second = 1; second < 10; second++) await wait(POLL_MS);
    assert.equal(offsets.length, 1);
    await wait(POLL_MS);
    assert.equal(offsets.length, 2);
  });
}

test("a reset replaces what was there", async (context) => {
  const again = answer({ rows: [row(1), row(2)], offset: 120, reset: true });
  const { run, rounds, wait } = feedOf(context, answer({ rows: [row(1), row(2), row(3)], offset: 90 }), again);
  await wait(0);
  await wait(POLL_MS);
  assert.deepEqual(run.series.train.step, [1, 2]);
  assert.equal(run.series.offset, 120);
  assert.deepEqual(rounds, [false, true]);
});

test("a deleted run keeps its rows", async (context) => {
  const { run, wait } = feedOf(context, answer({ rows: [row(1)], offset: 30 }), 404);
  await wait(0);
  await wait(POLL_MS);
  assert.deepEqual([run.series.state, run.series.isFinal, run.series.offset], ["deleted", true, 30]);
  assert.deepEqual(run.series.train.step, [1]);
});

test("a lab that doesn't answer is tried less and less often", async (context) => {
  const { feed, offsets, wait } = feedOf(context, 503);
  await wait(0);
  await wait(POLL_MS);
  assert.equal(offsets.length, 1);
  await wait(POLL_MS);
  assert.deepEqual([offsets.length, feed.failures], [2, 2]);
  await wait(3 * POLL_MS);
  assert.equal(offsets.length, 2);
  await wait(POLL_MS);
  assert.equal(offsets.length, 3);
});

test("a hidden tab polls nothing", async (context) => {
  const { offsets, wait } = feedOf(context, answer({}));
  await wait(0);
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  await wait(10 * POLL_MS);
  assert.equal(offsets.length, 1);
  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await wait(0);
  assert.equal(offsets.length, 2);
});
