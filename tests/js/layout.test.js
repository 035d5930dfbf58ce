// Columns and image widths, calculated by hand: 8 CSS pixels between panels, 28 above an image.

import assert from "node:assert/strict";
import test from "node:test";

import { arrange } from "../../app/viewer/layout.js";

test("one image fills the width where the window is high enough", () => {
  assert.deepEqual(arrange(1, 2, 1000, 600), { columns: 1, imageWidth: 1000 });
});

test("one image is as wide as the window's height allows", () => {
  // (328 - 28) * 2 = 600
  assert.deepEqual(arrange(1, 2, 1000, 328), { columns: 1, imageWidth: 600 });
});

test("four wide images stand two by two, and take half of a screen of 1440 x 900", () => {
  // a window of 1140 x 720: (1140 - 8) / 2 = 566
  const { columns, imageWidth } = arrange(4, 2, 1140, 720);
  assert.deepEqual({ columns, imageWidth }, { columns: 2, imageWidth: 566 });
  assert.ok((4 * imageWidth * imageWidth) / 2 / (1440 * 900) > 0.49);
});

test("two wide images stand one above the other where that makes them larger", () => {
  // ((720 - 8) / 2 - 28) * 2 = 656 against (1140 - 8) / 2 = 566
  assert.deepEqual(arrange(2, 2, 1140, 720), { columns: 1, imageWidth: 656 });
  assert.deepEqual(arrange(2, 2, 1400, 420), { columns: 2, imageWidth: 696 });
});

test("three images leave one place empty rather than be small", () => {
  assert.equal(arrange(3, 2, 1140, 720).columns, 2);
  assert.deepEqual(arrange(3, 2, 1400, 300), { columns: 3, imageWidth: 461 });
});

test("of two ways that are alike the one with fewer empty places is taken", () => {
  // 90 of height for the images in either case: four tall columns of 5 and of 6 are alike
  const { columns } = arrange(5, 0.5, 2000, 148);
  assert.equal(columns, 5);
});

test("no other number of columns makes them larger", () => {
  for (const count of [1, 2, 3, 4, 5, 6, 7, 8]) {
    for (const aspect of [0.5, 1, 4 / 3, 2, 3.3]) {
      for (const [width, height] of [[1140, 720], [1408, 720], [992, 600], [1880, 900]]) {
        const { imageWidth } = arrange(count, aspect, width, height);
        for (let columns = 1; columns <= count; columns++) {
          const rows = Math.ceil(count / columns);
          const room = ((height - (rows - 1) * 8) / rows - 28) * aspect;
          assert.ok(imageWidth + 1 > Math.min((width - (columns - 1) * 8) / columns, room));
        }
      }
    }
  }
});

test("a narrow window has one column, each image as wide as it", () => {
  assert.deepEqual(arrange(4, 2, 390, 700), { columns: 1, imageWidth: 390 });
});

test("in a window without height an image keeps 120 pixels", () => {
  assert.equal(arrange(1, 1, 1000, 0).imageWidth, 120);
});
