// The component: a grid of images with their masks, a button that plays, and a scrubber over the evaluations. It sends
// nothing to Python.

import { componentOf } from "../shared/component.js";
import { make, setPressed } from "../shared/elements.js";

const SCENE_MS = 400;
const LAST_SCENE_MS = 1600; // the end stays longer before the film begins anew

class Film {
  constructor(parent) {
    this.frames = make("div", "frames");
    this.button = make("button", "", { type: "button" });
    this.scrubber = make("input", "", { type: "range", min: "0", value: "0", "aria-label": "Evaluation" });
    this.caption = make("output");
    const bar = make("div", "bar", {}, this.button, this.scrubber, this.caption);
    this.root = make("section", "lab-component film", { "aria-label": "Film of the training" }, this.frames, bar);
    this.scenes = [];
    this.strips = [];
    this.index = -1; // of the scene that is shown
    this.timer = null;
    this.loading = new Map(); // address -> promise of whether the image could be decoded
    this.button.addEventListener("click", () => (this.timer === null ? this.#play() : this.#pause()));
    this.scrubber.addEventListener("input", () => {
      this.#pause();
      this.#show(this.scrubber.valueAsNumber);
    });
    this.#pause();
    parent.append(this.root);
  }

  update({ scenes, strips, aspect }) {
    const serialized = JSON.stringify([scenes, strips, aspect]);
    if (serialized === this.serialized) return;
    this.serialized = serialized;
    const step = this.scenes[this.index]?.step;
    const wasNewest = this.index === this.scenes.length - 1;
    this.scenes = scenes;
    this.strips = strips;
    this.root.style.setProperty("--film-aspect", aspect);
    this.#makeFrames();
    this.scrubber.max = scenes.length - 1;
    this.root.classList.toggle("still", scenes.length < 2);
    if (scenes.length < 2) this.#pause();
    const same = scenes.findIndex((scene) => scene.step === step);
    this.#show(wasNewest || same < 0 ? scenes.length - 1 : same);
    // All images at once, so that playing waits for none.
    for (const { masks } of strips) for (const address of masks) this.#load(address);
  }

  destroy() {
    this.#pause();
    this.root.remove();
  }

  #makeFrames() {
    const names = this.strips.map(({ name, image }) => `${name} ${image}`).join("\n");
    if (names === this.names) return;
    this.names = names;
    const figures = this.strips.map(({ name, image }) =>
      make("figure", "", {}, make("img", "", { src: image, alt: name }), make("img", "", { alt: "its mask" }))
    );
    this.frames.replaceChildren(...figures);
  }

  // An image is decoded before it is shown, so that the film doesn't flicker. One that is no longer there is left out.
  #load(address) {
    if (!this.loading.has(address)) this.loading.set(address, this.#decode(address));
    return this.loading.get(address);
  }

  async #decode(address) {
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
      return true;
    } catch {
      this.loading.delete(address); // fetched again the next time
      return false;
    }
  }

  async #show(index) {
    this.index = index;
    const { step, caption } = this.scenes[index];
    this.scrubber.value = index;
    this.scrubber.style.setProperty("--filled", `${(100 * index) / Math.max(1, this.scenes.length - 1)}%`);
    this.scrubber.setAttribute("aria-valuetext", caption);
    this.caption.textContent = caption;
    const addresses = this.strips.map(({ masks }) => masks[index]);
    const isDecoded = await Promise.all(addresses.map((address) => this.#load(address)));
    if (this.index !== index) return; // another scene was chosen meanwhile
    [...this.frames.children].forEach((figure, column) => {
      if (isDecoded[column]) figure.lastChild.src = addresses[column];
    });
    this.root.dataset.step = step;
  }

  #play() {
    this.#showButton("Pause", true);
    const next = async () => {
      await this.#show((this.index + 1) % this.scenes.length);
      if (this.timer === null) return;
      this.timer = setTimeout(next, this.index === this.scenes.length - 1 ? LAST_SCENE_MS : SCENE_MS);
    };
    this.timer = setTimeout(next, 0);
  }

  #pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.#showButton("Play", false);
  }

  #showButton(text, isPlaying) {
    this.button.textContent = text;
    setPressed(this.button, isPlaying);
  }
}

export default componentOf(Film);
