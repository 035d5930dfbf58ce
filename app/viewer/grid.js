// The panels in their grid: which exist, which are visible in a mode, how large they are, and when they are painted.

import { make } from "../shared/elements.js";
import { GAP, arrange } from "./layout.js";
import { summaryOf } from "./overlays.js";
import { Panel } from "./panel.js";
import { Swipe } from "./swipe.js";

const MAX_ABOVE = 240; // CSS pixels above the images that they leave room for; further down they have a window
const BELOW = 84; // the filmstrip at the lower edge
const MIN_HEIGHT = 320;
const KEYS = "Plus and minus zoom, arrows move, 0 shows the whole image, Enter pins the pixel in the middle";

export class Grid {
  // `listen(panel)` is called for every new panel.
  constructor(listen) {
    this.listen = listen;
    this.panels = [];
    this.mode = "side";
    this.pair = [0, 0]; // indices of the panels A and B
    this.columns = 1;
    this.swipe = new Swipe((share) => this.#setSwipe(share));
    this.element = make("div", "grid", { tabindex: "0", role: "group" });
  }

  // Bring the number of panels to that of `specs`, and describe them; the contents come later. Returns the removed
  // panels.
  setPanels(specs, name) {
    const removed = this.panels.splice(specs.length);
    for (const panel of removed) panel.element.remove();
    while (this.panels.length < specs.length) {
      const panel = new Panel();
      this.listen(panel);
      this.panels.push(panel);
      this.element.append(panel.element);
    }
    this.panels.forEach((panel, index) => panel.describe(specs[index]));
    const subject = name ? `Images of ${name}` : "Images";
    this.element.setAttribute("aria-label", `${subject}. ${KEYS}, question mark lists all keys.`);
    return removed;
  }

  // The panels whose canvas is seen.
  get visible() {
    const [first, second] = this.pair.map((index) => this.panels[index]);
    return { side: this.panels, single: [first], swipe: [first, second], difference: [first] }[this.mode];
  }

  setMode(mode, pair) {
    Object.assign(this, { mode, pair });
    const isPaired = mode === "swipe" || mode === "difference";
    this.panels.forEach((panel, index) => {
      const role = isPaired || mode === "single" ? ["first", "second"][pair.indexOf(index)] : undefined;
      panel.element.hidden = mode !== "side" && (role === undefined || (mode === "single" && role !== "first"));
      panel.element.dataset.role = isPaired && role ? role : "";
    });
    if (mode === "swipe") this.element.append(this.swipe.element);
    else this.swipe.element.remove();
  }

  // Fit the panels into the window. Returns false in a hidden tab of the page, where there is no width.
  resize(aspect, isFull) {
    const width = this.element.clientWidth;
    if (!width) return false;
    const height = Math.max(MIN_HEIGHT, window.innerHeight - this.#above(isFull) - (isFull ? GAP : BELOW));
    const count = this.mode === "side" ? this.panels.length : 1;
    const { columns, imageWidth } = arrange(count, aspect, width, height);
    const imageHeight = Math.round(imageWidth / aspect);
    this.columns = columns;
    this.element.style.gridTemplateColumns = `repeat(${columns}, ${imageWidth}px)`;
    for (const panel of this.panels) panel.resize(imageWidth, imageHeight);
    this.swipe.resize(imageWidth, imageHeight);
    return true;
  }

  // CSS pixels from the top of the page, or of the full screen, to the images.
  #above(isFull) {
    const top = this.element.getBoundingClientRect().top;
    if (isFull) return top;
    const page = document.querySelector("[data-testid=stMain]") ?? document.scrollingElement;
    return Math.min(MAX_ABOVE, top + page.scrollTop);
  }

  paint(image, view, opacity) {
    for (const panel of this.visible) panel.draw(image, view, opacity);
  }

  // Color every panel, also the invisible ones: a change of mode is then as quick as one of opacity.
  recolor(scene) {
    for (const panel of this.panels) panel.recolor(scene);
  }

  // Count each panel's summary once; it is shown whenever nothing is pointed at.
  summarize(scene) {
    for (const panel of this.panels) panel.summary = summaryOf(panel, scene);
  }

  #setSwipe(share) {
    this.swipe.show(share);
    this.element.style.setProperty("--swipe", `${share * 100}%`);
  }
}
