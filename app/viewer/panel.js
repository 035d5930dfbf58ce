// One picture: its title, read-out, canvas, cross, mark and failure sentence. What it shows, and how large it is, it is told.

const LOST_MASK =
  "This mask could not be loaded. Reload the page; if it stays away, the run's folder may have been deleted.";
const LOST_PHOTO =
  "The photo could not be loaded. Reload the page; if it stays away, its file may have been moved or deleted.";

const ZOOM_HINT = `${ZOOM_KEY} + scroll to zoom, or click the picture first`;

class Panel {
  constructor() {
    this.dot = make("span", "dot");
    this.title = make("span", "title");
    this.subtitle = make("span", "subtitle");
    this.readout = new Readout();
    this.canvas = make("canvas", "", { role: "img" });
    this.cross = make("div", "cross", { "aria-hidden": "true" });
    this.pin = make("div", "pin", { "aria-hidden": "true" }); // the picked point, which stays
    this.message = make("p", "message", { role: "status" });
    this.hint = make("p", "zoom-hint", { "aria-hidden": "true" }, ZOOM_HINT);
    this.stage = make("div", "stage", {}, this.canvas, this.pin, this.cross, this.message, this.hint);
    const head = make("div", "head", {}, this.dot, this.title, this.subtitle);
    this.element = make("section", "", {}, head, this.readout.element, this.stage);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.summary = ""; // what it comes to under the present overlay, in words
    this.labels = this.confidence = this.entropy = this.shares = this.colored = null;
  }

  // Name what is to come; `fill` brings it.
  describe(spec) {
    this.spec = spec;
    this.dot.hidden = !spec.color;
    this.dot.style.background = spec.color ?? "";
    this.title.textContent = this.title.title = spec.title;
    this.subtitle.textContent = spec.subtitle;
    this.readout.describe(spec);
    const what = spec.heat ? `heat map from ${figure(spec.low)} to ${figure(spec.high)}` : "class colours";
    this.canvas.setAttribute("aria-label", `${spec.title}: ${what} over the photo`);
    this.#setState("loading");
  }

  // Take what was loaded, null for what could not be.
  fill({ photo, labels, confidence }, classes) {
    this.labels = labels;
    this.confidence = confidence;
    this.entropy = null; // comes late, if it is asked for
    this.shares = labels && !this.spec.heat ? classShares(labels, classes.length) : null;
    if (photo && labels) this.#setState("ready");
    else this.#setState("failed", labels ? LOST_PHOTO : LOST_MASK);
  }

  // Colour the maps as the scene wants it; what there is no map for is left out.
  recolor(scene) {
    const wanted = coloring(this, scene);
    if (wanted) colorInto((this.colored ??= new OffscreenCanvas(1, 1)), wanted.map, wanted.paint);
    else this.colored = null;
  }

  // CSS pixels. A size that changes leaves the canvas empty.
  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    this.stage.style.width = `${width}px`;
    this.stage.style.height = `${height}px`;
    const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== columns) this.canvas.width = columns; // assigning clears, even when nothing changed
    if (this.canvas.height !== rows) this.canvas.height = rows;
  }

  draw(photo, view, opacity) {
    drawView(this.context, photo, this.colored, view, opacity);
  }

  // Put the cross, and the pin of what was picked, at frame points; there is none out of sight, or without a point.
  showCross(place, picked) {
    this.#put(this.cross, place);
    this.#put(this.pin, picked);
  }

  // Say for a moment how to zoom.
  hintAtZoom() {
    this.fading?.cancel();
    this.fading = this.hint.animate({ opacity: [1, 1, 0] }, { duration: 1800, easing: "ease-in" });
  }

  #put(element, place) {
    const [a, b] = place ?? [-1, -1];
    element.hidden = a < 0 || b < 0 || a > 1 || b > 1;
    element.style.left = `${a * 100}%`;
    element.style.top = `${b * 100}%`;
  }

  #setState(state, message = "") {
    this.element.className = `panel ${state}`;
    this.message.textContent = message;
  }
}
