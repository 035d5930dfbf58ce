// The row of painting: classes, tools, size, undo, and whether everything is saved. Shows the editor's state and calls
// it for changes.

import { cssColor, make, makeButton, makeSelect, makeToggle, setOptions, setPressed } from "../shared/elements.js";
import { IGNORED } from "./maps.js";
import { TOOLS } from "./tools.js";

const LEAST_SURE = [0, 0.5, 0.7, 0.9];
const keyOf = (index) => (index < 9 ? String(index + 1) : index < 18 ? `Shift+${index - 8}` : "");

export class EditBar {
  constructor(editor) {
    this.editor = editor;
    this.leastSure = 0;
    this.classes = make("div", "edit-classes", { role: "group", "aria-label": "Class to paint" });
    this.tools = Object.entries(TOOLS).map(([name, [key, title, what]]) => {
      const button = makeToggle(title, `${title}: ${what} (${key})`, () => editor.setTool(name));
      return { name, button };
    });
    const tools = make("div", "switch", { role: "group", "aria-label": "Tool" }, ...this.tools.map(({ button }) => button));
    this.size = make("input", "", { type: "range", min: "0", max: "100", "aria-label": "Size of the brush" });
    this.size.addEventListener("input", () => editor.setRadius(0.5 * 400 ** (Number(this.size.value) / 100)));
    this.sizeText = make("output", "figure");
    this.sizes = make("label", "opacity", { title: "Size of the brush (, and .)" }, this.size, this.sizeText);
    const sure = makeSelect("if sure", "How sure a network must be for its answer to be taken", (value) => {
      this.leastSure = Number(value);
    });
    setOptions(sure.select, LEAST_SURE.map((share) => [share, share ? `${100 * share} %` : "any"]), 0);
    this.all = makeButton("Take all", "Take all that the network sees, in the whole picture", () => editor.takeAll());
    this.network = make("div", "looks", { role: "group", "aria-label": "Network" }, sure.element, this.all);
    this.undo = makeButton("Undo", "Undo (Ctrl+Z)", () => editor.undo());
    const clean = makeButton("Clean", "Give pieces of fewer than 32 pixels to what surrounds them", () => editor.clean());
    this.redo = makeButton("Redo", "Redo (Ctrl+Shift+Z)", () => editor.redo());
    const undo = make("div", "looks", { role: "group", "aria-label": "Undo, redo, clean" }, this.undo, this.redo, clean);
    this.state = make("output", "edit-state", { role: "status" });
    const row = make("div", "edit-tools", {}, tools, this.sizes, this.network, undo, this.state);
    const label = { role: "toolbar", "aria-label": "Painting" };
    this.element = make("div", "edit-bar", label, row, this.classes);
    this.element.hidden = true;
    this.element.addEventListener("keydown", (event) => {
      if (editor.key(event)) event.preventDefault();
    });
  }

  show() {
    const { editor } = this;
    const { data, colors, root } = editor.viewer;
    this.element.hidden = !editor.edit;
    root.dataset.tool = editor.isOn ? editor.tool : "";
    if (!editor.edit) return;
    this.#showClasses(data.classes, colors);
    for (const { name, button } of this.tools) setPressed(button, name === editor.tool);
    const position = (100 * Math.log(editor.radius / 0.5)) / Math.log(400);
    this.size.value = String(Math.round(position));
    this.size.style.setProperty("--filled", `${position}%`);
    this.sizeText.textContent = `${Math.max(1, Math.round(2 * editor.radius))} px`;
    const buttonOf = (tool) => this.tools.find(({ name }) => name === tool).button;
    const [takes, superpixel, object] = ["take", "superpixel", "object"].map(buttonOf);
    this.sizes.hidden = !["brush", "eraser"].includes(editor.tool);
    this.network.hidden = takes.hidden = !editor.hasNetwork;
    superpixel.hidden = !editor.superpixels;
    object.hidden = !editor.edit.objects;
    this.undo.disabled = editor.done.length === 0;
    this.redo.disabled = editor.undone.length === 0;
  }

  // Whether everything is saved: "saved", "saving", "waiting" or "failed", and a text.
  tell(state, text) {
    this.state.dataset.state = state;
    this.state.dataset.note = "false";
    if (state === "saved" && this.warning) text = this.warning;
    this.state.textContent = this.told = text;
    this.editor.viewer.root.dataset.saved = String(state === "saved");
  }

  // Say what is going on, or how it failed, until there is something else to say.
  note(text) {
    this.state.textContent = text || this.told || "";
    this.state.dataset.note = String(text !== "");
  }

  // Say something that stays until the next frame.
  warn(text) {
    this.warning = text;
    this.state.textContent = text;
  }

  #showClasses(classes, colors) {
    const { classIndex } = this.editor;
    const key = JSON.stringify([classes, colors]);
    if (key !== this.shownClasses) {
      this.shownClasses = key;
      const entries = [...classes.keys()].map((index) => this.#entry(index, classes[index], cssColor(colors[index])));
      this.classes.replaceChildren(...entries, this.#entry(IGNORED, "unlabelled", "transparent"));
    }
    for (const button of this.classes.children) {
      const isChosen = Number(button.dataset.index) === classIndex;
      setPressed(button, isChosen);
      if (isChosen) this.#bringIntoRow(button);
    }
  }

  // Where classes are one row that scrolls, show the one that was chosen by a key; the page itself stays.
  #bringIntoRow(button) {
    const [row, box] = [this.classes.getBoundingClientRect(), button.getBoundingClientRect()];
    if (box.left < row.left) this.classes.scrollLeft -= row.left - box.left;
    else if (box.right > row.right) this.classes.scrollLeft += box.right - row.right;
  }

  #entry(index, name, color) {
    const shortcut = index === IGNORED ? "0" : keyOf(index);
    const swatch = make("span", "swatch");
    swatch.style.background = color;
    const button = makeToggle(name, shortcut ? `${name} (${shortcut})` : name, () => this.editor.setClass(index));
    button.dataset.index = String(index);
    button.replaceChildren(swatch, make("span", "name", {}, name), make("span", "figure", {}, shortcut));
    return button;
  }
}
