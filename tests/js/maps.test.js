// Label maps: decoding, reading, shares, scaling, edges and comparisons, on maps small enough to check by eye.

import assert from "node:assert/strict";
import test from "node:test";

import { grayValues } from "../../app/viewer/images.js";
import { ranked } from "../../app/viewer/lazy.js";
import { IGNORED, classShares, compare, edgeDistance, resized, valueAt } from "../../app/viewer/maps.js";

const mapOf = (...rows) => ({ width: rows[0].length, height: rows.length, values: Uint8Array.from(rows.flat()) });

test("every byte of a gray PNG is decoded as it is", () => {
  const rgba = Uint8Array.from({ length: 256 * 4 }, (_, i) => (i % 4 === 3 ? 255 : i >> 2));
  assert.deepEqual([...grayValues(rgba.buffer)], [...Array(256).keys()]);
});

test("the likeliest classes alternate with their probabilities, unused ranks are left out", () => {
  assert.deepEqual(ranked(Uint8Array.from([3, 204, 7, 51, IGNORED, 0, IGNORED, 0, IGNORED, 0])), [[3, 0.8], [7, 0.2]]);
  assert.deepEqual(ranked(Uint8Array.from([3, 255, 4, 0, 5, 0, 6, 0, 7, 0])), [[3, 1]]);
});

test("a map of any size is read at image points, also on its edges", () => {
  const map = mapOf([1, 2, 3], [4, 5, 6]);
  assert.equal(valueAt(map, [0, 0]), 1);
  assert.equal(valueAt(map, [0.5, 0.49]), 2);
  assert.equal(valueAt(map, [0.5, 0.5]), 5);
  assert.equal(valueAt(map, [1, 1]), 6);
  assert.equal(valueAt(map, [-0.1, 2]), 4);
});

test("shares are of labelled pixels", () => {
  assert.deepEqual(classShares(mapOf([0, 0, 1], [1, 0, IGNORED]), 3), [0.6, 0.4, 0]);
  assert.deepEqual(classShares(mapOf([IGNORED]), 2), [0, 0]);
});

test("scaling is nearest neighbour, and computed once", () => {
  const small = mapOf([1, 2], [3, 4]);
  const large = resized(small, { width: 4, height: 4 });
  assert.deepEqual([...large.values], [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
  assert.equal(resized(small, { width: 4, height: 4 }), large);
  assert.equal(resized(small, small), small);
  assert.deepEqual([...resized(large, small).values], [1, 2, 3, 4]);
});

test("distance from an edge is a chess king's, and ignored pixels make no edge", () => {
  const line = mapOf([0, 0, 0, 1, 1, IGNORED, 2]);
  assert.deepEqual([...edgeDistance(line).values], [3, 2, 1, 1, 2, 3, 4]);
  const corner = edgeDistance(mapOf([0, 0, 0], [0, 0, 0], [0, 0, 5]));
  assert.deepEqual([...corner.values], [3, 2, 2, 2, 2, 1, 2, 1, 1]);
  assert.ok(edgeDistance(mapOf([0, 0], [0, 0])).values.every((value) => value === 255));
});

test("edge distances equal those of a search over all pixels", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const [width, height] = [13, 9];
  const map = { width, height, values: Uint8Array.from({ length: width * height }, () => (random() < 0.9 ? 0 : 1)) };
  const at = (x, y) => map.values[y * width + x];
  const besideEdge = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const others = [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]];
      const inside = others.filter(([a, b]) => a >= 0 && b >= 0 && a < width && b < height);
      if (inside.some(([a, b]) => at(a, b) !== at(x, y))) besideEdge.push([x, y]);
    }
  }
  const expected = map.values.map((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return 1 + Math.min(...besideEdge.map(([a, b]) => Math.max(Math.abs(a - x), Math.abs(b - y))));
  });
  assert.deepEqual([...edgeDistance(map).values], [...expected]);
});

test("a comparison counts only where the truth has a class", () => {
  const truth = mapOf([0, 1, 2, IGNORED, 0]);
  const first = mapOf([0, 1, 0, 0, 1]);
  const second = mapOf([0, 2, 1, 1, 0]);
  assert.deepEqual(compare(first, second, truth, 3), { labelled: 4, differ: 3, first: 1, second: 1 });
  // within one pixel of a true edge: all but the last pixel, which only an ignored one separates from the others
  assert.deepEqual(compare(first, second, truth, 3, 1), { labelled: 3, differ: 2, first: 1, second: 0 });
});
