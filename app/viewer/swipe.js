// The line between A and B where one is wiped over the other: dragged by the pointer, stepped by keys.

import { make } from "../shared/elements.js";
import { clamp } from "./view.js";

const SWIPE_STEP = 0.05;

export class Swipe {
  // `onMove` gets the share of the image, 0..1 from the left, that shows A.
  constructor(onMove) {
    this.onMove = onMove;
    this.handle = make("div", "handle", {
      role: "slider",
      tabindex: "0",
      title: "Drag to wipe between A and B",
      "aria-label": "Share of the image that shows A",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
    });
    this.element = make("div", "divider", {}, this.handle);
    this.handle.addEventListener("pointerdown", (event) => this.handle.setPointerCapture(event.pointerId));
    this.handle.addEventListener("pointermove", (event) => this.#drag(event));
    this.handle.addEventListener("keydown", (event) => this.#step(event));
    this.show(0.5);
  }

  show(share) {
    this.share = share;
    this.element.style.setProperty("--swipe", `${share * 100}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(share * 100)));
  }

  // CSS pixels of the images below it.
  resize(width, height) {
    this.element.style.width = `${width}px`;
    this.element.style.height = `${height}px`;
  }

  #drag(event) {
    if (!this.handle.hasPointerCapture(event.pointerId)) return;
    const box = this.element.getBoundingClientRect();
    this.onMove(clamp((event.clientX - box.left) / box.width, 0, 1));
  }

  #step(event) {
    const steps = { ArrowLeft: -SWIPE_STEP, ArrowRight: SWIPE_STEP, Home: -1, End: 1 };
    if (!(event.key in steps)) return;
    this.onMove(clamp(this.share + steps[event.key], 0, 1));
    event.preventDefault();
    event.stopPropagation(); // elsewhere the arrows move the image
  }
}
