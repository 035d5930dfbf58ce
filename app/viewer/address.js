// What the page's address says of the view, and what it should say: opened again, or by another, it shows the same.
// Pure arithmetic, but for `writeAddress`.
//
// view=swipe-1-2 is the mode and the panels A and B, counted from 1; show=error the overlay; opacity=80 in per cent;
// style=og switches outlines, gray image and safe colors on; zoom=2.5_0.4_0.6 is scale and middle; pin=0.4_0.6 the
// pinned point; hide=3_7 the hidden classes. What is as it begins isn't named.

import { MODES } from "./modes.js";
import { OVERLAYS, REACHES } from "./overlays.js";
import { MAX_SCALE, WHOLE, moved } from "./view.js";

export const FIRST_LOOK = {
  opacity: 0.6, outlined: false, gray: false, safe: false, overlay: "classes", reach: REACHES[1],
};
const STYLES = { o: "outlined", g: "gray", p: "safe" };
const DIGITS = 4; // of a point: a hundredth of a pixel on a screen

// {requested: {mode, pair}, look, view, pin, hidden} that an address's parameters name; what they don't is as it begins.
export function stateFrom(search) {
  const parameters = new URLSearchParams(search);
  const textOf = (name) => parameters.get(name) ?? "";
  const [mode, ...panels] = textOf("view").split("-");
  const pair = panels.map((number) => Number(number) - 1);
  const isPair = pair.length === 2 && pair.every((index) => Number.isInteger(index) && index >= 0);
  const opacity = parameters.has("opacity") ? Number(textOf("opacity")) / 100 : FIRST_LOOK.opacity;
  const look = { ...FIRST_LOOK, opacity: opacity >= 0 && opacity <= 1 ? opacity : FIRST_LOOK.opacity };
  if (Object.hasOwn(OVERLAYS, textOf("show"))) look.overlay = textOf("show");
  for (const [letter, name] of Object.entries(STYLES)) look[name] = textOf("style").includes(letter);
  const zoom = numbersOf(textOf("zoom"), 3);
  const pin = numbersOf(textOf("pin"), 2);
  const hidden = textOf("hide").split("_").filter(Boolean).map(Number);
  return {
    requested: { mode: Object.hasOwn(MODES, mode) ? mode : "side", pair: isPair ? pair : null },
    look,
    view: zoom ? within({ scale: zoom[0], x: zoom[1], y: zoom[2] }) : WHOLE,
    pin: pin?.every((coordinate) => coordinate >= 0 && coordinate <= 1) ? pin : null,
    hidden: hidden.filter((index) => Number.isInteger(index) && index >= 0),
  };
}

// [name, value] of every parameter; null where it needn't be named.
export function parametersOf({ mode, pair, look, view, pin, hidden }) {
  const style = Object.entries(STYLES).filter(([, name]) => look[name]).map(([letter]) => letter).join("");
  const point = (coordinates) => coordinates.map((coordinate) => Number(coordinate.toFixed(DIGITS))).join("_");
  return [
    ["view", mode === "side" ? null : [mode, ...pair.map((index) => index + 1)].join("-")],
    ["show", look.overlay === FIRST_LOOK.overlay ? null : look.overlay],
    ["opacity", look.opacity === FIRST_LOOK.opacity ? null : String(Math.round(look.opacity * 100))],
    ["style", style || null],
    ["zoom", view.scale === 1 ? null : point([view.scale, view.x, view.y])],
    ["pin", pin ? point(pin) : null],
    ["hide", hidden.length > 0 ? hidden.toSorted((a, b) => a - b).join("_") : null],
  ];
}

// Write them there; every other parameter and the page's history stay as they are.
export function writeAddress(state) {
  const address = new URL(location.href);
  for (const [name, value] of parametersOf(state)) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

function numbersOf(text, count) {
  const numbers = text.split("_").map((part) => (part ? Number(part) : NaN));
  return numbers.length === count && numbers.every(Number.isFinite) ? numbers : null;
}

// A view whose numbers came from elsewhere, brought within its bounds.
const within = (view) => moved({ ...view, scale: Math.min(MAX_SCALE, Math.max(1, view.scale)) }, 1, [0.5, 0.5]);
