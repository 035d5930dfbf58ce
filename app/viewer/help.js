// The keys and gestures, listed in a dialog.

import { make, makeButton, makeRow } from "../shared/elements.js";

export const MODE_KEYS = { side: "b", single: "1 to 8", swipe: "w", difference: "d" };
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
export const ZOOM_KEY = isMac ? "⌘" : "Ctrl";

const KEYS = [
  [`${ZOOM_KEY} + scroll, or pinch`, "Zoom; after a click, scrolling does"],
  ["Double click", "Zoom in; again, show the whole image"],
  ["Drag, or arrow keys", "Move the zoomed image"],
  ["+ − 0", "Zoom in, zoom out, show the whole image"],
  ["Click, tap, or Enter", "Pin a pixel; Enter pins the one in the middle"],
  ["Escape", "Take the pin away"],
  ["b", "Side by side"],
  ["1 to 8", "One panel alone"],
  ["w", "Swipe between A and B"],
  ["d", "Difference of A and B"],
  ["c, e", "Show classes; show right or wrong"],
  ["[ ]", "Less and more opacity"],
  ["o, g, p", "Outlines, gray image, safe colours"],
  ["t", "Numbers of each class"],
  ["s", "Save what you see as PNG"],
  ["f", "Full screen"],
  ["?", "This list"],
];

export class Help {
  constructor() {
    const rows = KEYS.map((cells) => makeRow(cells, { header: true }));
    const close = makeButton("Close", "Close", () => this.element.close());
    this.element = make(
      "dialog",
      "help",
      { "aria-label": "Keys and gestures" },
      make("h2", "", {}, "Keys and gestures"),
      make("p", "", {}, "Keys work once you have clicked the images."),
      make("table", "", {}, ...rows),
      close
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
    this.element.addEventListener("keydown", (event) => event.stopPropagation());
  }

  show() {
    this.element.showModal();
  }
}
