// The component: one view, one pointer and one look, shared by all panels; and the pictures that Python named.
//
// Streamlit calls the default export at mount and again on every script run and theme change, with the same
// parentElement: the viewer is kept, and only what changed is told to it. It sends one thing to Python: the point that was
// picked, where Python asked for points.

const CHROME = 320; // what page header, toolbars and legend take from the window's height
const FULL_CHROME = 150; // what toolbars take from it in full screen
const LEAST_HEIGHT = 320;
const SAME_POINT = 1e-3; // of the picture

class Viewer {
  constructor(parent) {
    this.view = WHOLE;
    this.opacity = 0.6;
    this.outlined = this.gray = this.safe = false;
    this.overlay = "classes";
    this.reach = REACHES[1];
    this.wish = modeFromAddress(); // {mode, pair} as asked for; the present panels may not allow it
    this.mode = "side";
    this.pair = [0, 0]; // the panels A and B; in single mode A is seen
    this.point = null; // {panel, place} under the pointer or the last tap
    this.picked = null; // the image point that is pinned; where Python picks, it knows it or will in a moment
    this.send = () => {}; // tells Python a picked point
    this.data = null; // what is shown, as Python said it
    this.wanted = null; // what is to be shown, once it is loaded
    this.panels = [];
    this.photo = null;
    this.grayPhoto = null; // made when it is first wanted
    this.isFull = false;
    this.frame = 0; // the animation frame in which all is painted, 0 for none
    this.pictures = new Pictures();
    this.late = new Late({ mapCame: () => this.#showScene(), pixelCame: () => this.showPin() });
    this.gestures = new Gestures(this);
    this.key = new Key();
    this.chooser = new Chooser(this, this.key.element);
    this.bar = new Bar(this);
    this.pinned = new Pinned(() => this.unpin());
    this.legend = new Legend(() => this.recolor());
    this.help = new Help();
    this.swipe = new Swipe((share) => this.setSwipe(share));
    this.grid = make("div", "grid", { tabindex: "0", role: "group" });
    listenToKeys(this.grid, this);
    const legend = [this.legend.head, this.legend.list, this.legend.table.element];
    const below = [this.bar.element, this.pinned.element, ...legend, this.help.element];
    this.root = make("div", "viewer", {}, this.chooser.element, this.grid, ...below);
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
    this.wanted = null; // loads still under way see it and stop
    this.pictures.keepOnly(new Set());
    this.late.keepOnly(new Set());
    this.root.remove();
  }

  // ---- data

  // The first panels are shown at once and filled one by one; later ones replace what is shown when all are loaded.
  async update(data) {
    const said = JSON.stringify(data);
    if (said === this.said) return; // a theme change, or a script run with nothing new
    this.said = said;
    if (data.picks) this.picked = data.picked;
    this.showCrosses();
    this.wanted = data;
    this.root.dataset.ready = "false";
    const loads = data.panels.map((spec) => this.pictures.load(data.image, spec));
    const isFirst = !this.data;
    if (isFirst) {
      this.aspect = data.aspect;
      this.showPanels(data);
      loads.forEach((load, index) => load.then((got) => this.wanted === data && this.fill(this.panels[index], got)));
    }
    const loaded = await Promise.all(loads);
    if (this.wanted !== data) return; // overtaken by a later call
    if (!isFirst) {
      this.showPanels(data);
      this.panels.forEach((panel, index) => this.fill(panel, loaded[index]));
    }
    this.pictures.keepOnly(new Set([data.image, ...data.panels.flatMap((spec) => [spec.labels, spec.confidence])]));
    this.late.keepOnly(new Set(data.panels.flatMap((spec) => [spec.entropy, spec.likeliest])));
    this.legend.listPresent(this.panels);
    this.#seekEntropy();
    if (this.#needsAll()) this.recolor(); // what came first was coloured before it had anything to be compared with
    this.showControls();
    this.summarize();
    this.showPoint();
    this.showPin();
    this.draw();
    requestAnimationFrame(() => (this.root.dataset.ready = String(this.wanted === data))); // after that frame's paint
  }

  showPanels(data) {
    this.data = data;
    const gone = this.panels.splice(data.panels.length);
    for (const panel of gone) panel.element.remove();
    if (gone.length > 0) this.gestures.release();
    if (gone.includes(this.point?.panel)) this.point = null;
    while (this.panels.length < data.panels.length) {
      const panel = new Panel();
      this.gestures.listen(panel);
      this.panels.push(panel);
      this.grid.append(panel.element);
    }
    this.panels.forEach((panel, index) => panel.describe(data.panels[index]));
    const what = data.name ? `Pictures of ${data.name}` : "Pictures";
    const keys = "Plus and minus zoom, arrows move, 0 shows the whole picture, Enter pins the pixel in the middle";
    this.grid.setAttribute("aria-label", `${what}. ${keys}, question mark lists all keys.`);
    const onlyHeat = data.panels.every((spec) => spec.heat);
    this.#setPalette();
    this.legend.setClasses(data.classes, this.colors);
    this.legend.setHidden(onlyHeat);
    this.bar.setHeat(onlyHeat);
    this.chooser.offer(data.panels);
    if (!overlaysFor(data.panels).includes(this.overlay)) this.overlay = "classes";
    this.#arrange();
  }

  fill(panel, got) {
    if (got.photo !== this.photo) this.grayPhoto = null;
    this.photo = got.photo;
    if (this.photo && this.gray) this.grayPhoto ??= grayed(this.photo);
    if (got.photo) this.setAspect(got.photo.width / got.photo.height);
    panel.fill(got, this.data.classes);
    panel.recolor(this.scene());
    this.draw();
  }

  // A picture of other proportions is shown whole, and nothing is pinned: the old places in it mean nothing.
  setAspect(aspect) {
    if (Math.abs(aspect / this.aspect - 1) <= 0.01) return;
    this.aspect = aspect;
    if (!this.data.picks) this.picked = null;
    this.setView(WHOLE);
    this.layout();
  }

  // ---- drawing

  // What all panels are coloured by; see overlays.js.
  scene() {
    const { overlay, mode, outlined, reach, colors, panels, pair } = this;
    const [first, second] = pair.map((index) => panels[index] ?? null);
    const truth = panels.find((panel) => panel.spec.is_truth) ?? null;
    const count = this.data.classes.length;
    return { overlay, mode, outlined, reach, colors, count, hidden: this.legend.hidden, truth, first, second };
  }

  // The panels whose canvas is seen.
  seen() {
    const [first, second] = this.pair.map((index) => this.panels[index]);
    return { side: this.panels, single: [first], swipe: [first, second], difference: [first] }[this.mode];
  }

  layout() {
    const width = this.grid.clientWidth;
    if (!width || !this.data) return; // in a hidden tab of the page
    const height = Math.max(LEAST_HEIGHT, window.innerHeight - (this.isFull ? FULL_CHROME : CHROME));
    const count = this.mode === "side" ? this.panels.length : 1;
    const { columns, picture } = arrange(count, this.aspect, width, height);
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${picture}px)`;
    for (const panel of this.panels) panel.resize(picture, Math.round(picture / this.aspect));
    this.swipe.resize(picture, Math.round(picture / this.aspect));
    this.root.dataset.columns = String(columns);
    this.paint(); // at once: a resized canvas is empty, and waiting for the next frame would flash
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const photo = this.gray ? (this.grayPhoto ?? this.photo) : this.photo;
    for (const panel of this.seen()) panel.draw(photo, this.view, this.opacity);
  }

  // Colour every panel anew. Those out of sight too: a change of mode is to be as quick as a change of opacity.
  recolor() {
    const scene = this.scene();
    for (const panel of this.panels) panel.recolor(scene);
    this.draw();
  }

  // What each panel comes to; counted once, said whenever nothing is pointed at.
  summarize() {
    const scene = this.scene();
    for (const panel of this.panels) panel.summary = summaryOf(panel, scene);
  }

  #needsAll() {
    return this.mode === "difference" || !["classes", "confidence"].includes(this.overlay);
  }

  // Ask for the entropy of each panel, where it is to be seen.
  #seekEntropy() {
    if (this.overlay !== "entropy") return;
    for (const panel of this.panels) {
      const found = panel.spec.entropy ? this.late.map(panel.spec.entropy) : null;
      panel.entropy = found?.value ?? null;
      panel.lostEntropy = found?.problem;
    }
  }

  #setPalette() {
    this.colors = this.safe ? safeColors(this.data.classes.length) : this.data.colors;
  }

  // ---- mode

  setMode(mode) {
    this.#wishFor({ mode, pair: this.wish.pair });
  }

  // `place` is 0 for A, 1 for B. The other's panel is taken by an exchange.
  setPair(place, index) {
    const pair = [...this.pair];
    if (pair[1 - place] === index) pair[1 - place] = pair[place];
    pair[place] = index;
    this.#wishFor({ mode: this.wish.mode, pair });
  }

  showAlone(index) {
    this.wish = { mode: "single", pair: this.wish.pair };
    this.setPair(0, index);
  }

  #wishFor(wish) {
    this.wish = wish;
    this.#arrange();
    this.#showScene();
  }

  // Bring the panels into the mode that was wished for, as far as they allow it.
  #arrange() {
    const { mode, pair } = allowed(this.wish, this.data.panels);
    Object.assign(this, { mode, pair });
    const isPaired = mode === "swipe" || mode === "difference";
    this.panels.forEach((panel, index) => {
      const role = isPaired || mode === "single" ? ["first", "second"][pair.indexOf(index)] : undefined;
      panel.element.hidden = mode !== "side" && (role === undefined || (mode === "single" && role !== "first"));
      panel.element.dataset.role = isPaired && role ? role : "";
    });
    if (mode === "swipe") this.grid.append(this.swipe.element);
    else this.swipe.element.remove();
    this.root.dataset.mode = mode;
    writeAddress(this);
    this.showControls();
    this.layout();
  }

  setSwipe(share) {
    this.swipe.show(share);
    this.grid.style.setProperty("--swipe", `${share * 100}%`);
  }

  // ---- look

  setOpacity(opacity) {
    this.opacity = opacity;
    this.showControls();
    this.draw();
  }

  setOutlined(outlined) {
    this.outlined = outlined;
    this.#showLook();
  }

  setOverlay(overlay) {
    if (!overlaysFor(this.data.panels).includes(overlay)) return;
    this.overlay = overlay;
    this.#showLook();
  }

  setReach(reach) {
    this.reach = reach;
    this.#showLook();
  }

  setGray(gray) {
    this.gray = gray;
    if (gray && this.photo) this.grayPhoto ??= grayed(this.photo);
    this.showControls();
    this.draw();
  }

  setSafe(safe) {
    this.safe = safe;
    this.#setPalette();
    this.legend.setColors(this.colors);
    this.#showLook();
  }

  #showLook() {
    this.showControls();
    this.#showScene();
  }

  // Colour, count and say anew what follows from the scene.
  #showScene() {
    this.#seekEntropy();
    this.recolor();
    this.summarize();
    this.showPoint();
    this.showPin();
  }

  setView(view) {
    this.view = view;
    this.bar.show(this);
    this.#showView();
    this.showCrosses();
    this.draw();
  }

  #showView() {
    this.root.toggleAttribute("data-zoomed", this.view.scale > 1);
    this.root.dataset.scale = this.view.scale.toFixed(2);
    this.root.dataset.opacity = this.opacity.toFixed(2);
  }

  showControls() {
    this.bar.show(this);
    this.chooser.show(this);
    this.key.show(this.scene());
    this.root.dataset.overlay = this.overlay;
    this.#showView();
  }

  // ---- the whole

  // Whether the wheel over a picture is surely meant for it.
  hasAttention() {
    return this.isFull || this.root.matches(":focus-within");
  }

  toggleFullScreen() {
    if (this.isFull) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  #showFullScreen() {
    this.isFull = this.root.matches(":fullscreen");
    this.chooser.show(this);
    this.layout();
  }

  showHelp() {
    this.help.show();
  }

  async save() {
    if (!this.photo) return;
    const { mode, data, view, opacity, photo, colors, swipe, legend } = this;
    const scene = this.scene();
    const [first, second] = [scene.first, scene.second];
    const isPaired = mode === "swipe" || mode === "difference";
    const tiles = this.seen().map((panel) => [[panel, 0, 1]]);
    const wiped = [
      [first, 0, swipe.share],
      [second, swipe.share, 1],
    ];
    const isClasses = mode !== "difference" && (this.overlay === "classes" || this.overlay === "against");
    const present = legend.entries.filter(({ index }) => !legend.hidden.has(index));
    const key = isClasses ? present.map(({ index }) => [colors[index], data.classes[index]]) : keyOf(scene);
    const style = getComputedStyle(this.root);
    const blob = await composePicture({
      tiles: mode === "swipe" ? [wiped] : tiles,
      titles: isPaired ? [`${first.spec.title} | ${second.spec.title}`] : this.seen().map((panel) => panel.spec.title),
      key: key === "heat" ? [[HEAT_COLORS[0], "0 %"], [HEAT_COLORS[128], "50 %"], [HEAT_COLORS[255], "100 %"]] : key,
      columns: isPaired ? 1 : Math.min(tiles.length, Number(this.root.dataset.columns)),
      photo,
      view,
      opacity,
      grayPhoto: this.gray ? this.grayPhoto : null,
      paper: style.getPropertyValue("--st-background-color").trim() || "white",
      ink: style.color,
      font: style.fontFamily,
    });
    const name = (data.name || "picture").replaceAll(/[^\w.-]+/g, "-");
    download(blob, `${name}-${mode === "difference" ? mode : this.overlay}.png`);
  }

  // ---- pointer

  setPoint(point) {
    this.point = point;
    this.showPoint();
  }

  // Pin an image point, and tell Python where it wants to know. The second click of a double click pins nothing new.
  pin(place) {
    if (this.picked && Math.hypot(place[0] - this.picked[0], place[1] - this.picked[1]) < SAME_POINT) return;
    this.picked = place;
    this.showPin();
    if (this.data.picks) this.send(place);
  }

  // Python's own pin stays: something was made of it.
  unpin() {
    if (!this.picked || this.data.picks) return;
    this.picked = null;
    this.showPin();
  }

  // The same image point in every panel: cross, read-out, and the shares in the legend. And the one that is pinned.
  showPoint() {
    const { data, panels, point } = this;
    if (!data) return;
    const scene = this.scene();
    const { truth } = scene;
    const seen = this.mode === "difference" ? [scene.first, scene.second] : this.seen();
    const isTruthInSight = seen.includes(truth);
    const hint = data.picks ? PICK_HINT : HINT;
    const told = [];
    panels.forEach((panel) => {
      const answer = point && answerAt(point.place, panel, truth, data.classes, this.colors);
      const otherwise = point ? "" : panel.summary || (panel === seen[0] && !panel.spec.heat ? hint : "");
      panel.readout.tell(answer, otherwise, isTruthInSight);
      if (answer) told.push(`${panel.spec.title}: ${answer.text}${answer.wrong ? " ≠" : ""}`);
    });
    this.showCrosses();
    this.root.dataset.hover = told.join("; ").replaceAll(NBSP, " ");
    this.legend.showShares([point?.panel, truth, ...panels]);
  }

  // What stands at the pinned pixel, and what the networks think likeliest there.
  showPin() {
    const { data, panels, picked, colors, late } = this;
    const likeliest = ({ spec }) => (spec.likeliest ? late.pixel(spec.likeliest, picked) : null);
    this.showCrosses();
    this.pinned.show(picked, panels, this.scene().truth, data, colors, likeliest);
  }

  showCrosses() {
    const { view, point, picked } = this;
    for (const panel of this.panels) {
      panel.showCross(point && framePoint(view, point.place), picked && framePoint(view, picked));
    }
  }
}

const viewers = new WeakMap(); // by the element that Streamlit mounts each in

export default function ({ data, parentElement, setTriggerValue }) {
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
  const call = (viewer.call = Symbol("call"));
  viewer.send = (place) => setTriggerValue("picked", place);
  viewer.update(data);
  return () => {
    // Streamlit also runs the clean-up of a call that a later one overtook: that one must not take the viewer along.
    if (viewer.call !== call) return;
    viewers.delete(parentElement);
    viewer.destroy();
  };
}
