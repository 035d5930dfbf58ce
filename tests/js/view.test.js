// Zoom and pan: what is under the pointer stays there, and the image's edges never come into the frame.

import assert from "node:assert/strict";
import test from "node:test";

import { MAX_SCALE, MIDDLE, WHOLE, framePoint, imagePoint, moved } from "../../app/viewer/view.js";

const isNear = (actual, expected) =>
  actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-12, `${actual}`));

test("the whole image: image points are frame points", () => {
  assert.deepEqual(imagePoint(WHOLE, [0.2, 0.7]), [0.2, 0.7]);
  assert.deepEqual(framePoint(WHOLE, [0.2, 0.7]), [0.2, 0.7]);
});

test("framePoint undoes imagePoint", () => {
  const view = { scale: 4, x: 0.3, y: 0.6 };
  isNear(framePoint(view, imagePoint(view, [0.1, 0.9])), [0.1, 0.9]);
});

test("at scale 4 the frame shows a quarter of the image's width", () => {
  const view = { scale: 4, x: 0.5, y: 0.5 };
  assert.deepEqual(imagePoint(view, [0, 0]), [0.375, 0.375]);
  assert.deepEqual(imagePoint(view, [1, 1]), [0.625, 0.625]);
});

test("zooming keeps the point under the pointer", () => {
  const pointer = [0.3, 0.6];
  const before = { scale: 2, x: 0.5, y: 0.5 };
  isNear(imagePoint(moved(before, 3, pointer), pointer), imagePoint(before, pointer));
});

test("dragging moves the point from one frame point to the other", () => {
  const before = { scale: 5, x: 0.5, y: 0.5 };
  const after = moved(before, 1, [0.4, 0.4], [0.6, 0.5]);
  isNear(imagePoint(after, [0.6, 0.5]), imagePoint(before, [0.4, 0.4]));
});

test("edges stay out of the frame, and the scale within its limits", () => {
  assert.deepEqual(moved(WHOLE, 0.1, MIDDLE), WHOLE);
  assert.deepEqual(moved(WHOLE, 1, [0.2, 0.2], [0.8, 0.8]), WHOLE);
  assert.equal(moved(WHOLE, 1e6, MIDDLE).scale, MAX_SCALE);
  const corner = moved({ scale: 2, x: 0.5, y: 0.5 }, 1, MIDDLE, [5, -5]);
  assert.deepEqual(corner, { scale: 2, x: 0.25, y: 0.75 });
});
