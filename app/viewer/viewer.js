// The component: one view, one pointer and one look, shared by all panels. It sends one thing to Python: the picked
// point, where Python asks for points.

import { componentOf } from "../shared/component.js";
import { make } from "../shared/elements.js";
import { stateFrom, writeAddress } from "./address.js";
import { Bar } from "./bar.js";
import { Chooser } from "./chooser.js";
import { ColorKey } from "./color_key.js";
import { Editor } from "./editor.js";
import { safeColors } from "./colors.js";
import { Gestures } from "./gestures.js";
import { Grid } from "./grid.js";
import { Help } from "./help.js";
import { ImageCache } from "./images.js";
import { listenToKeys } from "./keyboard.js";
import { LazyMaps } from "./lazy.js";
import { Legend } from "./legend.js";
import { classShares } from "./maps.js";
import { allowed, withPanel } from "./modes.js";
import { overlaysFor } from "./overlays.js";
import { grayed } from "./painting.js";
import { Pointer } from "./pointer.js";
import { saveView } from "./saving.js";
import { WHOLE } from "./view.js";

const ADDRESS_MS = 250; // the address follows when nothing has changed for so long: browsers ration its changes

class Viewer {
  constructor(parent) {
    const { requested, look, view, pin, hidden } = stateFrom(location.search);
    this.view = view;
    this.look = look;
    this.requested = requested; // {mode, pair}; the present panels may not allow it
    this.hiddenAtFirst = hidden; // until the classes are known
    this.mode = "side";
    this.pair = [0, 0]; // the panels A and B; in single mode A is seen
    this.sendPick = () => {}; // sends a picked point to Python
    this.data = null; // what is shown, as Python described it
    this.pending = null; // what is to be shown, once it is loaded
    this.image = null;
    this.grayImage = null; // made when it is first needed
    this.isFull = false;
    this.edited = null; // the panel whose mask is being painted on
    this.frame = 0; // the animation frame in which everything is painted, 0 for none
    this.images = new ImageCache();
    this.lazy = new LazyMaps({ onMap: () => this.#showScene(), onPixel: () => this.pointer.showPin() });
    this.pointer = new Pointer(this);
    this.pointer.picked = pin;
    this.gestures = new Gestures(this);
    this.grid = new Grid((panel) => this.gestures.listen(panel));
    this.colorKey = new ColorKey();
    this.chooser = new Chooser(this);
    this.bar = new Bar(this);
    this.legend = new Legend(() => {
      this.recolor();
      this.keepAddress();
    });
    this.help = new Help();
    this.editor = new Editor(this);
    listenToKeys(this.grid.element, this);
    const { legend, pointer } = this;
    const label = { role: "toolbar", "aria-label": "What is shown, and how" };
    const toolbar = make("div", "toolbar", label, this.chooser.element, this.bar.element);
    const below = [this.colorKey.element, pointer.pinned.element, legend.head, legend.list, this.help.element];
    const above = [toolbar, this.editor.element, legend.table.element];
    this.root = make("div", "lab-component viewer", {}, ...above, this.grid.element, ...below);
    parent.append(this.root);
    this.onResize = () => this.layout();
    this.observer = new ResizeObserver(this.onResize);
    this.observer.observe(this.root);
    window.addEventListener("resize", this.onResize); // the window's height counts too
    this.root.addEventListener("fullscreenchange", () => this.#showFullScreen());
  }

  destroy() {
    this.observer.disconnect();
    window.removeEventListener("resize", this.onResize);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.addressTimer);
    this.pending = null; // loads still under way see it and stop
    this.editor.close();
    this.images.keepOnly(new Set());
    this.lazy.keepOnly(new Set());
    this.root.remove();
  }

  // ---- data

  // The first panels are shown at once and filled one by one; later ones replace what is shown when all are loaded.
  async update(data, { setTriggerValue }) {
    this.sendPick = (point) => setTriggerValue("picked", point);
    data = this.#withOwnMask(data);
    const serialized = JSON.stringify(data);
    if (serialized === this.serialized) return; // a theme change, or a script run with nothing new
    this.serialized = serialized;
    if (data.picks) this.pointer.picked = data.picked;
    this.pointer.showMarks();
    this.pending = data;
    this.root.dataset.ready = "false";
    const loads = data.panels.map((spec) => this.images.load(data.image, spec));
    const isFirst = !this.data;
    if (isFirst) {
      this.aspect = data.aspect;
      this.#setPanels(data);
      this.legend.hide(this.hiddenAtFirst.filter((index) => index < data.classes.length));
      loads.forEach(async (load, index) => {
        const loaded = await load;
        if (this.pending === data) this.#fill(this.grid.panels[index], loaded);
      });
    }
    const loaded = await Promise.all(loads);
    if (this.pending !== data) return; // overtaken by a later call
    if (!isFirst) {
      this.#setPanels(data);
      this.grid.panels.forEach((panel, index) => this.#fill(panel, loaded[index]));
    }
    this.images.keepOnly(new Set([data.image, ...data.panels.flatMap((spec) => [spec.labels, spec.confidence])]));
    this.lazy.keepOnly(new Set(data.panels.flatMap((spec) => [spec.entropy, spec.likeliest])));
    this.editor.open(data.edit);
    this.legend.listPresent(this.grid.panels);
    this.#requestEntropy();
    if (this.#comparesPanels()) this.recolor(); // what came first was colored before it could be compared
    this.#showControls();
    this.grid.summarize(this.scene());
    this.pointer.show();
    this.draw();
    requestAnimationFrame(() => (this.root.dataset.ready = String(this.pending === data))); // after that frame's paint
  }

  // What is painted here is newer than what Python knows: the mask of the same frame isn't fetched again.
  #withOwnMask(data) {
    const { edit } = data;
    if (!edit || edit.address !== this.data?.edit?.address) return data;
    const panels = data.panels.map((spec, index) =>
      index === edit.panel ? { ...spec, labels: this.data.panels[edit.panel].labels } : spec
    );
    return { ...data, panels, edit: this.data.edit };
  }

  // A panel's mask is being painted on; with `isDone` a stroke has ended, and everything that hangs on it is counted.
  showEdited(panel, isDone = false) {
    if (!isDone) {
      this.edited = panel; // colored with the next frame: pointers move more often than that
      this.draw();
      return;
    }
    panel.shares = classShares(panel.labels, this.data.classes.length);
    this.legend.listPresent(this.grid.panels);
    this.#showScene();
  }

  #setPanels(data) {
    this.data = data;
    const removed = this.grid.setPanels(data.panels, data.name);
    if (removed.length > 0) this.gestures.release();
    if (removed.includes(this.pointer.hover?.panel)) this.pointer.hover = null;
    const onlyHeat = data.panels.every((spec) => spec.heat);
    this.#setPalette();
    this.legend.setClasses(data.classes, this.colors);
    this.legend.setHidden(onlyHeat);
    this.bar.setHeat(onlyHeat);
    this.chooser.offer(data.panels);
    if (!overlaysFor(data.panels).includes(this.look.overlay)) this.look.overlay = "classes";
    this.#applyMode();
  }

  #fill(panel, loaded) {
    const { image } = loaded;
    if (this.editor.owns(panel)) loaded = { ...loaded, labels: this.editor.labels };
    if (image !== this.image) this.grayImage = null;
    this.image = image;
    if (image) this.#setAspect(image.width / image.height);
    panel.fill(loaded, this.data.classes.length);
    panel.recolor(this.scene());
    this.draw();
  }

  // An image of other proportions is shown whole, and nothing is pinned: the old points mean nothing there.
  #setAspect(aspect) {
    if (Math.abs(aspect / this.aspect - 1) <= 0.01) return;
    this.aspect = aspect;
    if (!this.data.picks) this.pointer.picked = null;
    this.setView(WHOLE);
    this.layout();
  }

