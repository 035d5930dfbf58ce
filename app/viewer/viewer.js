// The mask viewer in the browser: decodes label maps, colours them, and shares one view and one pointer among panels.
//
// Canvas 2D, no build step. Each label map is decoded once into a byte per pixel, coloured through a lookup table into
// an offscreen canvas once per class toggle, and drawn over the photo with `globalAlpha`; hovering only reads bytes and
// moves DOM elements. Streamlit calls the default export at mount and again whenever data or theme change.

const MAX_SCALE = 40;
const DOUBLE_CLICK_SCALE = 3;
const KEY_ZOOM = 1.5;
const KEY_PAN = 0.15; // of the visible part
const TAP_SLOP = 6; // CSS pixels a finger may wander and still tap
const GAP = 16; // between panels, as in viewer.css
const HEAD = 58; // title and read-out above a picture, as in viewer.css
const NARROW = 560; // below this width, one column
const MOST_COLUMNS = 4;
const CHROME = 280; // what page header, toolbar and legend take from the window's height
const NBSP = "\u00a0";

const HINT = matchMedia("(hover: none)").matches
  ? "Tap the picture to read a pixel, pinch to zoom."
  : "Point at the picture to read a pixel, scroll to zoom.";

const LOST_MASK =
  "This mask could not be loaded. Reload the page; if it stays away, the run's folder may have been deleted.";
const LOST_PHOTO =
  "The photo could not be loaded. Reload the page; if it stays away, its file may have been moved or deleted.";

// ---------------------------------------------------------------------------------------------- small helpers

function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

function percent(share) {
  if (share === 0) return "–";
  if (share < 0.0005) return `<${NBSP}0.1${NBSP}%`;
  return `${(share * 100).toFixed(1)}${NBSP}%`;
}

// ---------------------------------------------------------------------------------------------------- decoding

async function fetchBlob(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.blob();
}

async function loadPhoto(url) {
  return createImageBitmap(await fetchBlob(url));
}

// A gray PNG as {width, height, values}: the bytes as written, without colour management or premultiplied alpha.
async function loadBytes(url) {
  const blob = await fetchBlob(url);
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const words = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const values = new Uint8Array(words.length);
  for (let i = 0; i < words.length; i++) values[i] = words[i] & 255; // red, which equals green and blue
  return { width, height, values };
}

const valueAt = (map, u, v) =>
  map.values[Math.min(map.height - 1, Math.floor(v * map.height)) * map.width +
    Math.min(map.width - 1, Math.floor(u * map.width))];

// Fraction of the labelled pixels of each class; `count` classes, values beyond them are ignored.
function classShares({ values }, count) {
  const histogram = new Uint32Array(256);
  for (let i = 0; i < values.length; i++) histogram[values[i]]++;
  const counts = Array.from(histogram.subarray(0, count));
  const labelled = counts.reduce((sum, n) => sum + n, 0) || 1;
  return counts.map((n) => n / labelled);
}

// --------------------------------------------------------------------------------------------------- colouring

