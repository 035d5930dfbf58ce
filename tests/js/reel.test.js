// The filmstrip's arithmetic: what is in sight of ten thousand frames, where a chosen one is brought, where keys go.

import assert from "node:assert/strict";
import test from "node:test";

import { goal, inSight, scrolledTo } from "../../app/filmstrip/reel.js";

test("of ten thousand frames only those in sight and a few beside them are drawn", () => {
  assert.deepEqual(inSight(10_000, 100, 0, 1000), [0, 14]);
  assert.deepEqual(inSight(10_000, 100, 500_050, 1000), [4996, 5015]);
  assert.deepEqual(inSight(10_000, 100, 999_000, 1000), [9986, 10_000]);
  assert.deepEqual(inSight(3, 100, 0, 1000), [0, 3]);
  assert.deepEqual(inSight(0, 100, 0, 1000), [0, 0]);
});

test("a frame in sight stays where it is, and another comes to the middle", () => {
  assert.equal(scrolledTo(5, 100, 450, 1000), 450);
  assert.equal(scrolledTo(50, 100, 0, 1000), 4550);
  assert.equal(scrolledTo(0, 100, 5000, 1000), 0);
  assert.equal(scrolledTo(4, 100, 450, 1000), 0, "half of it is no sight of it");
});

test("keys go on, and stop at the ends", () => {
  assert.equal(goal("ArrowRight", 3, 10, 4), 4);
  assert.equal(goal("ArrowRight", 9, 10, 4), 9);
  assert.equal(goal("ArrowLeft", 0, 10, 4), 0);
  assert.equal(goal("PageDown", 3, 10, 4), 7);
  assert.equal(goal("End", 3, 10, 4), 9);
  assert.equal(goal("Home", 3, 10, 4), 0);
  assert.equal(goal("a", 3, 10, 4), null);
});
