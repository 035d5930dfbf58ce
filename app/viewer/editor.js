// Painting on the mask of a panel: tools, strokes, undo. What a stroke changed goes to the server as a patch; see
// `outbox.js`. The viewer asks `begin`, `drag`, `end` and `key` first, and goes on by itself where they return false.

import { EditBar } from "./edit_bar.js";
import { EXACT, bytesOf, decodeMap } from "./images.js";
import { IGNORED, resized } from "./maps.js";
import { ObjectTool } from "./object_tool.js";
import { Outbox, waitingAddresses } from "./outbox.js";
import {
  alikeColor,
  applyPatch,
  cleanPieces,
  coverConnected,
  coverPolygon,
  paintLine,
  patchBetween,
  strongestEdge,
} from "./raster.js";
import { Sketch } from "./sketch.js";
import { TOOLS } from "./tools.js";
import { clamp, imagePoint } from "./view.js";

const MAX_RADIUS = 200; // pixels of the mask
const RADIUS_STEP = 1.25;
const COLOR_TOLERANCE = 24; // of 255, in every channel
const LEAST_PIECE = 32; // pixels of a piece that cleaning leaves
const CLOSE_ENOUGH = 10; // CSS pixels from its first point at which a click closes a polygon
const SNAP = 8; // CSS pixels within which a corner looks for an edge
const STROKES = ["brush", "eraser", "superpixel"]; // tools that paint as long as the pointer is down

const sendTo = (address) => async (body) => {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json().catch(() => ({})) };
};

// The mask at an address as it is now, {map, revision}.
async function fetchMask(address) {
  const response = await fetch(address, { cache: "no-store" });
  if (!response.ok) throw new Error(`The mask could not be loaded (${response.status}).`);
  const map = bytesOf(await createImageBitmap(await response.blob(), EXACT));
  return { map, revision: response.headers.get("X-Revision") };
}

const outboxes = new Map(); // by address

function outboxAt(address) {
  if (!outboxes.has(address)) {
    const onConflict = async () => (await fetchMask(address)).revision;
    const options = { address, revision: "", store: localStorage, onState: () => {}, onConflict };
    outboxes.set(address, new Outbox({ ...options, send: sendTo(address) }));
  }
  return outboxes.get(address);
}

// Send what an earlier visit left in this browser, of all frames.
const sendWhatWaits = () => waitingAddresses(localStorage).forEach((address) => outboxAt(address).flush());

