// The component: one view, one pointer and one look, shared by all panels; and the pictures that Python named.
//
// Streamlit calls the default export at mount and again on every script run and theme change, with the same
// parentElement: the viewer is kept, and only what changed is told to it. It sends one thing to Python: the point that was
// picked, where Python asked for points.

const CHROME = 280; // what page header, toolbar and legend take from the window's height
const LEAST_HEIGHT = 320;

class Viewer {
  constructor(parent) {
    this.view = WHOLE;
    this.opacity = 0.6;
    this.outlined = false;
    this.point = null; // {panel, place} under the pointer or the last tap
    this.picked = null; // the image point that Python knows, or will in a moment
    this.send = () => {}; // tells Python a picked point
    this.data = null; // what is shown, as Python said it
    this.wanted = null; // what is to be shown, once it is loaded
    this.panels = [];
    this.photo = null;
    this.frame = 0; // the animation frame in which all is painted, 0 for none
    this.pictures = new Pictures();
    this.gestures = new Gestures(this);
    this.bar = new Bar(this);
    this.legend = new Legend(() => this.recolor());
    this.grid = make("div", "grid", { tabindex: "0", role: "group" });
    this.gestures.listenToKeys(this.grid);
    this.root = make("div", "viewer", {}, this.grid, this.bar.element, this.legend.head, this.legend.list);
    parent.append(this.root);
    this.showControls();
    this.onResize = () => this.layout();
    this.observer = new ResizeObserver(this.onResize);
    this.observer.observe(this.root);
    window.addEventListener("resize", this.onResize); // the window's height counts too
  }

  destroy() {
    this.observer.disconnect();
    window.removeEventListener("resize", this.onResize);
    cancelAnimationFrame(this.frame);
    this.wanted = null; // loads still under way see it and stop
    this.pictures.keepOnly(new Set());
    this.root.remove();
  }

  // ---- data

  // The first panels are shown at once and filled one by one; later ones replace what is shown when all are loaded.
  async update(data) {
    const said = JSON.stringify(data);
    if (said === this.said) return; // a theme change, or a script run with nothing new
    this.said = said;
    this.picked = data.picked;
    this.showPoint();
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
    this.legend.listPresent(this.panels);
    this.showPoint();
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
    const keys = "Plus and minus zoom, arrows move, 0 shows the whole picture";
    const picking = data.picks ? ", Enter picks the pixel in the middle" : "";
    this.grid.setAttribute("aria-label", `${what}. ${keys}${picking}.`);
    const onlyHeat = data.panels.every((spec) => spec.heat);
    this.legend.setClasses(data.classes, data.colors);
    this.legend.setHidden(onlyHeat);
    this.bar.setHeat(onlyHeat);
    this.layout();
  }

  fill(panel, got) {
    this.photo = got.photo;
    if (got.photo) this.setAspect(got.photo.width / got.photo.height);
    panel.fill(got, this.data.classes);
    panel.recolor(lookupTable(this.data.colors, this.legend.hidden), this.outlined);
    this.draw();
  }

  // A picture of other proportions is shown whole: the old place in it means nothing.
  setAspect(aspect) {
    if (Math.abs(aspect / this.aspect - 1) <= 0.01) return;
    this.aspect = aspect;
    this.setView(WHOLE);
    this.layout();
  }

  // ---- drawing

  layout() {
    const width = this.root.clientWidth;
    if (!width) return; // in a hidden tab of the page
    const height = Math.max(LEAST_HEIGHT, window.innerHeight - CHROME);
    const { columns, picture } = arrange(this.panels.length, this.aspect, width, height);
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${picture}px)`;
    for (const panel of this.panels) panel.resize(picture, Math.round(picture / this.aspect));
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
    for (const panel of this.panels) panel.draw(this.photo, this.view, this.opacity);
  }

  recolor() {
    const table = lookupTable(this.data.colors, this.legend.hidden);
    for (const panel of this.panels) panel.recolor(table, this.outlined);
    this.draw();
  }

  // ---- look

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

  setView(view) {
    this.view = view;
    this.showControls();
    this.showPoint();
    this.draw();
  }

  showControls() {
    this.bar.show(this);
    this.root.toggleAttribute("data-zoomed", this.view.scale > 1);
    this.root.dataset.scale = this.view.scale.toFixed(2);
    this.root.dataset.opacity = this.opacity.toFixed(2);
  }

  // ---- pointer

  setPoint(point) {
    this.point = point;
    this.showPoint();
  }

  // Tell Python an image point, and mark it at once. The second click of a double click picks nothing new.
  pick(place) {
    if (!this.data?.picks || (this.picked && Math.hypot(place[0] - this.picked[0], place[1] - this.picked[1]) < 1e-3)) return;
    this.picked = place;
    this.showPoint();
    this.send(place);
  }

  // The same image point in every panel: cross, read-out, and the shares in the legend. And the one that was picked.
  showPoint() {
    const { data, panels, point, picked, view } = this;
    const hint = data?.picks ? PICK_HINT : HINT;
    const truth = panels.find((panel) => panel.spec.is_truth);
    const told = [];
    panels.forEach((panel, index) => {
      const answer = point && answerAt(point.place, panel, truth, data);
      panel.showCross(point && framePoint(view, point.place), picked && framePoint(view, picked));
      panel.readout.tell(answer, !point && index === 0 && !panel.spec.heat ? hint : "");
      if (answer) told.push(`${panel.spec.title}: ${answer.text}${answer.wrong ? " ≠" : ""}`);
    });
    this.root.dataset.hover = told.join("; ").replaceAll(NBSP, " ");
    this.legend.showShares([point?.panel, truth, ...panels]);
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
