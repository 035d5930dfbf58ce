// Numbers as text.

import assert from "node:assert/strict";
import test from "node:test";

import { numberText, perCent, shareText, wholePerCent } from "../../app/shared/text.js";

test("three significant digits, with or without zeros at the end", () => {
  const trimmed = [0, 0.53, 12.5, 1234, 99_999].map((value) => numberText(value));
  assert.deepEqual(trimmed, ["0", "0.53", "12.5", "1230", "100000"]);
  assert.deepEqual([0, 0.53, 12.5].map((value) => numberText(value, { keepZeros: true })), ["0.00", "0.530", "12.5"]);
  assert.deepEqual([-2, 0.0001, 250_000].map((value) => numberText(value)), ["−2", "1.0e−4", "2.5e+5"]);
});

test("percentages", () => {
  assert.equal(perCent(25), "25.0\u00a0%");
  assert.equal(wholePerCent(0.604), "60\u00a0%");
  assert.deepEqual([0, 0.0001, 0.5].map(shareText), ["–", "<\u00a00.1\u00a0%", "50.0\u00a0%"]);
});