// 256 RGBA words (little endian), transparent for hidden classes and ignored pixels.
function lookupTable(colors, hidden) {
  const table = new Uint32Array(256);
  colors.forEach(([red, green, blue], index) => {
    if (!hidden.has(index)) table[index] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  return table;
}

// Maps are coloured one after the other: one buffer does for all of a size, and nothing is left to collect.
let scratch = new ImageData(1, 1);

function scratchFor({ width, height }) {
  if (scratch.width !== width || scratch.height !== height) scratch = new ImageData(width, height);
  return scratch;
}

function paintFilled({ values }, table, words) {
  for (let i = 0; i < values.length; i++) words[i] = table[values[i]];
}

// Only pixels within `reach` of another class keep their colour, so that lines survive scaling a large map down.
function paintOutlined({ values, width, height }, table, words) {
  const reach = Math.max(1, Math.round(width / 512));
  const down = reach * width;
  words.fill(0);
  for (let y = 0, i = 0; y < height; y++) {
    const above = y >= reach;
    const below = y + reach < height;
    for (let x = 0; x < width; x++, i++) {
      const value = values[i];
      const edge =
        (x >= reach && values[i - reach] !== value) ||
        (x + reach < width && values[i + reach] !== value) ||
        (above && values[i - down] !== value) ||
        (below && values[i + down] !== value);
      if (edge) words[i] = table[value];
    }
  }
}

// ------------------------------------------------------------------------------------------------------ layout

// How many columns, and how wide a picture, so that `count` pictures are as large as they can be. A picture fills its
// column unless it would grow much too tall for the window.
function arrange(count, aspect, width, height) {
  const single = width < NARROW;
  let best = null;
  for (let columns = 1; columns <= (single ? 1 : Math.min(count, MOST_COLUMNS)); columns++) {
    const rows = single ? 1 : Math.ceil(count / columns);
    const column = (width - (columns - 1) * GAP) / columns;
    const fitting = Math.min(column, Math.max(120, height / rows - HEAD) * aspect);
    const fills = fitting >= 0.8 * column;
    const picture = Math.floor(fills ? column : fitting);
    const score = fills ? picture : 0.8 * picture; // a ragged right edge has its price
    if (!best || score > best.score) best = { columns, picture, score };
  }
  return best;
}

// ------------------------------------------------------------------------------------------------------- panel

// One picture with its title, read-out and failure sentence.
class PanelView {
  constructor() {
    this.dot = make("span", "dot");
    this.title = make("span", "title");
    this.subtitle = make("span", "subtitle");
    this.swatch = make("span", "swatch");
    this.answer = make("span", "answer");
    this.mark = make("span", "mark", { title: "Differs from the truth" });
    this.readout = make("div", "readout", {}, this.swatch, this.answer, this.mark);
    this.canvas = make("canvas", "", { role: "img" });
    this.cross = make("div", "cross", { "aria-hidden": "true" });
    this.message = make("p", "message", { role: "status" });
    this.stage = make("div", "stage", {}, this.canvas, this.cross, this.message);
    this.table = make("table", "unseen");
    const head = make("div", "head", {}, this.dot, this.title, this.subtitle);
    this.element = make("section", "panel loading", {}, head, this.readout, this.stage, this.table);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.labels = null;
  }

  describe(spec) {
    this.spec = spec;
    this.dot.hidden = !spec.color;
    this.dot.style.background = spec.color ?? "";
    this.title.textContent = this.title.title = spec.title;
    this.subtitle.textContent = spec.subtitle;
    this.canvas.setAttribute("aria-label", `${spec.title}: class colours over the photo`);
    this.setState("loading");
  }

  setState(state, message = "") {
    this.element.className = `panel ${state}`;
    this.message.textContent = message;
  }

  setMaps(labels, confidence, classes) {
    this.labels = labels;
    this.confidence = confidence;
    this.shares = labels && classShares(labels, classes.length);
    this.colored = labels && new OffscreenCanvas(labels.width, labels.height);
    const rows = (this.shares ?? []).flatMap((share, index) =>
      share ? [make("tr", "", {}, make("th", "", { scope: "row" }, classes[index]), make("td", "", {}, percent(share)))] : []
    );
    this.table.replaceChildren(make("caption", "", {}, `Share of labelled pixels: ${this.spec.title}`), ...rows);
  }

  recolor(table, outlined) {
    if (!this.labels) return;
    const pixels = scratchFor(this.labels);
    (outlined ? paintOutlined : paintFilled)(this.labels, table, new Uint32Array(pixels.data.buffer));
    this.colored.getContext("2d").putImageData(pixels, 0, 0);
  }

  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.stage.style.width = `${width}px`;
    this.stage.style.height = `${height}px`;
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== columns) this.canvas.width = columns; // assigning clears, even when nothing changed
    if (this.canvas.height !== rows) this.canvas.height = rows;
  }

  draw(photo, view, opacity) {
    const { context, canvas } = this;
    const width = canvas.width * view.scale;
    const height = canvas.height * view.scale;
    const left = canvas.width / 2 - view.x * width;
    const top = canvas.height / 2 - view.y * height;
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "medium";
    if (photo) context.drawImage(photo, left, top, width, height);
    if (!this.labels || opacity === 0) return;
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = width < this.labels.width; // beyond 1:1 a pixel of the mask is a hard square
    context.drawImage(this.colored, left, top, width, height);
  }

  // What this panel says at the image point (u, v), both 0..1: {index, text, wrong}; null where there is no mask.
  ask(u, v, classes, truth) {
    if (!this.labels) return null;
    const index = valueAt(this.labels, u, v);
    const name = classes[index] ?? "not labelled";
    if (this.spec.is_truth) return { index, text: `truth: ${name}`, wrong: false };
    let text = name;
    if (this.confidence) text += ` ${Math.round(valueAt(this.confidence, u, v) / 2.55)}${NBSP}%`;
    else if (this.spec.confidence) text += ", confidence not loaded";
    const right = truth?.labels ? valueAt(truth.labels, u, v) : index;
    return { index, text, wrong: right < classes.length && right !== index };
  }

  tell(answer, colors, otherwise = "") {
    const color = answer && colors[answer.index];
    this.swatch.style.background = color ? css(color) : "";
    this.swatch.hidden = !answer;
    this.answer.textContent = answer?.text ?? otherwise;
    this.readout.classList.toggle("silent", !answer);
    this.mark.textContent = answer?.wrong ? "≠" : "";
  }

  // Put the cross at (a, b) of the frame, both 0..1 inside it; without a place there is none. Sizes are remembered,
  // not asked of the page: reading them between two writes would lay the page out anew for each panel.
  pointAt(a = -1, b = -1) {
    this.cross.hidden = a < 0 || b < 0 || a > 1 || b > 1;
    if (!this.cross.hidden) this.cross.style.transform = `translate(${a * this.width}px, ${b * this.height}px)`;
  }
}

