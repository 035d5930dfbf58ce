// Columns and image widths, calculated by hand: 16 CSS pixels between columns, 58 above an image.

import assert from "node:assert/strict";
import test from "node:test";

import { arrange } from "../../app/viewer/layout.js";

test("one image fills the width where the window is high enough", () => {
  assert.deepEqual(arrange(1, 2, 1000, 600), { columns: 1, imageWidth: 1000 });
});

test("one image is as wide as the window's height allows", () => {
  // (358 - 58) * 2 = 600, less than 80 % of the width
  assert.deepEqual(arrange(1, 2, 1000, 358), { columns: 1, imageWidth: 600 });
});

test("three wide images stand side by side", () => {
  // (1400 - 2 * 16) / 3 = 456
  assert.deepEqual(arrange(3, 2, 1400, 400), { columns: 3, imageWidth: 456 });
});

test("a narrow window has one column, each image as wide as it", () => {
  assert.deepEqual(arrange(4, 2, 390, 700), { columns: 1, imageWidth: 390 });
});

test("there are at most four columns", () => {
  for (const count of [5, 8]) assert.ok(arrange(count, 1, 4000, 400).columns <= 4);
});

test("in a window without height an image keeps 120 pixels", () => {
  assert.equal(arrange(1, 1, 1000, 0).imageWidth, 120);
});
