// Wheel, double click, drag, pinch and tap, turned into views, into the image point under the pointer, and into the
// pinned one. Reads the viewer's `view`, and calls its `setView`, and `setHover` and `pin` of its `pointer`.

import { WHOLE, clamp, imagePoint, moved } from "./view.js";

const DOUBLE_CLICK_SCALE = 3;
const TAP_SLOP = 6; // CSS pixels a finger may wander and still tap
const WHEEL_REST_MS = 400; // a wheel that rested so long begins a new gesture

export class Gestures {
  constructor(viewer) {
    this.viewer = viewer;
    this.fingers = new Map(); // pointers that are down: id -> {x, y} in client pixels
    this.painting = null; // the pointer that paints, which is none of them: {id, x, y}
    this.lastWheel = -Infinity; // when the wheel last zoomed, in milliseconds
    this.tap = null; // where the only pointer went down, as long as it may still be a tap
  }

  listen(panel) {
    const on = (type, act, options) => panel.stage.addEventListener(type, act, options);
    on("wheel", (event) => this.#onWheel(event, panel), { passive: false });
    on("dblclick", (event) => this.#onDoubleClick(event, panel));
    on("pointerdown", (event) => this.#onDown(event, panel));
    on("pointermove", (event) => this.#onMove(event, panel));
    on("pointerup", (event) => this.#onUp(event, panel));
    on("pointercancel", (event) => {
      this.viewer.editor.object.pressed = null; // what the system takes away is no click
      return this.fingers.delete(event.pointerId) || this.#endPainting(event, panel);
    });
    on("pointerleave", (event) => {
      this.viewer.editor.leave();
      if (event.pointerType === "mouse") this.viewer.pointer.setHover(null);
    });
  }

  // Forget every pointer: one that is down on a removed panel sends no more events.
  release() {
    this.fingers.clear();
    this.painting = null;
  }

  // The wheel scrolls the page, unless it is clear that the image is meant.
  #onWheel(event, panel) {
    if (this.viewer.editor.wheel(event)) {
      event.preventDefault();
      return;
    }
    const { view } = this.viewer;
    const isMeant = event.ctrlKey || event.metaKey || this.viewer.hasAttention();
    const isAtEnd = view.scale === 1 && event.deltaY > 0 && event.timeStamp - this.lastWheel > WHEEL_REST_MS;
    if (!isMeant) panel.hintAtZoom();
    if (!isMeant || (isAtEnd && !event.ctrlKey && !event.metaKey && !this.viewer.isFull)) return;
    event.preventDefault();
    this.lastWheel = event.timeStamp;
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 32 : 1);
    const rate = event.ctrlKey ? 0.01 : 0.002; // a trackpad's pinch comes as small steps with ctrl
    const factor = clamp(Math.exp(-pixels * rate), 0.5, 2);
    this.viewer.setView(moved(view, factor, this.#locate(panel, event)));
    this.#pointTo(event, panel);
  }

  #onDoubleClick(event, panel) {
    if (this.viewer.editor.isPainting) return;
    const { view } = this.viewer;
    const zoomed = moved(view, DOUBLE_CLICK_SCALE, this.#locate(panel, event));
    this.viewer.setView(view.scale > 1 ? WHOLE : zoomed);
    this.#pointTo(event, panel);
  }

  #onDown(event, panel) {
    if (event.button !== 0) return;
    panel.stage.setPointerCapture(event.pointerId);
    const place = { x: event.clientX, y: event.clientY };
    if (this.painting && event.pointerType === "touch") this.#moveInstead();
    else if (this.fingers.size === 0 && this.viewer.editor.begin(event, panel)) {
      this.painting = { id: event.pointerId, ...place };
      return;
    }
    this.fingers.set(event.pointerId, place);
    this.tap = this.fingers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  }

  // Another finger comes to the one that painted: both move the picture, and nothing is painted.
  #moveInstead() {
    const { id, x, y } = this.painting;
    this.viewer.editor.cancel();
    this.painting = null;
    this.fingers.set(id, { x, y });
  }

  #endPainting(event, panel) {
    this.painting = null;
    return this.viewer.editor.end(event, panel);
  }

  #onMove(event, panel) {
    if (this.painting?.id === event.pointerId) Object.assign(this.painting, { x: event.clientX, y: event.clientY });
    if (this.fingers.has(event.pointerId)) this.#drag(event, panel);
    else if (this.viewer.editor.drag(event, panel)) return;
    if (event.pointerType === "mouse") this.#pointTo(event, panel);
  }

  #onUp(event, panel) {
    if (!this.fingers.has(event.pointerId) && this.#endPainting(event, panel)) return;
    if (!this.fingers.delete(event.pointerId) || !this.tap) return;
    this.#pointTo(event, panel);
    const { pointer } = this.viewer;
    if (pointer.hover) pointer.pin(pointer.hover.point);
  }

  // Keep the image under the pointers: one drags it, two drag and stretch it.
  #drag(event, panel) {
    const before = this.#grip();
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = this.#grip();
    const from = this.#locate(panel, before);
    const to = this.#locate(panel, after);
    this.viewer.setView(moved(this.viewer.view, after.spread / before.spread, from, to));
    if (this.tap && Math.hypot(event.clientX - this.tap.x, event.clientY - this.tap.y) > TAP_SLOP) this.tap = null;
  }

  // Middle and spread of the pointers that are down, in client pixels.
  #grip() {
    const fingers = [...this.fingers.values()];
    const clientX = fingers.reduce((sum, finger) => sum + finger.x, 0) / fingers.length;
    const clientY = fingers.reduce((sum, finger) => sum + finger.y, 0) / fingers.length;
    const spread = fingers.length < 2 ? 1 : Math.hypot(fingers[0].x - fingers[1].x, fingers[0].y - fingers[1].y) || 1;
    return { clientX, clientY, spread };
  }

  // The frame point of a client position.
  #locate(panel, { clientX, clientY }) {
    const box = panel.stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  #pointTo(event, panel) {
    const [a, b] = this.#locate(panel, event);
    const isInside = a >= 0 && b >= 0 && a < 1 && b < 1; // a captured pointer may leave the frame
    this.viewer.pointer.setHover(isInside ? { panel, point: imagePoint(this.viewer.view, [a, b]) } : null);
  }
}