// ------------------------------------------------------------------------------------------------------ viewer

class Viewer {
  constructor(parent) {
    this.view = { scale: 1, x: 0.5, y: 0.5 }; // magnification, and the image point (0..1) in the middle
    this.opacity = 0.6;
    this.outlined = false;
    this.hidden = new Set();
    this.panels = [];
    this.photo = null;
    this.aspect = 2;
    this.cache = new Map(); // url -> promise of what it decodes to
    this.point = null; // {u, v, panel} under the pointer or the last tap
    this.fingers = new Map(); // pointers that are down: id -> {x, y} in client pixels
    this.frame = 0;
    this.build(parent);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.root);
    this.onWindowResize = () => this.layout();
    window.addEventListener("resize", this.onWindowResize); // the window's height counts too
  }

  build(parent) {
    this.grid = make("div", "grid", { tabindex: "0", role: "group" });
    this.grid.addEventListener("keydown", (event) => this.onKey(event));

    this.slider = make("input", "", { type: "range", min: "0", max: "100", step: "1", "aria-label": "Opacity of the labels" });
    this.slider.value = String(this.opacity * 100);
    this.slider.addEventListener("input", () => this.setOpacity(Number(this.slider.value) / 100));
    this.opacityText = make("output", "figure");
    const opacity = make("label", "opacity", {}, make("span", "", {}, "Labels"), this.slider, this.opacityText);

    this.outlineButton = make("button", "toggle", { type: "button", "aria-pressed": "false" }, "Outlines");
    this.outlineButton.addEventListener("click", () => this.setOutlined(!this.outlined));

    const button = (text, label, act, className = "") => {
      const element = make("button", className, { type: "button", "aria-label": label, title: label }, text);
      element.addEventListener("click", act);
      return element;
    };
    this.zoomText = make("output", "figure", { "aria-label": "Zoom" });
    this.resetButton = button("Reset", "Show the whole picture", () => this.setView({ scale: 1, x: 0.5, y: 0.5 }));
    const zoom = make("div", "zoom", { role: "group", "aria-label": "Zoom" },
      button("−", "Zoom out", () => this.zoomBy(1 / KEY_ZOOM), "step"), this.zoomText,
      button("+", "Zoom in", () => this.zoomBy(KEY_ZOOM), "step"), this.resetButton);
    const bar = make("div", "bar", { role: "toolbar", "aria-label": "View" }, opacity, this.outlineButton, zoom);

    this.legendTitle = make("span", "legend-title");
    this.allButton = button("Show all", "Show all classes", () => this.setHidden([]));
    const hint = make("span", "hint", {}, "Click a class to hide it, double-click to see it alone.");
    this.legend = make("div", "legend", { role: "group", "aria-label": "Classes" });
    const legendHead = make("div", "legend-head", {}, this.legendTitle, hint, this.allButton);

    this.root = make("div", "viewer", { "data-ready": "false" }, this.grid, bar, legendHead, this.legend);
    parent.append(this.root);
    this.showControls();
  }

  destroy() {
    this.observer.disconnect();
    window.removeEventListener("resize", this.onWindowResize);
    cancelAnimationFrame(this.frame);
    this.wanted = null; // loads still under way see it and stop
    this.forget(new Set());
    this.root.remove();
  }

  // ---- data

  async update(data) {
    const text = JSON.stringify(data);
    if (text === this.text) return; // a theme change, or a rerun with nothing new
    this.text = text;
    this.wanted = data;
    this.root.dataset.ready = "false";
    const loads = data.panels.map((spec) => this.loadPanel(data.image, spec));
    const first = this.panels.length === 0;
    if (first) {
      this.aspect = data.aspect;
      this.showPanels(data);
      loads.forEach((load, index) => load.then((got) => this.wanted === data && this.fill(this.panels[index], got)));
    }
    const loaded = await Promise.all(loads);
    if (this.wanted !== data) return; // overtaken by a later call
    if (!first) {
      this.showPanels(data);
      this.panels.forEach((panel, index) => this.fill(panel, loaded[index]));
    }
    this.forget(new Set([data.image, ...data.panels.flatMap((spec) => [spec.labels, spec.confidence])]));
    this.showLegend();
    this.showPoint();
    this.draw(() => (this.root.dataset.ready = String(this.wanted === data)));
  }

  // Never rejects: what could not be had is null.
  async loadPanel(image, spec) {
    const [photo, labels, confidence] = await Promise.all([
      this.load(image, loadPhoto),
      this.load(spec.labels, loadBytes),
      spec.confidence ? this.load(spec.confidence, loadBytes) : null,
    ]);
    return { photo, labels, confidence };
  }

  load(url, decode) {
    if (!this.cache.has(url)) {
      const result = decode(url).catch((error) => {
        console.warn("mask viewer:", error);
        this.cache.delete(url); // the next call tries again
        return null;
      });
      this.cache.set(url, result);
    }
    return this.cache.get(url);
  }

  forget(keep) {
    for (const [url, result] of this.cache) {
      if (keep.has(url)) continue;
      this.cache.delete(url);
      result.then((got) => got?.close?.()); // photos hold their pixels outside the garbage collector's sight
    }
  }

  showPanels(data) {
    this.data = data;
    while (this.panels.length > data.panels.length) this.panels.pop().element.remove();
    while (this.panels.length < data.panels.length) {
      const panel = new PanelView();
      this.listen(panel);
      this.panels.push(panel);
      this.grid.append(panel.element);
    }
    this.panels.forEach((panel, index) => panel.describe(data.panels[index]));
    const what = data.name ? `Pictures of ${data.name}` : "Pictures";
    this.grid.setAttribute("aria-label", `${what}. Plus and minus zoom, arrows move, 0 shows the whole picture.`);
    const classes = JSON.stringify(data.classes);
    if (classes !== this.classes) this.hidden.clear(); // other classes: the numbers mean something else
    this.classes = classes;
    this.layout();
  }

  fill(panel, { photo, labels, confidence }) {
    this.photo = photo;
    const aspect = photo ? photo.width / photo.height : this.aspect;
    if (Math.abs(aspect / this.aspect - 1) > 0.01) {
      this.aspect = aspect;
      this.view = { scale: 1, x: 0.5, y: 0.5 };
      this.showControls();
      this.layout();
    }
    panel.setMaps(labels, confidence, this.data.classes);
    panel.recolor(lookupTable(this.data.colors, this.hidden), this.outlined);
    if (photo && labels) panel.setState("ready");
    else panel.setState("failed", labels ? LOST_PHOTO : LOST_MASK);
    this.draw();
  }

  get truth() {
    return this.panels.find((panel) => panel.spec.is_truth);
  }

  // ---- drawing

  layout() {
    const width = this.root.clientWidth;
    if (!width || !this.panels.length) return;
    const height = this.data?.height ?? Math.max(320, window.innerHeight - CHROME);
    const { columns, picture } = arrange(this.panels.length, this.aspect, width, height);
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${picture}px)`;
    for (const panel of this.panels) panel.resize(picture, Math.round(picture / this.aspect));
    this.root.dataset.columns = String(columns);
    this.paint(); // at once: a resized canvas is empty, and waiting for the next frame would flash
  }

  draw(then) {
    if (then) this.afterDraw = then;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
      this.afterDraw?.();
      this.afterDraw = null;
    });
  }

  paint() {
    for (const panel of this.panels) panel.draw(this.photo, this.view, this.opacity);
  }

  recolor() {
    const table = lookupTable(this.data.colors, this.hidden);
    for (const panel of this.panels) panel.recolor(table, this.outlined);
    this.draw();
  }

  // ---- controls

  setOpacity(opacity) {
    this.opacity = opacity;
    this.showControls();
    this.draw();
  }

  setOutlined(outlined) {
    this.outlined = outlined;
    this.showControls();
    this.recolor();
  }

  setView({ scale, x, y }) {
    scale = clamp(scale, 1, MAX_SCALE);
    const margin = 0.5 / scale;
    this.view = { scale, x: clamp(x, margin, 1 - margin), y: clamp(y, margin, 1 - margin) };
    this.showControls();
    this.showPoint();
    this.draw();
  }

  // Zoom so that what lies at (a, b) of the picture's frame, both 0..1, stays there.
  zoomBy(factor, a = 0.5, b = 0.5) {
    const { scale, x, y } = this.view;
    const next = clamp(scale * factor, 1, MAX_SCALE);
    const shift = 1 / scale - 1 / next;
    this.setView({ scale: next, x: x + (a - 0.5) * shift, y: y + (b - 0.5) * shift });
  }

  showControls() {
    const { scale } = this.view;
    this.slider.style.setProperty("--filled", `${this.opacity * 100}%`);
    this.opacityText.textContent = `${Math.round(this.opacity * 100)}${NBSP}%`;
    this.zoomText.textContent = `${scale.toFixed(1)}×`;
    this.resetButton.disabled = scale === 1;
    this.outlineButton.setAttribute("aria-pressed", String(this.outlined));
    this.root.toggleAttribute("data-zoomed", scale > 1);
    this.root.dataset.scale = scale.toFixed(2);
    this.root.dataset.opacity = this.opacity.toFixed(2);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { scale, x, y } = this.view;
    const step = KEY_PAN / scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "+" || event.key === "=") this.zoomBy(KEY_ZOOM);
    else if (event.key === "-") this.zoomBy(1 / KEY_ZOOM);
    else if (event.key === "0") this.setView({ scale: 1, x: 0.5, y: 0.5 });
    else if (moves[event.key] && scale > 1) this.setView({ scale, x: x + moves[event.key][0], y: y + moves[event.key][1] });
    else return; // unzoomed, the arrows scroll the page
    event.preventDefault();
  }

  // ---- classes

  setHidden(indices) {
    this.hidden = new Set(indices);
    this.showHidden();
    this.recolor();
  }

  toggleClass(index) {
    const hidden = new Set(this.hidden);
    if (!hidden.delete(index)) hidden.add(index);
    this.setHidden(hidden);
  }

  // Show one class alone, or all again where it is alone already.
  isolateClass(index) {
    const others = this.entries.map((entry) => entry.index).filter((other) => other !== index);
    const alone = !this.hidden.has(index) && others.every((other) => this.hidden.has(other));
    this.setHidden(alone ? [] : others);
  }

  showLegend() {
    const { classes, colors } = this.data;
    const present = classes.map((_, index) => index).filter((index) => this.panels.some((panel) => panel.shares?.[index]));
    this.entries = present.map((index) => {
      const swatch = make("span", "swatch");
      swatch.style.setProperty("--class-color", css(colors[index]));
      const share = make("span", "figure");
      const name = make("span", "name", { title: classes[index] }, classes[index]);
      const button = make("button", "entry", { type: "button", "data-class": classes[index] }, swatch, name, share);
      button.addEventListener("click", (event) => (event.altKey ? this.isolateClass(index) : this.toggleClass(index)));
      button.addEventListener("dblclick", (event) => event.altKey || this.isolateClass(index)); // two clicks undid each other
      button.addEventListener("keydown", (event) => event.key === "o" && this.isolateClass(index));
      return { index, button, share };
    });
    this.shown = null; // the panel whose shares the entries show
    this.legend.replaceChildren(...this.entries.map((entry) => entry.button));
    this.showHidden();
  }

  showHidden() {
    for (const { index, button } of this.entries) button.setAttribute("aria-pressed", String(!this.hidden.has(index)));
    this.allButton.disabled = this.hidden.size === 0;
  }

  // The shares of the panel under the pointer, else of the truth, else of the first that has a mask.
  showShares() {
    const panel = [this.point?.panel, this.truth, ...this.panels].find((panel) => panel?.shares);
    if (!panel || !this.entries || panel === this.shown) return;
    this.shown = panel;
    this.legendTitle.textContent = `Share of pixels: ${panel.spec.title}`;
    for (const { index, share } of this.entries) share.textContent = percent(panel.shares?.[index] ?? 0);
  }

  // ---- pointer

  listen(panel) {
    const { stage } = panel;
    const on = (type, act, options) => stage.addEventListener(type, act, options);
    on("wheel", (event) => this.onWheel(event, panel), { passive: false });
    on("dblclick", (event) => this.onDoubleClick(event, panel));
    on("pointerdown", (event) => this.onDown(event, panel));
    on("pointermove", (event) => this.onMove(event, panel));
    on("pointerup", (event) => this.onUp(event, panel));
    on("pointercancel", (event) => this.fingers.delete(event.pointerId));
    on("pointerleave", (event) => event.pointerType === "mouse" && this.setPoint(null));
  }

  // Where a client position lies in the panel's frame, both 0..1 inside it.
  locate(panel, clientX, clientY) {
    const box = panel.stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  onWheel(event, panel) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 32 : 1);
    const rate = event.ctrlKey ? 0.01 : 0.002; // a trackpad's pinch comes as small steps with ctrl
    this.zoomBy(clamp(Math.exp(-pixels * rate), 0.5, 2), ...this.locate(panel, event.clientX, event.clientY));
    this.pointTo(event, panel);
  }

  onDoubleClick(event, panel) {
    const factor = this.view.scale > 1 ? 1 / this.view.scale : DOUBLE_CLICK_SCALE;
    this.zoomBy(factor, ...this.locate(panel, event.clientX, event.clientY));
    this.pointTo(event, panel);
  }

  onDown(event, panel) {
    if (event.button !== 0) return;
    panel.stage.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.down = { x: event.clientX, y: event.clientY, tap: this.fingers.size === 1 };
  }

  onMove(event, panel) {
    const finger = this.fingers.get(event.pointerId);
    if (finger) {
      const before = this.gesture();
      Object.assign(finger, { x: event.clientX, y: event.clientY });
      this.follow(before, this.gesture(), panel);
      if (Math.hypot(event.clientX - this.down.x, event.clientY - this.down.y) > TAP_SLOP) this.down.tap = false;
    }
    if (event.pointerType === "mouse") this.pointTo(event, panel);
  }

  onUp(event, panel) {
    if (this.fingers.delete(event.pointerId) && this.down.tap && event.pointerType !== "mouse") this.pointTo(event, panel);
  }

  // Middle and spread of the pointers that are down.
  gesture() {
    const fingers = [...this.fingers.values()];
    const x = fingers.reduce((sum, finger) => sum + finger.x, 0) / fingers.length;
    const y = fingers.reduce((sum, finger) => sum + finger.y, 0) / fingers.length;
    const spread = fingers.length < 2 ? 1 : Math.hypot(fingers[0].x - fingers[1].x, fingers[0].y - fingers[1].y) || 1;
    return { x, y, spread };
  }

  // Keep the picture under the pointers: one drags it, two drag and stretch it.
  follow(before, after, panel) {
    const { scale, x, y } = this.view;
    const [a, b] = this.locate(panel, before.x, before.y);
    const [c, d] = this.locate(panel, after.x, after.y);
    this.setView({ scale, x: x - (c - a) / scale, y: y - (d - b) / scale });
    if (after.spread !== before.spread) this.zoomBy(after.spread / before.spread, c, d);
  }

  pointTo(event, panel) {
    const [a, b] = this.locate(panel, event.clientX, event.clientY);
    if (a < 0 || b < 0 || a >= 1 || b >= 1) return this.setPoint(null); // a captured pointer may leave the frame
    const { scale, x, y } = this.view;
    this.setPoint({ u: clamp(x + (a - 0.5) / scale, 0, 1), v: clamp(y + (b - 0.5) / scale, 0, 1), panel });
  }

  setPoint(point) {
    this.point = point;
    this.showPoint();
  }

  // The same image point in every panel: cross, read-out, and the shares in the legend.
  showPoint() {
    if (!this.data) return;
    if (this.point && !this.panels.includes(this.point.panel)) this.point = null;
    const { scale, x, y } = this.view;
    const { truth } = this;
    const told = [];
    for (const panel of this.panels) {
      if (!this.point) {
        panel.pointAt();
        panel.tell(null, this.data.colors, panel === this.panels[0] ? HINT : "");
        continue;
      }
      const { u, v } = this.point;
      panel.pointAt((u - x) * scale + 0.5, (v - y) * scale + 0.5);
      const answer = panel.ask(u, v, this.data.classes, truth);
      panel.tell(answer, this.data.colors);
      if (answer) told.push(`${panel.spec.title}: ${answer.text}${answer.wrong ? " ≠" : ""}`);
    }
    this.root.dataset.hover = told.join("; ").replaceAll(NBSP, " ");
    this.showShares();
  }
}

// ------------------------------------------------------------------------------------------------------- mount

const viewers = new WeakMap();

export default function ({ data, parentElement }) {
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
  const call = (viewer.call = Symbol("call"));
  viewer.update(data);
  return () => {
    // Streamlit also runs the clean-up of a call that a later one overtook: that one must not take the viewer along.
    if (viewer.call !== call) return;
    viewers.delete(parentElement);
    viewer.destroy();
  };
}
