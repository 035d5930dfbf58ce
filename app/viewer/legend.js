// The classes below the images: their colors, their shares, and which of them are hidden. Paints no image.

import { cssColor, make, makeButton } from "../shared/elements.js";
import { shareText } from "../shared/text.js";
import { SharesTable } from "./shares.js";

export class Legend {
  // `onChange` is called when classes were hidden or shown.
  constructor(onChange) {
    this.onChange = onChange;
    this.hidden = new Set(); // class indices; they outlive the image
    this.classes = [];
    this.panels = [];
    this.entries = []; // the classes listed: {index, button, share}
    this.shown = null; // the panel whose shares the entries show
    this.title = make("span", "legend-title");
    this.all = makeButton("Show all", "Show all classes", () => this.hide([]));
    this.table = new SharesTable();
    const hint = make("span", "hint", {}, "Click a class to hide it, double-click to see it alone.");
    const tools = make("div", "tools", {}, this.all);
    this.head = make("div", "legend-head", {}, this.title, hint, tools);
    this.list = make("div", "legend", { role: "group", "aria-label": "Classes" });
    this.#showHidden();
  }

  // Other classes than before: their indices mean something else, and none is hidden.
  setClasses(classes, colors) {
    if (JSON.stringify(classes) !== JSON.stringify(this.classes)) this.hidden.clear();
    this.classes = classes;
    this.colors = colors;
  }

  // Show the classes in other colors.
  setColors(colors) {
    this.colors = colors;
    for (const { index, button } of this.entries) {
      button.firstChild.style.setProperty("--class-color", cssColor(colors[index]));
    }
    this.table.show(this.panels, this.classes, colors);
  }

  // List the classes that occur in any of the panels.
  listPresent(panels) {
    this.panels = panels;
    this.table.show(panels, this.classes, this.colors);
    const present = (index) => panels.some((panel) => panel.shares?.[index]);
    this.entries = [...this.classes.keys()].filter(present).map((index) => this.#entry(index));
    this.list.replaceChildren(...this.entries.map((entry) => entry.button));
    this.shown = null;
    this.#showHidden();
  }

  // Hidden where no panel has classes.
  setHidden(isHidden) {
    this.head.hidden = this.list.hidden = this.table.element.hidden = isHidden;
  }

  // Show the shares of the first of `panels` that has a mask.
  showShares(panels) {
    const panel = panels.find((candidate) => candidate?.shares);
    if (!panel || panel === this.shown) return;
    this.shown = panel;
    this.title.textContent = `Share of pixels: ${panel.spec.title}`;
    for (const { index, share } of this.entries) share.textContent = shareText(panel.shares[index]);
  }

  #entry(index) {
    const title = this.classes[index];
    const swatch = make("span", "swatch");
    swatch.style.setProperty("--class-color", cssColor(this.colors[index]));
    const name = make("span", "name", { title }, title);
    const share = make("span", "figure");
    const button = make("button", "entry", { type: "button", "data-class": title }, swatch, name, share);
    button.addEventListener("click", (event) => (event.altKey ? this.#isolate(index) : this.#toggle(index)));
    // By then the two clicks of a double click have undone each other.
    button.addEventListener("dblclick", (event) => event.altKey || this.#isolate(index));
    button.addEventListener("keydown", (event) => event.key === "o" && this.#isolate(index));
    return { index, button, share };
  }

  #toggle(index) {
    const hidden = new Set(this.hidden);
    if (!hidden.delete(index)) hidden.add(index);
    this.hide(hidden);
  }

  // Show one class alone, in later images too; or all again where it is alone already.
  #isolate(index) {
    const isAlone = this.entries.every((entry) => this.hidden.has(entry.index) === (entry.index !== index));
    this.hide(isAlone ? [] : [...this.classes.keys()].filter((other) => other !== index));
  }

  hide(indices) {
    this.hidden = new Set(indices);
    this.#showHidden();
    this.onChange();
  }

  #showHidden() {
    for (const { index, button } of this.entries) button.setAttribute("aria-pressed", String(!this.hidden.has(index)));
    this.all.disabled = this.hidden.size === 0;
  }
}
