// The pinned pixel, panel by panel: class, confidence, and the likeliest classes where the lab can compute them.

import { make, makeButton, makeRow, makeSwatch } from "../shared/elements.js";
import { shareText } from "../shared/text.js";
import { readingAt, wrongMark } from "./reading.js";

const WAITING = "The network looks once more for its likeliest classes.";

export class PinnedPixel {
  // `unpin` removes the pin.
  constructor(unpin) {
    this.title = make("span", "pinned-title");
    this.remove = makeButton("Remove pin", "Remove pin (Escape)", unpin);
    const head = make("div", "pinned-head", {}, this.title, this.remove);
    this.list = make("div", "pinned-list");
    this.element = make("section", "pinned", { "aria-label": "Pinned pixel", "aria-live": "polite" }, head, this.list);
    this.element.hidden = true;
  }

  // `point` is the pinned image point or null; `likeliest(panel)` is {value, problem}, see lazy.js, or null.
  show(point, panels, truth, data, colors, likeliest) {
    const masks = point ? panels.filter((panel) => panel.labels && !panel.spec.heat) : [];
    this.element.hidden = masks.length === 0;
    this.remove.hidden = Boolean(data?.picks); // Python holds that one
    if (masks.length === 0) return;
    const { width, height } = masks[0].labels;
    const [x, y] = [Math.floor(point[0] * width), Math.floor(point[1] * height)];
    this.title.textContent = `Pinned: column ${x}, row ${y} of ${width} × ${height}`;
    this.list.replaceChildren(
      ...masks.map((panel) => {
        const reading = readingAt(point, panel, truth, data.classes, colors);
        const mark = make("span", "mark", { title: "Differs from the truth" }, wrongMark(reading, false));
        const parts = [makeSwatch(reading.color), make("span", "reading", {}, reading.text)];
        return make(
          "article",
          "pinned-panel",
          {},
          make("h3", "", { title: panel.spec.title }, panel.spec.title),
          make("p", "readout", {}, ...parts, ...(reading.isWrong ? [mark] : [])),
          ...rankedClasses(likeliest(panel), data.classes, colors)
        );
      })
    );
  }
}

// The table of likeliest classes, or a sentence while they are computed or where that failed; nothing for null.
function rankedClasses(result, classes, colors) {
  if (!result) return [];
  if (!result.value) return [make("p", "wait", {}, result.problem || WAITING)];
  const rows = result.value.map(([index, probability]) => {
    const bar = make("span", "share-bar", { "aria-hidden": "true" });
    bar.style.setProperty("--share", String(probability));
    const row = makeRow([classes[index], bar, shareText(probability)], { header: true });
    row.firstChild.prepend(makeSwatch(colors[index]));
    row.lastChild.className = "figure";
    return row;
  });
  return [make("table", "top-five", {}, make("caption", "unseen", {}, "Likeliest classes"), ...rows)];
}
