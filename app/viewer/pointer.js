// The pixel under the pointer and the pinned one: marked and read in every panel.

import { NBSP } from "../shared/text.js";
import { PinnedPixel } from "./pinned.js";
import { readingAt } from "./reading.js";
import { hintText } from "./readout.js";
import { framePoint } from "./view.js";

const SAME_POINT = 1e-3; // of the image

export class Pointer {
  constructor(viewer) {
    this.viewer = viewer;
    this.hover = null; // {panel, point} under the pointer or of the last tap
    this.picked = null; // the pinned image point; with `picks` Python knows it or will in a moment
    this.pinned = new PinnedPixel(() => this.unpin());
  }

  setHover(hover) {
    this.hover = hover;
    this.showHover();
  }

  // Pin an image point, and send it to Python where it is wanted. The second click of a double click pins nothing new.
  pin(point) {
    if (this.picked && Math.hypot(point[0] - this.picked[0], point[1] - this.picked[1]) < SAME_POINT) return;
    this.picked = point;
    this.showPin();
    this.viewer.keepAddress();
    if (this.viewer.data.picks) this.viewer.sendPick(point);
  }

  // Python's own pin stays: a result hangs on it.
  unpin() {
    if (!this.picked || this.viewer.data.picks) return;
    this.picked = null;
    this.showPin();
    this.viewer.keepAddress();
  }

  show() {
    this.showHover();
    this.showPin();
  }

  // The same image point in every panel: cross and reading there, and the shares of its panel in the legend.
  showHover() {
    const { data, grid, mode, colors, legend, root } = this.viewer;
    if (!data) return;
    const { hover } = this;
    const { truth, first, second } = this.viewer.scene();
    const visible = mode === "difference" ? [first, second] : grid.visible;
    const isTruthVisible = visible.includes(truth);
    const texts = [];
    for (const panel of grid.panels) {
      const reading = hover && readingAt(hover.point, panel, truth, data.classes, colors);
      const hint = hover || panel.summary ? "" : this.#hint(panel, visible);
      panel.readout.show(reading, hover ? "" : panel.summary || hint, isTruthVisible, Boolean(hint));
      if (reading) texts.push(`${panel.spec.title}: ${reading.text}${reading.isWrong ? " ≠" : ""}`);
    }
    this.showMarks();
    root.dataset.hover = texts.join("; ").replaceAll(NBSP, " ");
    legend.showShares([hover?.panel, truth, ...grid.panels]);
  }

  // The reading of the pinned pixel, and the networks' likeliest classes there.
  showPin() {
    const { data, grid, colors, lazy } = this.viewer;
    const likeliest = ({ spec }) => (spec.likeliest ? lazy.pixel(spec.likeliest, this.picked) : null);
    this.showMarks();
    this.pinned.show(this.picked, grid.panels, this.viewer.scene().truth, data, colors, likeliest);
  }

  showMarks() {
    const { view, grid } = this.viewer;
    const cross = this.hover && framePoint(view, this.hover.point);
    const pin = this.picked && framePoint(view, this.picked);
    for (const panel of grid.panels) panel.showMarks(cross, pin);
  }

  #hint(panel, visible) {
    return panel === visible[0] && !panel.spec.heat ? hintText(this.viewer.data.picks) : "";
  }
}
