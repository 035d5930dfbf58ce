// The meaning of the colors where they aren't classes.

import { make, makeSwatch } from "../shared/elements.js";
import { wholePerCent } from "../shared/text.js";
import { colorKeyOf } from "./overlays.js";
import { makeRamp } from "./readout.js";

// What the ends of the ramp mean, where they aren't shares.
const ENDS = { entropy: ["sure", "as good as guessing"], apart: ["they agree", "each sees something else"] };

export class ColorKey {
  constructor() {
    this.element = make("div", "color-key", { role: "note", "aria-label": "What the colours mean" });
  }

  show(scene) {
    const key = colorKeyOf(scene);
    this.element.hidden = key.length === 0;
    if (key !== "heat") {
      this.element.replaceChildren(...key.map(([color, text]) => make("span", "meaning", {}, makeSwatch(color), text)));
      return;
    }
    const [low, high] = ENDS[scene.overlay] ?? [wholePerCent(0), wholePerCent(1)];
    this.element.replaceChildren(make("span", "scale", {}, low, makeRamp(), high));
  }
}
