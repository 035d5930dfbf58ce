// The line above a panel's image: the reading under the pointer, else a summary, else a hint. A heat map shows its
// scale there as long as the pointer is elsewhere.

import { cssColor, make } from "../shared/elements.js";
import { numberText } from "../shared/text.js";
import { HEAT_COLORS } from "./colors.js";
import { wrongMark } from "./reading.js";

// What to do where nothing is pointed at; `picks` where a click goes to Python.
export function hintText(picks) {
  const isTouch = matchMedia("(hover: none)").matches;
  if (picks) return isTouch ? "Tap a pixel to ask about it, pinch to zoom." : "Click a pixel to ask about it.";
  if (isTouch) return "Tap the image to pin a pixel, pinch to zoom.";
  return "Point at the image to read a pixel, click to pin it.";
}

// The colors of heat maps from low to high.
export function makeRamp() {
  const ramp = make("span", "ramp", { "aria-hidden": "true" });
  ramp.style.background = `linear-gradient(90deg, ${HEAT_COLORS.filter((_, value) => value % 15 === 0).map(cssColor)})`;
  return ramp;
}

export class Readout {
  constructor() {
    this.swatch = make("span", "swatch");
    this.text = make("span", "reading");
    this.mark = make("span", "mark", { title: "Differs from the truth" });
    this.low = make("span", "figure");
    this.high = make("span", "figure");
    this.scale = make("span", "scale", {}, this.low, makeRamp(), this.high);
    this.element = make("div", "readout", {}, this.swatch, this.text, this.mark, this.scale);
  }

  describe({ heat, low, high }) {
    this.isHeat = heat;
    this.low.textContent = numberText(low);
    this.high.textContent = numberText(high);
  }

  // Show a reading, or `fallback` where it is null.
  show(reading, fallback = "", isTruthVisible = true, isHint = false) {
    const { color } = reading ?? {};
    this.scale.hidden = !this.isHeat || Boolean(reading) || Boolean(fallback);
    this.text.hidden = this.mark.hidden = !this.scale.hidden;
    this.swatch.style.background = color ? cssColor(color) : "";
    this.swatch.hidden = !reading;
    this.text.textContent = reading?.text ?? fallback;
    this.element.classList.toggle("silent", !reading);
    this.text.classList.toggle("hinting", isHint);
    this.mark.textContent = reading?.isWrong ? wrongMark(reading, isTruthVisible) : "";
  }
}
