// The component: a grid of pictures, a button that plays, and a scrubber over the evaluations.
//
// Streamlit calls the default export again on every script run, with the same parentElement: the instance is kept, and
// only what changed is told to it. It never sends anything to Python.

const SCENE_MS = 400;
const LAST_SCENE_MS = 1600; // the end is looked at before the film begins anew

const MARKUP = `
<div class="frames"></div>
<div class="bar">
  <button type="button" aria-pressed="false">Play</button>
  <input type="range" min="0" value="0" aria-label="Evaluation">
  <output></output>
</div>`;

class Film {
  constructor(parent) {
    this.root = document.createElement("section");
    this.root.className = "film";
    this.root.setAttribute("aria-label", "Film of the training");
    this.root.innerHTML = MARKUP; // fixed text; whatever comes from a run is set as textContent or as an address
    this.frames = this.root.querySelector(".frames");
    this.button = this.root.querySelector("button");
    this.scrubber = this.root.querySelector("input");
    this.caption = this.root.querySelector("output");
    this.scenes = [];
    this.strips = [];
    this.at = -1;
    this.timer = null;
    this.loading = new Map(); // address -> promise of the decoded picture
    this.button.onclick = () => (this.timer === null ? this.#play() : this.#pause());
    this.scrubber.oninput = () => {
      this.#pause();
      this.#show(this.scrubber.valueAsNumber);
    };
    parent.append(this.root);
  }

  update({ scenes, strips, aspect }) {
    const said = JSON.stringify([scenes, strips, aspect]);
    if (said === this.said) return;
    this.said = said;
    const step = this.scenes[this.at]?.step;
    const followed = this.at === this.scenes.length - 1;
    this.scenes = scenes;
    this.strips = strips;
    this.root.style.setProperty("--film-aspect", aspect);
    this.#layOut();
    this.scrubber.max = scenes.length - 1;
    this.root.classList.toggle("still", scenes.length < 2);
    if (scenes.length < 2) this.#pause();
    const same = scenes.findIndex((scene) => scene.step === step);
    this.#show(followed || same < 0 ? scenes.length - 1 : same);
    // All pictures at once: playing shall not wait for any.
    for (const { masks } of strips) for (const address of masks) this.#load(address);
  }

  close() {
    this.#pause();
    this.root.remove();
  }

  #layOut() {
    const names = this.strips.map(({ name, photo }) => `${name} ${photo}`).join("\n");
    if (names === this.names) return;
    this.names = names;
    this.frames.replaceChildren(
      ...this.strips.map(({ name, photo }) => {
        const figure = document.createElement("figure");
        const picture = Object.assign(document.createElement("img"), { src: photo, alt: name });
        figure.append(picture, Object.assign(document.createElement("img"), { alt: "its mask" }));
        return figure;
      }),
    );
  }

  // A picture is decoded before it is shown, so that the film doesn't flicker. One that is no longer kept is left out.
  #load(address) {
    if (!this.loading.has(address)) {
      const picture = new Image();
      picture.src = address;
      this.loading.set(
        address,
        picture.decode().then(
          () => true,
          () => {
            this.loading.delete(address); // asked for again the next time
            return false;
          },
        ),
      );
    }
    return this.loading.get(address);
  }

  async #show(at) {
    this.at = at;
    this.scrubber.value = at;
    this.caption.textContent = this.scenes[at].caption;
    this.scrubber.setAttribute("aria-valuetext", this.scenes[at].caption);
    const addresses = this.strips.map(({ masks }) => masks[at]);
    const there = await Promise.all(addresses.map((address) => this.#load(address)));
    if (this.at !== at) return; // the reader has moved on meanwhile
    [...this.frames.children].forEach((figure, number) => {
      if (there[number]) figure.lastChild.src = addresses[number];
    });
    this.root.dataset.step = this.scenes[at].step;
  }

  #play() {
    this.button.textContent = "Pause";
    this.button.setAttribute("aria-pressed", "true");
    const next = async () => {
      await this.#show((this.at + 1) % this.scenes.length);
      if (this.timer === null) return;
      this.timer = setTimeout(next, this.at === this.scenes.length - 1 ? LAST_SCENE_MS : SCENE_MS);
    };
    this.timer = setTimeout(next, 0);
  }

  #pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
    this.button.setAttribute("aria-pressed", "false");
  }
}

const instances = new WeakMap();

export default function ({ data, parentElement }) {
  if (!instances.has(parentElement)) instances.set(parentElement, new Film(parentElement));
  const instance = instances.get(parentElement);
  instance.update(data);
  return () => {
    instance.close();
    instances.delete(parentElement);
  };
}