  // ---- drawing

  // What all panels are colored by; see overlays.js.
  scene() {
    const { look, mode, colors, pair, grid } = this;
    const { overlay, outlined, reach } = look;
    const [first, second] = pair.map((index) => grid.panels[index] ?? null);
    const truth = grid.panels.find((panel) => panel.spec.is_truth) ?? null;
    const networks = grid.panels.filter(({ spec }) => !spec.heat && !spec.is_truth);
    const classCount = this.data?.classes.length ?? 0;
    const { hidden } = this.legend;
    return { overlay, mode, outlined, reach, colors, classCount, hidden, truth, first, second, networks };
  }

  // The image as it is drawn: in gray where that is chosen.
  get drawnImage() {
    if (!this.look.gray || !this.image) return this.image;
    return (this.grayImage ??= grayed(this.image));
  }

  layout() {
    if (!this.data || !this.grid.resize(this.aspect, this.isFull)) return;
    this.root.dataset.columns = String(this.grid.columns);
    this.#paint(); // at once: a resized canvas is empty, and waiting for the next frame would flash
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.#paint();
    });
  }

  #paint() {
    this.edited?.recolor(this.scene());
    this.edited = null;
    this.grid.paint(this.drawnImage, this.view, this.look.opacity);
  }

  recolor() {
    this.grid.recolor(this.scene());
    this.draw();
  }

  #comparesPanels() {
    return this.mode === "difference" || !["classes", "confidence"].includes(this.look.overlay);
  }

  // Fetch the entropy of each panel where it is to be seen.
  #requestEntropy() {
    if (this.look.overlay !== "entropy") return;
    for (const panel of this.grid.panels) {
      const result = panel.spec.entropy ? this.lazy.map(panel.spec.entropy) : null;
      panel.entropy = result?.value ?? null;
      panel.entropyProblem = result?.problem;
    }
  }

  #setPalette() {
    this.colors = this.look.safe ? safeColors(this.data.classes.length) : this.data.colors;
  }

  // ---- mode

  setMode(mode) {
    this.#request({ mode });
  }

  // Let `index` be panel A (slot 0) or B (slot 1).
  setPair(slot, index) {
    this.#request({ pair: withPanel(this.pair, slot, index) });
  }

  showAlone(index) {
    this.#request({ mode: "single", pair: withPanel(this.pair, 0, index) });
  }

  #request(changes) {
    Object.assign(this.requested, changes);
    this.#applyMode();
    this.#showScene();
  }

  // Apply the requested mode as far as the panels allow it.
  #applyMode() {
    const { mode, pair } = allowed(this.requested, this.data.panels);
    Object.assign(this, { mode, pair });
    this.grid.setMode(mode, pair);
    this.root.dataset.mode = mode;
    this.#showControls();
    this.layout();
  }

  // ---- look

  // Change some of {opacity, outlined, gray, safe, overlay, reach}.
  setLook(changes) {
    if ("overlay" in changes && !overlaysFor(this.data.panels).includes(changes.overlay)) return;
    Object.assign(this.look, changes);
    if ("safe" in changes) {
      this.#setPalette();
      this.legend.setColors(this.colors);
    }
    this.#showControls();
    if (Object.keys(changes).every((name) => name === "opacity" || name === "gray")) this.draw(); // no color changes
    else this.#showScene();
  }

  // Color, count and read everything that depends on the scene.
  #showScene() {
    this.#requestEntropy();
    this.recolor();
    this.grid.summarize(this.scene());
    this.pointer.show();
  }

  setView(view) {
    this.view = view;
    this.bar.show(this);
    this.#showAttributes();
    this.pointer.showMarks();
    this.draw();
  }

  #showControls() {
    this.bar.show(this);
    this.chooser.show(this);
    this.colorKey.show(this.scene());
    this.#showAttributes();
  }

  // Attributes that style sheets and tests read.
  #showAttributes() {
    const { view, root } = this;
    const { opacity, overlay } = this.look;
    this.keepAddress();
    root.toggleAttribute("data-zoomed", view.scale > 1);
    Object.assign(root.dataset, { scale: view.scale.toFixed(2), opacity: opacity.toFixed(2), overlay });
  }

  // Let the page's address say what is seen, in a moment.
  keepAddress() {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => {
      const { mode, pair, look, view, data } = this;
      const pin = data.picks ? null : this.pointer.picked;
      writeAddress({ mode, pair, look, view, pin, hidden: [...this.legend.hidden] });
    }, ADDRESS_MS);
  }

  // ---- tools

  // Whether the wheel over an image is surely meant for it.
  hasAttention() {
    return this.isFull || this.root.matches(":focus-within");
  }

  toggleFullScreen() {
    if (this.isFull) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  #showFullScreen() {
    this.isFull = this.root.matches(":fullscreen");
    this.bar.show(this);
    this.layout();
  }

  // Open or close the drawer of numbers.
  toggleTable() {
    this.legend.table.setOpen(!this.legend.table.isOpen);
    this.bar.show(this);
  }

  showHelp() {
    this.help.show();
  }

  save() {
    if (this.image) saveView(this);
  }
}

export default componentOf(Viewer);
