// Painting: which pixels are covered, and what a patch makes of a map.

import assert from "node:assert/strict";
import test from "node:test";

import { Outbox } from "../../app/viewer/outbox.js";
import {
  UNCHANGED,
  alikeColor,
  applyPatch,
  cleanPieces,
  coverConnected,
  paintLine,
  coverPolygon,
  patchBetween,
  strongestEdge,
} from "../../app/viewer/raster.js";

const SIZE = { width: 5, height: 4 };
const rows = (covered) => Array.from({ length: 4 }, (_, y) => [...covered.subarray(5 * y, 5 * y + 5)].join(""));
const cover = (act) => {
  const covered = new Uint8Array(20);
  act(covered);
  return rows(covered);
};

test("a line covers what lies within its radius, and at least the pixel under the pointer", () => {
  assert.deepEqual(cover((c) => paintLine(c, SIZE, [1.5, 1.5], [3.5, 1.5], 0.6, 1)), ["00000", "01110", "00000", "00000"]);
  assert.deepEqual(cover((c) => paintLine(c, SIZE, [2.5, 1.5], [2.5, 1.5], 1, 1)), ["00100", "01110", "00100", "00000"]);
  assert.deepEqual(cover((c) => paintLine(c, SIZE, [4.9, 3.9], [4.9, 3.9], 0.1, 1)), ["00000", "00000", "00000", "00001"]);
  assert.deepEqual(cover((c) => paintLine(c, SIZE, [-9, 1], [-9, 1], 2, 1)), ["00000", "00000", "00000", "00000"]);
});

test("a polygon covers the pixels whose middle it holds, whichever way round it goes", () => {
  const square = [[1, 1], [4, 1], [4, 3], [1, 3]];
  const inside = ["00000", "01110", "01110", "00000"];
  assert.deepEqual(cover((c) => coverPolygon(c, SIZE, square)), inside);
  assert.deepEqual(cover((c) => coverPolygon(c, SIZE, square.toReversed())), inside);
  assert.deepEqual(cover((c) => coverPolygon(c, SIZE, [[-9, -9], [9, -9], [9, 9], [-9, 9]])), Array(4).fill("11111"));
});

test("a fill goes on through its four sides as far as pixels are alike", () => {
  const values = Uint8Array.from([0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0]);
  const alike = (index) => values[index] === 0;
  assert.deepEqual(cover((c) => coverConnected(c, SIZE, [0, 0], alike)), ["11000", "10000", "11000", "11100"]);
  assert.deepEqual(cover((c) => coverConnected(c, SIZE, [2, 0], alike)), Array(4).fill("00000"));
  const rgba = Uint8ClampedArray.from([10, 10, 10, 255, 18, 10, 10, 255, 30, 10, 10, 255]);
  assert.deepEqual([0, 1, 2].map(alikeColor(rgba, 0, 8)), [true, true, false]);
});

test("small pieces go to what is around them, and large ones stay", () => {
  const values = Uint8Array.from([0, 0, 0, 1, 1, 0, 2, 0, 1, 1, 0, 0, 0, 1, 3, 5, 5, 5, 5, 5]);
  cleanPieces(values, SIZE, 3);
  assert.deepEqual(rows(values), ["00011", "00011", "00011", "55555"]);
  const alone = new Uint8Array(20).fill(7);
  cleanPieces(alone, SIZE, 99);
  assert.deepEqual(rows(alone), Array(4).fill("77777"));
});

test("a patch makes the one map of the other, and undoes it", () => {
  const before = Uint8Array.from({ length: 20 }, () => 255);
  const after = before.slice();
  after[6] = after[8] = 3;
  after[12] = 0;
  const patch = patchBetween(before, after, 5);
  assert.deepEqual(patch, { box: [1, 1, 3, 2], runs: [1, 3, 1, UNCHANGED, 1, 3, 1, UNCHANGED, 1, 0, 1, UNCHANGED] });
  const values = before.slice();
  applyPatch(values, 5, patch);
  assert.deepEqual(values, after);
  applyPatch(values, 5, patchBetween(after, before, 5));
  assert.deepEqual(values, before);
  assert.equal(patchBetween(after, after, 5), null);
});

