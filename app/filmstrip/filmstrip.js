// The component: small pictures of any number of frames in a row, of which only those in sight exist. It sends one thing
// to Python: the frame that was chosen.

import { componentOf } from "../shared/component.js";
import { make } from "../shared/elements.js";
import { wholePerCent } from "../shared/text.js";
import { goal, inSight, scrolledTo } from "./reel.js";

const HEIGHT = 56; // of a picture, CSS pixels, as in filmstrip.css
const GAP = 6;

class Filmstrip {
  constructor(parent) {
    this.items = new Map(); // what is in sight: place -> element
    this.data = null;
    this.reel = make("div", "reel");
    const label = { tabindex: "0", role: "listbox", "aria-label": "Frames", "aria-orientation": "horizontal" };
    this.strip = make("div", "strip", label, this.reel);
    this.root = make("div", "lab-component filmstrip", {}, this.strip);
    parent.append(this.root);
    this.strip.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.strip.addEventListener("click", (event) => this.#choose(event.target.closest("[data-place]")?.dataset.place));
    this.strip.addEventListener("keydown", (event) => this.#onKey(event));
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.strip);
  }

  // `frames` are [number, caption, [a mean IoU or null for each run]], in their order; the picture of a frame lies at
  // `base` and its number. `chosen` is a place in that order.
  update(data, { setTriggerValue }) {
    this.send = (place) => setTriggerValue("chosen", this.data.frames[place][0]);
    const { base, frames, chosen, aspect, colors } = data;
    const serialized = JSON.stringify([base, frames, aspect, colors]);
    if (serialized !== this.serialized) {
      this.serialized = serialized;
      this.reel.replaceChildren();
      this.items.clear();
    }
    const isNew = !this.data || this.data.chosen !== chosen || this.data.frames.length !== frames.length;
    this.data = data;
    this.pitch = Math.round(HEIGHT * aspect) + GAP;
    this.reel.style.width = `${frames.length * this.pitch - GAP}px`;
    this.root.style.setProperty("--width", `${this.pitch - GAP}px`);
    if (isNew) this.#show(chosen);
    this.#draw();
    this.#mark(chosen);
  }

  destroy() {
    this.observer.disconnect();
    this.root.remove();
  }

  #draw() {
    if (!this.data) return;
    const { scrollLeft, clientWidth } = this.strip;
    const [first, end] = inSight(this.data.frames.length, this.pitch, scrollLeft, clientWidth);
    for (const [place, element] of this.items) {
      if (place >= first && place < end) continue;
      element.remove();
      this.items.delete(place);
    }
    for (let place = first; place < end; place++) {
      if (this.items.has(place)) continue;
      const element = this.#item(place);
      this.items.set(place, element);
      this.reel.append(element);
    }
  }

  #item(place) {
    const { base, frames, colors, chosen, names } = this.data;
    const [number, caption, scores] = frames[place];
    const picture = make("img", "", { src: `${base}${number}.jpg`, alt: "", decoding: "async", draggable: "false" });
    const marks = scores.map((score, run) => {
      const mark = make("i", "score");
      mark.style.setProperty("--run", colors[run]);
      mark.style.width = `${(score ?? 0) * 100}%`;
      return mark;
    });
    const said = scores.flatMap((score, run) => (score === null ? [] : [`${names[run]} ${wholePerCent(score)}`]));
    const title = [caption, ...said].join(", ");
    const attributes = { role: "option", "data-place": String(place), title, "aria-label": title };
    const element = make("div", "item", attributes, picture, make("div", "scores", {}, ...marks));
    element.style.left = `${place * this.pitch}px`;
    element.setAttribute("aria-selected", String(place === chosen));
    return element;
  }

  #show(place) {
    this.strip.scrollLeft = scrolledTo(place, this.pitch, this.strip.scrollLeft, this.strip.clientWidth);
  }

  #mark(chosen) {
    for (const [place, element] of this.items) element.setAttribute("aria-selected", String(place === chosen));
  }

  #choose(place) {
    if (place === undefined) return;
    this.data.chosen = Number(place);
    this.#show(this.data.chosen);
    this.#draw();
    this.#mark(this.data.chosen);
    this.send(this.data.chosen);
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    const page = Math.max(1, Math.floor(this.strip.clientWidth / this.pitch));
    const place = goal(event.key, this.data.chosen, this.data.frames.length, page);
    if (place === null) return;
    event.preventDefault();
    event.stopPropagation(); // the page's own shortcut would go on by another
    this.#choose(place);
  }
}

export default componentOf(Filmstrip);
