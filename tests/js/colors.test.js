// Colors of label maps and heat maps, and how maps are painted with them.

import assert from "node:assert/strict";
import test from "node:test";

import { HEAT_COLORS, lookupTable, safeColors, toWord } from "../../app/viewer/colors.js";
import { paintCompared, paintDifference, paintFilled, paintOutlined } from "../../app/viewer/painting.js";

const bytes = (word) => [...new Uint8Array(Uint32Array.of(word).buffer)];

test("a color becomes red, green, blue, alpha in memory", () => {
  assert.deepEqual(bytes(toWord([1, 2, 250])), [1, 2, 250, 255]);
  assert.deepEqual(bytes(toWord([200, 0, 0], 110)), [200, 0, 0, 110]);
});

test("hidden classes and values without a class are transparent", () => {
  const table = lookupTable([[10, 20, 30], [40, 50, 60]], new Set([1]));
  assert.deepEqual(bytes(table[0]), [10, 20, 30, 255]);
  assert.deepEqual([table[1], table[2], table[255]], [0, 0, 0]);
});

test("a heat map's lightness rises evenly", () => {
  assert.equal(HEAT_COLORS.length, 256);
  const luminance = ([red, green, blue]) =>
    [red, green, blue].reduce((sum, value, i) => sum + [0.2126, 0.7152, 0.0722][i] * (value / 255) ** 2.2, 0);
  const lightness = HEAT_COLORS.map((color) => luminance(color) ** (1 / 3));
  for (let i = 15; i < 256; i += 15) assert.ok(lightness[i] > lightness[i - 15]);
  assert.ok(HEAT_COLORS.flat().every((value) => Number.isInteger(value) && value >= 0 && value <= 255));
});

test("forty safe colors are all different", () => {
  const colors = safeColors(40);
  assert.deepEqual(colors[0], [230, 159, 0]);
  assert.equal(new Set(colors.map(String)).size, 40);
});

test("labels are filled through the table", () => {
  const rgba = new Uint32Array(3);
  paintFilled({ values: Uint8Array.of(1, 0, 255) }, lookupTable([[1, 1, 1], [2, 2, 2]], new Set()), rgba);
  assert.deepEqual([...rgba].map((word) => bytes(word)[0]), [2, 1, 0]);
});

test("outlines leave the inside clear", () => {
  const values = Uint8Array.from({ length: 36 }, (_, i) => Number(i % 6 >= 3));
  const rgba = new Uint32Array(36);
  paintOutlined({ values, width: 6, height: 6 }, Uint32Array.of(7, 8), rgba);
  assert.deepEqual([...rgba.subarray(0, 6)], [0, 0, 7, 8, 0, 0]);
});

const flags = (count) => Uint8Array.from({ length: 256 }, (_, value) => Number(value < count));

test("a comparison has a color for same, different, unknown and hidden pixels", () => {
  const rgba = new Uint32Array(5);
  const shown = flags(3);
  shown[2] = 0;
  const differ = Uint32Array.from({ length: 256 }, (_, value) => 100 + value);
  const settings = { isClass: flags(3), shown, same: 5, differ, unknown: 9 };
  const own = Uint8Array.of(0, 1, 1, 2, 2);
  const other = Uint8Array.of(0, 0, 255, 2, 1);
  paintCompared({ ...settings, own, other, distance: null, reach: 0 }, rgba);
  assert.deepEqual([...rgba], [5, 101, 9, 0, 102]);
  paintCompared({ ...settings, own, other, distance: Uint8Array.of(1, 2, 3, 3, 4), reach: 2 }, rgba);
  assert.deepEqual([...rgba], [5, 101, 0, 0, 0]);
});

test("a difference is colored by who is right", () => {
  const colors = { isClass: flags(3), shown: flags(3), first: 1, second: 2, neither: 3 };
  const own = Uint8Array.of(0, 0, 0, 1, 0);
  const other = Uint8Array.of(1, 1, 1, 1, 2);
  const rgba = new Uint32Array(5);
  paintDifference({ ...colors, own, other, truth: Uint8Array.of(0, 1, 2, 0, 255) }, rgba);
  assert.deepEqual([...rgba], [1, 2, 3, 0, 0]);
  paintDifference({ ...colors, own, other, truth: null }, rgba);
  assert.deepEqual([...rgba], [3, 3, 3, 0, 3]);
});
