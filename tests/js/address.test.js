// The page's address and the view say the same, in both directions, whatever someone has typed there.

import assert from "node:assert/strict";
import test from "node:test";

import { FIRST_LOOK, parametersOf, stateFrom } from "../../app/viewer/address.js";
import { WHOLE } from "../../app/viewer/view.js";

const searchOf = (state) =>
  parametersOf(state).filter(([, value]) => value !== null).map(([name, value]) => `${name}=${value}`).join("&");

test("an address without anything is the view as it begins, and the other way round", () => {
  const state = stateFrom("?runs=a&runs=b&image=x");
  const begin = { requested: { mode: "side", pair: null }, look: FIRST_LOOK, view: WHOLE, pin: null, hidden: [] };
  assert.deepEqual(state, begin);
  assert.equal(searchOf({ mode: "side", pair: [0, 1], ...state }), "");
});

test("everything that was chosen comes back", () => {
  const look = { ...FIRST_LOOK, opacity: 0.35, outlined: true, safe: true, overlay: "error" };
  const view = { scale: 2.5, x: 0.4321, y: 0.6 };
  const search = searchOf({ mode: "swipe", pair: [2, 0], look, view, pin: [0.25, 0.5], hidden: [7, 3] });
  assert.equal(
    search, "view=swipe-3-1&show=error&opacity=35&style=op&zoom=2.5_0.4321_0.6&pin=0.25_0.5&hide=3_7"
  );
  const expected = { requested: { mode: "swipe", pair: [2, 0] }, look, view, pin: [0.25, 0.5], hidden: [3, 7] };
  assert.deepEqual(stateFrom(`?${search}`), expected);
});

test("the address names a mode and a pair, or neither", () => {
  assert.deepEqual(stateFrom("?view=swipe-1-3&x=1").requested, { mode: "swipe", pair: [0, 2] });
  assert.deepEqual(stateFrom("?view=swipe-7-x").requested, { mode: "swipe", pair: null });
  for (const search of ["", "?view=constructor", "?view=-1-2"]) assert.equal(stateFrom(search).requested.mode, "side");
});

test("what makes no sense is left out, and a zoom is brought within its bounds", () => {
  const wrong = stateFrom("?show=toString&opacity=-3&style=xyz&zoom=2_a_0.5&pin=0.5_7&hide=a_-1_2.5_4");
  assert.deepEqual(wrong.look, FIRST_LOOK);
  assert.equal(wrong.pin, null);
  assert.deepEqual(wrong.view, WHOLE);
  assert.deepEqual(wrong.hidden, [4]);
  assert.deepEqual(stateFrom("?zoom=2_0_9").view, { scale: 2, x: 0.25, y: 0.75 });
  assert.equal(stateFrom("?zoom=9e9_0.5_0.5").view.scale, 40);
  assert.deepEqual(stateFrom("?zoom=0.1_0.5_0.5").view, WHOLE);
  assert.equal(stateFrom("?opacity=").look.opacity, 0);
});
