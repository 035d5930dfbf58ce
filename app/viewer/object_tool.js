// The tool Object: clicks and boxes go to the server, and the object that they mean comes back as a mask.
//
// A click or a box begins with another object. With Shift a click corrects the last one: on it, what is there is too
// much; beside it, what is there is missing.

import { EXACT, bytesOf } from "./images.js";
import { resized } from "./maps.js";

const BOX_FROM = 6; // CSS pixels that the pointer is drawn for a box

// The object at an address as a map, not 0 where it is; null where nothing was clicked.
async function fetchObject(address, prompts) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(prompts) });
  if (response.status === 204) return null;
  if (response.ok) return bytesOf(await createImageBitmap(await response.blob(), EXACT));
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `The object could not be found (${response.status}).`);
}

export class ObjectTool {
  // `apply(before, covered, value)` gives the object a value over `before`, or over what is there where that is null;
  // returns what was there. `tell` says how it stands.
  constructor({ apply, tell, fetch = fetchObject }) {
    Object.assign(this, { apply, tell, fetch });
    this.known = null; // the address of the photograph that the server has looked at
    this.asked = 0;
    this.forget();
  }

  // The next click begins with another object.
  forget() {
    Object.assign(this, { points: [], box: null, before: null, covered: null });
  }

  // Have the server look at a photograph, so that the first click doesn't wait for that.
  async look(address) {
    if (this.known === address) return;
    this.known = address;
    this.forget();
    await this.#ask(address, "Looking at the photograph, a few seconds");
  }

  press(point) {
    this.pressed = point;
  }

  // The corners of the box that is being drawn, back to the first; none for a click.
  boxTo([x, y], cssPixels) {
    if (!this.pressed) return [];
    const [left, top] = this.pressed;
    const isBox = Math.min(Math.abs(x - left), Math.abs(y - top)) * cssPixels > BOX_FROM;
    return isBox ? [[x, y], [left, y], [left, top], [x, top]] : [];
  }

  // The pointer went up: ask for the object. `size` is {width, height} of the mask.
  async release(address, point, cssPixels, size, value, isCorrection) {
    const { pressed } = this;
    if (!pressed) return;
    const isBox = this.boxTo(point, cssPixels).length > 0;
    this.pressed = null;
    const isOn = this.covered?.[Math.floor(pressed[1]) * size.width + Math.floor(pressed[0])] > 0;
    if (!isCorrection || isBox) this.forget();
    const [xs, ys] = [0, 1].map((axis) => [pressed[axis], point[axis]]);
    const share = (x, y) => [x / size.width, y / size.height];
    if (isBox) this.box = [...share(Math.min(...xs), Math.min(...ys)), ...share(Math.max(...xs), Math.max(...ys))];
    else this.points.push([...share(...pressed), isCorrection && isOn ? 0 : 1]);
    const { points, box } = this;
    const map = await this.#ask(address, "Looking for the object", { points, box });
    if (!map || this.points !== points || this.box !== box) return;
    this.covered = resized(map, size).values;
    this.before = this.apply(this.before, this.covered, value);
  }

  // The answer, null where a newer question came or it failed.
  async #ask(address, doing, { points, box } = { points: [], box: null }) {
    const number = ++this.asked;
    this.tell(doing);
    try {
      const map = await this.fetch(address, { points, box });
      if (number !== this.asked) return null;
      this.tell("");
      return map;
    } catch (error) {
      if (number === this.asked) this.tell(error.message);
      return null;
    }
  }
}
