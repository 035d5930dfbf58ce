// The controls below the pictures: opacity, outlines, colours, zoom. They show what the viewer holds and ask it for changes.

class Bar {
  // `viewer` is asked to setOpacity, setOutlined, setGray, setSafe and setView.
  constructor(viewer) {
    this.slider = make("input", "", {
      type: "range",
      min: "0",
      max: "100",
      step: "1",
      value: String(Math.round(viewer.opacity * 100)),
      "aria-label": "Opacity of the labels",
      title: "Opacity of the labels ([ and ])",
    });
    this.slider.addEventListener("input", () => viewer.setOpacity(Number(this.slider.value) / 100));
    this.opacity = make("output", "figure");
    this.what = make("span", "", {}, "Labels");
    const opacity = make("label", "opacity", {}, this.what, this.slider, this.opacity);

    this.outlines = makeToggle("Outlines", "Boundaries of the classes only (o)", () => viewer.setOutlined(!viewer.outlined));
    this.gray = makeToggle("Gray photo", "Photo without its colours (g)", () => viewer.setGray(!viewer.gray));
    this.safe = makeToggle("Safe colours", "Colours that the colour-blind tell apart (p)", () => viewer.setSafe(!viewer.safe));
    const looks = make("div", "looks", { role: "group", "aria-label": "Look" }, this.outlines, this.gray, this.safe);

    const zoomBy = (factor) => viewer.setView(moved(viewer.view, factor, MIDDLE));
    this.zoom = make("output", "figure", { "aria-label": "Zoom" });
    this.reset = makeButton("Reset", "Show the whole picture", () => viewer.setView(WHOLE));
    const zoom = make(
      "div",
      "zoom",
      { role: "group", "aria-label": "Zoom" },
      makeButton("−", "Zoom out", () => zoomBy(1 / ZOOM_STEP), "step"),
      this.zoom,
      makeButton("+", "Zoom in", () => zoomBy(ZOOM_STEP), "step"),
      this.reset
    );
    this.element = make("div", "bar", { role: "toolbar", "aria-label": "View" }, opacity, looks, zoom);
  }

  // Heat maps have no outlines, and are no labels.
  setHeat(isHeat) {
    this.outlines.hidden = this.safe.hidden = isHeat;
    this.what.textContent = isHeat ? "Heat" : "Labels";
  }

  show({ view, opacity, outlined, gray, safe, mode, overlay }) {
    this.slider.value = String(Math.round(opacity * 100));
    this.slider.style.setProperty("--filled", `${opacity * 100}%`);
    this.opacity.textContent = `${Math.round(opacity * 100)}${NBSP}%`;
    setPressed(this.outlines, outlined);
    this.outlines.disabled = mode === "difference" || overlay !== "classes";
    setPressed(this.gray, gray);
    setPressed(this.safe, safe);
    this.zoom.textContent = `${view.scale.toFixed(1)}×`;
    this.reset.disabled = view.scale === 1;
  }
}
