// The component: a chip for each run, with an eye. It sends one thing to Python: the order, and what is hidden.

import { componentOf } from "../shared/component.js";
import { make, makeButton } from "../shared/elements.js";
import { makeIcon } from "../shared/icons.js";
import { alone, moved, toggled } from "./order.js";

const STEPS = { ArrowUp: -1, ArrowDown: 1 };

class RunChips {
  constructor(parent) {
    this.list = make("ul", "chips", { "aria-label": "Runs. Alt and an arrow key move one, S shows it alone." });
    this.root = make("div", "lab-component", {}, this.list);
    parent.append(this.root);
  }

  // `runs` are [id, name, CSS colour, score] in their order; `hidden` are ids.
  update({ runs, hidden }, { setTriggerValue }) {
    this.send = setTriggerValue;
    this.runs = new Map(runs.map((run) => [run[0], run]));
    this.ids = [...this.runs.keys()];
    this.hidden = hidden;
    this.#draw();
  }

  destroy() {
    this.root.remove();
  }

  #draw() {
    const focused = this.root.getRootNode().activeElement?.closest?.("li")?.dataset.id;
    this.list.replaceChildren(...this.ids.map((id, place) => this.#chip(id, place)));
    if (focused) this.list.querySelector(`li[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  #chip(id, place) {
    const [, name, color, score] = this.runs.get(id);
    const isHidden = this.hidden.includes(id);
    const dot = make("i", "dot");
    dot.style.background = color;
    const eye = makeButton(
      makeIcon(isHidden ? "closed" : "safe"), `${isHidden ? "Show" : "Hide"} ${name}`,
      () => this.#arrange(this.ids, toggled(this.ids, this.hidden, id)), "eye",
    );
    const only = makeButton("only", `Show ${name} alone, or all again`, () => this.#showAlone(id), "only");
    const title = `${name}${score ? `, ${score}` : ""}`;
    const attributes = { draggable: "true", tabindex: "0", "data-id": id, title, "aria-label": title };
    const chip = make("li", isHidden ? "chip off" : "chip", attributes, dot, make("span", "name", {}, name));
    chip.append(make("b", "", {}, score), ...(this.ids.length > 1 ? [only, eye] : []));
    chip.addEventListener("keydown", (event) => this.#onKey(event, id, place));
    chip.addEventListener("dragstart", (event) => {
      this.dragged = place;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", name);
    });
    chip.addEventListener("dragover", (event) => this.dragged !== undefined && event.preventDefault());
    chip.addEventListener("drop", (event) => {
      if (this.dragged === undefined) return;
      event.preventDefault();
      this.#arrange(moved(this.ids, this.dragged, place), this.hidden);
    });
    chip.addEventListener("dragend", () => (this.dragged = undefined));
    return chip;
  }

  #onKey(event, id, place) {
    if (event.altKey && event.key in STEPS) {
      this.#arrange(moved(this.ids, place, place + STEPS[event.key]), this.hidden);
    } else if (event.key === "s" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.#showAlone(id);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #showAlone(id) {
    if (this.ids.length > 1) this.#arrange(this.ids, alone(this.ids, this.hidden, id));
  }

  #arrange(ids, hidden) {
    const isSame = String(ids) === String(this.ids) && String(hidden) === String(this.hidden);
    if (isSame) return;
    [this.ids, this.hidden] = [ids, hidden];
    this.#draw();
    this.send("arranged", { order: ids, hidden });
  }
}

export default componentOf(RunChips);