const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Editor {
  constructor(viewer) {
    this.viewer = viewer;
    this.edit = null; // {address, revision, panel, superpixels, objects} of what is painted on; null where nothing is
    this.labels = null; // the mask as it is painted, a map; null until it is loaded
    this.superpixels = null; // a map of their numbers; null until it is loaded
    this.tool = "brush";
    this.classIndex = 0;
    this.radius = 12;
    this.stroke = null; // what is under way: {before, last}
    this.corners = []; // of a polygon, in pixels of the mask
    this.done = []; // changes that can be undone: {patch, inverse}
    this.undone = [];
    this.object = new ObjectTool({
      apply: (before, covered, value) => this.#layObject(before, covered, value),
      tell: (text) => this.isOn && this.bar.note(text),
    });
    this.bar = new EditBar(this);
    this.sketch = new Sketch();
  }

  get element() {
    return this.bar.element;
  }

  get isOn() {
    return this.labels !== null;
  }

  // Whether the pointer paints, instead of moving the picture.
  get isPainting() {
    return this.isOn && this.tool !== "move";
  }

  get panel() {
    return this.viewer.grid.panels[this.edit.panel];
  }

  // Whether a panel of what is shown has the mask that is painted.
  owns(panel) {
    return this.isOn && panel === this.panel && this.viewer.data.edit?.address === this.edit.address;
  }

  // Begin with the mask of the data that is shown, which is loaded; `edit` is null where none is painted on.
  open(edit) {
    const isOther = edit?.address !== this.edit?.address;
    this.edit = edit ?? null;
    if (isOther) Object.assign(this, { labels: null, superpixels: null, done: [], undone: [], corners: [], stroke: null });
    if (isOther) this.object.forget();
    if (this.tool === "object" && !edit?.objects) this.tool = "brush";
    if (edit && !this.labels && this.panel.labels) {
      const { labels } = this.panel;
      this.labels = { ...labels, values: labels.values.slice() }; // the cached one stays as it came
      this.outbox = this.#outboxOf(edit);
      this.bar.warning = "";
      for (const patch of this.outbox.pending) applyPatch(this.labels.values, labels.width, patch);
      this.panel.labels = this.labels;
      this.outbox.flush();
      sendWhatWaits();
      this.#fetchSuperpixels();
      if (this.tool === "object") this.object.look(edit.objects);
    }
    this.bar.show();
  }

  // They come after the mask; until then, and where they can't be had, there is no tool for them.
  async #fetchSuperpixels() {
    const { edit } = this;
    const map = edit.superpixels ? await decodeMap(edit.superpixels).catch(() => null) : null;
    if (map && this.edit?.superpixels === edit.superpixels) {
      this.superpixels = resized(map, this.labels);
      this.bar.show();
    }
  }

  // The viewer goes: a stroke that is under way is as good as ended.
  close() {
    if (this.stroke) this.#record(this.stroke.before);
    this.stroke = null;
    this.object.forget();
  }

  // ---- pointer: each returns whether it was meant for painting

  begin(event, panel) {
    if (!this.isPainting) return false;
    const point = this.#pixelAt(event, panel);
    const [x, y] = point.map(Math.floor);
    const { width, height } = this.labels;
    this.doneBefore = this.done.length;
    const isInside = x >= 0 && y >= 0 && x < width && y < height;
    if (this.tool === "polygon") this.#addCorner(event, panel, point);
    else if (this.tool === "object") {
      if (isInside) this.object.press(point);
    } else if (STROKES.includes(this.tool)) {
      this.stroke = { before: this.labels.values.slice(), last: point };
      this.#paintTo(point);
    } else if (isInside) this.#fillAt([x, y], panel);
    return true;
  }

  drag(event, panel) {
    if (!this.isPainting) return false;
    this.#showSketch(event, panel);
    if (this.stroke) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length > 0 ? events : [event]) this.#paintTo(this.#pixelAt(each, panel));
    } else if (this.isLasso && event.buttons === 1) this.corners.push(this.#pixelAt(event, panel));
    return this.stroke !== null || ((this.isLasso || this.object.pressed) && event.buttons === 1);
  }

  end(event, panel) {
    if (!this.isPainting) return false;
    if (this.stroke) this.#commit(this.stroke.before);
    else if (this.tool === "object") this.#askObject(event, panel);
    else if (this.isLasso && this.corners.length > this.cornersBefore + 4) this.closePolygon();
    else this.corners.length = Math.min(this.corners.length, this.cornersBefore ?? 0);
    this.stroke = null;
    this.isLasso = false;
    this.#showSketch(event, panel);
    return true;
  }

  // Take back what the pointer that is down began: a second finger shows that the picture was to be moved.
  cancel() {
    if (this.stroke) {
      this.labels.values.set(this.stroke.before);
      this.stroke = null;
      this.viewer.showEdited(this.panel);
    }
    if (this.isLasso) this.corners.length = this.cornersBefore - 1;
    this.isLasso = false;
    this.object.pressed = null;
    while (this.done.length > this.doneBefore) this.undo();
    this.sketch.hide();
  }

  // The pointer left the panel, or was taken away.
  leave() {
    this.sketch.hide();
  }

  wheel(event) {
    if (!this.isPainting || !event.altKey) return false;
    this.setRadius(this.radius * (event.deltaY < 0 ? RADIUS_STEP : 1 / RADIUS_STEP));
    return true;
  }

  // ---- keys

  key(event) {
    if (!this.isOn) return false;
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "z") return false;
      if (event.shiftKey) this.redo();
      else this.undo();
      return true;
    }
    const tool = Object.keys(TOOLS).find((name) => TOOLS[name][0] === event.key);
    const digit = event.code?.startsWith("Digit") ? Number(event.code.slice(5)) : NaN;
    if (tool) this.setTool(tool);
    else if (digit === 0) this.setClass(IGNORED);
    else if (digit > 0) this.setClass(digit - 1 + (event.shiftKey ? 9 : 0));
    else if (event.key === ",") this.setRadius(this.radius / RADIUS_STEP);
    else if (event.key === ".") this.setRadius(this.radius * RADIUS_STEP);
    else if (event.key === "Enter" && this.corners.length > 2) this.closePolygon();
    else if (event.key === "Escape" && this.corners.length > 0) this.#dropPolygon();
    else return false;
    return true;
  }

  // ---- what the tool row calls

  setTool(tool) {
    if (tool === "object" && !this.edit.objects) return;
    if (tool !== "object") this.object.forget(); // an answer that is on its way comes too late
    this.tool = tool;
    this.#dropPolygon();
    this.bar.show();
    if (tool === "object") this.object.look(this.edit.objects);
  }

  setClass(index) {
    if (index !== IGNORED && index >= this.viewer.data.classes.length) return;
    this.classIndex = index;
    if (this.tool === "eraser" || this.tool === "move") this.tool = "brush";
    this.bar.show();
  }

  setRadius(radius) {
    this.radius = clamp(radius, 0.5, MAX_RADIUS);
    this.bar.show();
  }

  undo() {
    this.#goBack(this.done, this.undone, "inverse");
  }

  redo() {
    this.#goBack(this.undone, this.done, "patch");
  }

  // Take all that a panel's network sees, where it is as sure as the row says: of the whole picture.
  takeAll() {
    const source = this.#network();
    if (!source) return;
    const before = this.labels.values.slice();
    const { labels, sure } = source;
    for (let i = 0; i < before.length; i++) if (sure(i) && labels[i] !== IGNORED) this.labels.values[i] = labels[i];
    this.#commit(before);
  }

  // Give small pieces to what surrounds them.
  clean() {
    const before = this.labels.values.slice();
    cleanPieces(this.labels.values, this.labels, LEAST_PIECE);
    this.#commit(before);
  }

  closePolygon() {
    const before = this.labels.values.slice();
    this.#cover((covered) => coverPolygon(covered, this.labels, this.corners));
    this.#dropPolygon();
    this.#commit(before);
  }

  // ---- painting

  get value() {
    return this.tool === "eraser" ? IGNORED : this.classIndex;
  }

  #paintTo(point) {
    const { last } = this.stroke;
    if (this.tool === "superpixel") this.#coverSuperpixels(last, point);
    else paintLine(this.labels.values, this.labels, last, point, this.radius, this.value);
    this.stroke.last = point;
    this.viewer.showEdited(this.panel);
  }

  // Those that lie under the line between two points.
  #coverSuperpixels(from, to) {
    if (!this.superpixels) return;
    const { values, width, height } = this.superpixels;
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 0; step <= steps; step++) {
      const [x, y] = [0, 1].map((axis) => Math.floor(from[axis] + ((to[axis] - from[axis]) * step) / steps));
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const number = values[y * width + x];
      if (number === this.stroke.number) continue; // the one that was covered last
      this.stroke.number = number;
      this.#cover((covered) => coverConnected(covered, this.labels, [x, y], (index) => values[index] === number));
    }
  }

  #fillAt([x, y], panel) {
    const { labels } = this;
    const { width, values } = labels;
    const start = y * width + x;
    const before = values.slice();
    if (this.tool === "fill") {
      const isAlike = alikeColor(this.#colors(), start, COLOR_TOLERANCE);
      this.#cover((covered) => coverConnected(covered, labels, [x, y], isAlike));
    } else if (this.tool === "piece") {
      const own = values[start];
      this.#cover((covered) => coverConnected(covered, labels, [x, y], (index) => before[index] === own));
    } else {
      const source = this.#network(panel);
      if (!source) return;
      const seen = source.labels[start];
      const isAlike = (index) => source.labels[index] === seen && source.sure(index);
      this.#cover((covered) => coverConnected(covered, labels, [x, y], isAlike), seen);
    }
    this.#commit(before);
  }

  #askObject(event, panel) {
    const point = this.#pixelAt(event, panel);
    const { edit, labels, value } = this;
    this.object.release(edit.objects, point, this.#cssPixels(panel), labels, value, event.shiftKey);
  }

  // Give the pixels of an object the class, over what was there before it where it was painted already; returns that.
  #layObject(before, covered, value) {
    const { values } = this.labels;
    const now = values.slice();
    if (before) values.set(before);
    for (let i = 0; i < values.length; i++) if (covered[i]) values[i] = value;
    this.#record(now, true);
    this.#showDone();
    return before ?? now;
  }

  // Give every pixel that `act` covers a value.
  #cover(act, value = this.value) {
    const { values } = this.labels;
    this.covered = this.covered?.length === values.length ? this.covered.fill(0) : new Uint8Array(values.length);
    act(this.covered);
    for (let i = 0; i < values.length; i++) if (this.covered[i]) values[i] = value;
  }

  // The labels of the network whose panel is pointed at, or of the first one, at the mask's size.
  #network(panel = null) {
    const isNetwork = ({ spec, labels }) => labels && !spec.heat && !spec.is_truth;
    const others = this.viewer.grid.panels.filter((each) => each !== this.panel && isNetwork(each));
    const chosen = others.includes(panel) ? panel : others[0];
    if (!chosen) return null;
    const sureness = chosen.confidence ? resized(chosen.confidence, this.labels).values : null;
    const least = 255 * this.bar.leastSure;
    return {
      labels: resized(chosen.labels, this.labels).values,
      sure: (index) => !sureness || sureness[index] >= least,
    };
  }

  get hasNetwork() {
    return this.isOn && this.#network() !== null;
  }

  // The picture's RGBA bytes at the mask's size.
  #colors() {
    const { image } = this.viewer;
    if (this.colorsOf !== image) {
      const { width, height } = this.labels;
      const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0, width, height);
      this.colorsOf = image;
      this.rgba = context.getImageData(0, 0, width, height).data;
    }
    return this.rgba;
  }

  // ---- polygons

  #addCorner(event, panel, pointer) {
    const scale = this.#cssPixels(panel);
    const [first] = this.corners;
    const point = event.shiftKey ? strongestEdge(this.#colors(), this.labels, pointer, SNAP / scale) : pointer;
    const isClosed = first && Math.hypot(point[0] - first[0], point[1] - first[1]) * scale < CLOSE_ENOUGH;
    if (isClosed && this.corners.length > 2) {
      this.closePolygon();
      return;
    }
    this.corners.push(point);
    this.cornersBefore = this.corners.length;
    this.isLasso = true; // as long as the pointer stays down
    this.#showSketch(event, panel);
  }

  #dropPolygon() {
    this.corners = [];
    this.sketch.hide();
  }

  // ---- changes

  #commit(before) {
    this.#record(before);
    this.#showDone();
  }

  // Keep and send what changed, if anything did; but for the object itself, what was clicked is done with.
  #record(before, isObject = false) {
    if (!isObject) this.object.forget();
    const { values, width } = this.labels;
    const patch = patchBetween(before, values, width);
    if (!patch) return;
    this.done.push({ patch, inverse: patchBetween(values, before, width) });
    this.undone = [];
    this.#send(patch);
  }

  #goBack(from, to, name) {
    const change = from.pop();
    if (!change) return;
    this.object.forget();
    to.push(change);
    applyPatch(this.labels.values, this.labels.width, change[name]);
    this.#send(change[name]);
    this.#showDone();
  }

  #send(patch) {
    this.outbox.add({ id: newId(), ...patch });
  }

  #showDone() {
    this.labels = { ...this.labels }; // another map for what is counted once a map
    this.panel.labels = this.labels;
    this.viewer.showEdited(this.panel, true);
    this.bar.show();
  }

  // The one outbox of a mask: another editor's, or an earlier visit's, may still be sending from it.
  #outboxOf({ address, revision }) {
    const outbox = outboxAt(address);
    const isShown = () => this.edit?.address === address;
    if (outbox.pending.length === 0) outbox.revision = revision;
    outbox.onState = (state, text) => isShown() && this.bar.tell(state, text);
    outbox.onConflict = async (text) => {
      const { map, revision: now } = await fetchMask(address);
      if (isShown()) this.#layOver(map, outbox.pending, text);
      return now;
    };
    return outbox;
  }

  // The mask was changed elsewhere: what is on its way is laid over it, and what was done before can't be undone.
  #layOver(map, patches, text) {
    for (const patch of patches) applyPatch(map.values, map.width, patch);
    Object.assign(this, { labels: map, done: [], undone: [] });
    this.object.forget();
    this.#showDone();
    this.bar.warn(`${text} What you painted since is laid over it.`);
  }

  // ---- geometry

  // The point under an event, in pixels of the mask.
  #pixelAt(event, panel) {
    const box = panel.stage.getBoundingClientRect();
    const frame = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const [u, v] = imagePoint(this.viewer.view, frame);
    return [u * this.labels.width, v * this.labels.height];
  }

  // CSS pixels a pixel of the mask.
  #cssPixels(panel) {
    return (panel.stage.clientWidth * this.viewer.view.scale) / this.labels.width;
  }

  #showSketch(event, panel) {
    const scale = this.#cssPixels(panel);
    const box = panel.stage.getBoundingClientRect();
    const pointer = [event.clientX - box.left, event.clientY - box.top];
    const radius = this.tool === "brush" || this.tool === "eraser" ? this.radius * scale : 0;
    const { view } = this.viewer;
    const drawn = this.tool === "object" ? this.object.boxTo(this.#pixelAt(event, panel), scale) : this.corners;
    const corners = drawn.map(([x, y]) => [
      ((x / this.labels.width - view.x) * view.scale + 0.5) * box.width,
      ((y / this.labels.height - view.y) * view.scale + 0.5) * box.height,
    ]);
    this.sketch.show(panel.stage, pointer, radius, corners);
  }
}

