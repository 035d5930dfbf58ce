// One panel: title, read-out, canvas, cross, pin and failure sentence. Contents and size are set from outside.

import { make } from "../shared/elements.js";
import { numberText } from "../shared/text.js";
import { ZOOM_KEY } from "./help.js";
import { classShares } from "./maps.js";
import { coloring } from "./overlays.js";
import { colorInto, drawView } from "./painting.js";
import { Readout } from "./readout.js";

const LOST_MASK =
  "This mask could not be loaded. Reload the page; if it stays away, the run's folder may have been deleted.";
const LOST_IMAGE =
  "The image could not be loaded. Reload the page; if it stays away, its file may have been moved or deleted.";

const ZOOM_HINT = `${ZOOM_KEY} + scroll to zoom, or click the image first`;

// What a panel's canvas shows, in words.
function contentOf({ labels, heat, low, high }) {
  if (!labels) return "the image, its labels are still to come";
  return `${heat ? `heat map from ${numberText(low)} to ${numberText(high)}` : "class colours"} over the image`;
}

export class Panel {
  constructor() {
    this.dot = make("span", "dot");
    this.title = make("span", "title");
    this.subtitle = make("span", "subtitle");
    this.readout = new Readout();
    this.canvas = make("canvas", "", { role: "img" });
    this.cross = make("div", "cross", { "aria-hidden": "true" });
    this.pin = make("div", "pin", { "aria-hidden": "true" }); // the pinned point
    this.message = make("p", "message", { role: "status" });
    this.hint = make("p", "zoom-hint", { "aria-hidden": "true" }, ZOOM_HINT);
    this.stage = make("div", "stage", {}, this.canvas, this.pin, this.cross, this.message, this.hint);
    const head = make("div", "head", {}, this.dot, this.title, this.readout.element, this.subtitle);
    this.element = make("section", "", {}, head, this.stage);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.summary = ""; // text under the present overlay
    this.labels = this.confidence = this.entropy = this.shares = this.colored = null;
  }

  // Set the titles; `fill` brings the contents.
  describe(spec) {
    this.spec = spec;
    this.dot.hidden = !spec.color;
    this.dot.style.background = spec.color ?? "";
    this.title.textContent = this.title.title = spec.title;
    this.subtitle.textContent = spec.subtitle;
    this.readout.describe(spec);
    this.canvas.setAttribute("aria-label", `${spec.title}: ${contentOf(spec)}`);
    this.#setState("loading");
  }

  // Take the loaded maps; null for what failed or is still to come.
  fill({ image, labels, confidence }, classCount) {
    this.labels = labels;
    this.confidence = confidence;
    this.entropy = null; // fetched on request
    this.shares = labels && !this.spec.heat ? classShares(labels, classCount) : null;
    const isLost = this.spec.labels && !labels;
    if (image && !isLost) this.#setState("ready");
    else this.#setState("failed", isLost ? LOST_MASK : LOST_IMAGE);
  }

  // Color the panel for a scene; without the map that it needs, only the image is drawn.
  recolor(scene) {
    const found = coloring(this, scene);
    if (found) colorInto((this.colored ??= new OffscreenCanvas(1, 1)), found.map, found.paint);
    else this.colored = null;
  }

  // CSS pixels. A size that changes leaves the canvas empty.
  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    this.stage.style.width = `${width}px`;
    this.stage.style.height = `${height}px`;
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== columns) this.canvas.width = columns; // assigning clears, even when nothing changed
    if (this.canvas.height !== rows) this.canvas.height = rows;
  }

  draw(image, view, opacity) {
    drawView(this.context, image, this.colored, view, opacity);
  }

  // Put cross and pin at frame points; null, or out of the frame, hides them.
  showMarks(cross, pin) {
    this.#put(this.cross, cross);
    this.#put(this.pin, pin);
  }

  // Show for a moment how to zoom.
  hintAtZoom() {
    this.fading?.cancel();
    this.fading = this.hint.animate({ opacity: [1, 1, 0] }, { duration: 1800, easing: "ease-in" });
  }

  #put(element, point) {
    const [a, b] = point ?? [-1, -1];
    element.hidden = a < 0 || b < 0 || a > 1 || b > 1;
    element.style.left = `${a * 100}%`;
    element.style.top = `${b * 100}%`;
  }

  #setState(state, message = "") {
    this.element.className = `panel ${state}`;
    this.message.textContent = message;
  }
}