function storeOf() {
  const kept = new Map();
  return {
    kept,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
}

const outboxOf = (send, changes = {}) => {
  const states = [];
  const store = storeOf();
  const options = { address: "/a", revision: "0-a", store, send, onState: (state) => states.push(state), wait: async () => {} };
  return { outbox: new Outbox({ ...options, ...changes }), states, store };
};

test("patches go one after the other, each on the revision that the last one made", async () => {
  const bodies = [];
  const { outbox, states, store } = outboxOf(async (body) => {
    bodies.push(body);
    return { status: 200, body: { revision: `${bodies.length}-x` } };
  });
  await Promise.all([outbox.add({ id: "one" }), outbox.add({ id: "two" })]);
  assert.deepEqual(bodies, [
    { revision: "0-a", patch: { id: "one" } },
    { revision: "1-x", patch: { id: "two" } },
  ]);
  assert.equal(states.at(-1), "saved");
  assert.equal(store.kept.size, 0);
});

test("what the server didn't take stays in the browser, and is sent again", async () => {
  let failures = 3;
  const { outbox, states, store } = outboxOf(async () => {
    if (failures-- > 0) throw new Error("gone");
    return { status: 200, body: { revision: "1-x" } };
  });
  const sending = outbox.add({ id: "one" });
  assert.equal(JSON.parse(store.kept.get("lab-labels /a")).length, 1);
  await sending;
  assert.ok(states.includes("waiting") && states.at(-1) === "saved");
  const closed = outboxOf(async () => ({ status: 500, body: { error: "The disk is full." } }));
  await closed.outbox.add({ id: "two" });
  assert.equal(closed.states.at(-1), "failed");
  const again = new Outbox({ address: "/a", revision: "0-a", store: closed.store, onState: () => {} });
  assert.deepEqual(again.pending, [{ id: "two" }]);
});

test("what the server will never take keeps back nothing behind it", async () => {
  const ids = [];
  const { outbox, states, store } = outboxOf(
    async ({ patch }) => {
      ids.push(patch.id);
      return patch.id === "bad" ? { status: 422, body: { error: "no stroke" } } : { status: 200, body: { revision: "2-x" } };
    },
    { onConflict: async () => "1-x" }
  );
  await Promise.all([outbox.add({ id: "bad" }), outbox.add({ id: "good" })]);
  assert.deepEqual(ids, ["bad", "good"]);
  assert.equal(states.at(-1), "saved");
  assert.equal(store.kept.size, 0);
});

test("over a mask that was changed elsewhere what was painted is laid anew", async () => {
  const bodies = [];
  const { outbox } = outboxOf(
    async (body) => {
      bodies.push(body.revision);
      return bodies.length === 1 ? { status: 409, body: { error: "changed" } } : { status: 200, body: { revision: "9-z" } };
    },
    { onConflict: async () => "8-y" }
  );
  await outbox.add({ id: "one" });
  assert.deepEqual(bodies, ["0-a", "8-y"]);
  assert.equal(outbox.revision, "9-z");
});

test("a corner goes to the strongest edge within reach, and stays where there is none", () => {
  const size = { width: 20, height: 9 };
  const rgba = new Uint8ClampedArray(4 * 20 * 9);
  for (let y = 0; y < 9; y++) for (let x = 0; x < 20; x++) rgba.fill(x < 8 ? 40 : x < 16 ? 200 : 220, 4 * (20 * y + x), 4 * (20 * y + x) + 3);
  assert.deepEqual(strongestEdge(rgba, size, [6.5, 4.5], 4), [7.5, 4.5]);
  assert.deepEqual(strongestEdge(rgba, size, [14.5, 4.5], 3), [15.5, 4.5], "a weak one, where no other is near");
  assert.deepEqual(strongestEdge(rgba, size, [3.5, 4.5], 2), [3.5, 4.5]);
  assert.deepEqual(strongestEdge(rgba, size, [-30, 4], 5), [-30, 4]);
});
