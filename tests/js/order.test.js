import assert from "node:assert/strict";
import { test } from "node:test";

import { alone, moved, toggled } from "../../app/run_chips/order.js";

const IDS = ["a", "b", "c"];

test("a run goes to another place, and never past an end", () => {
  assert.deepEqual(moved(IDS, 0, 2), ["b", "c", "a"]);
  assert.deepEqual(moved(IDS, 2, 0), ["c", "a", "b"]);
  assert.deepEqual(moved(IDS, 0, -1), IDS);
  assert.deepEqual(moved(IDS, 2, 3), IDS);
});

test("one run is always seen", () => {
  assert.deepEqual(toggled(IDS, [], "b"), ["b"]);
  assert.deepEqual(toggled(IDS, ["b"], "b"), []);
  assert.deepEqual(toggled(IDS, ["a", "b"], "c"), ["a", "b"]);
});

test("a run is shown alone, and all again by the same key", () => {
  assert.deepEqual(alone(IDS, ["b"], "b"), ["a", "c"]);
  assert.deepEqual(alone(IDS, ["a", "c"], "b"), []);
});
