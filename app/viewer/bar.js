// The controls of the view: opacity, outlines, zoom. They show what the viewer holds and ask it for changes.

class Bar {
  // `viewer` is asked to setOpacity, setOutlined and setView.
  constructor(viewer) {
    this.slider = make("input", "", {
      type: "range",
      min: "0",
      max: "100",
      step: "1",
      value: String(Math.round(viewer.opacity * 100)),
      "aria-label": "Opacity of the labels",
    });
    this.slider.addEventListener("input", () => viewer.setOpacity(Number(this.slider.value) / 100));
    this.opacity = make("output", "figure");
    this.what = make("span", "", {}, "Labels");
    const opacity = make("label", "opacity", {}, this.what, this.slider, this.opacity);

    this.outlines = make("button", "toggle", { type: "button" }, "Outlines");
    this.outlines.addEventListener("click", () => viewer.setOutlined(!viewer.outlined));

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
    this.element = make("div", "bar", { role: "toolbar", "aria-label": "View" }, opacity, this.outlines, zoom);
  }

  // Heat maps have no outlines, and are no labels.
  setHeat(isHeat) {
    this.outlines.hidden = isHeat;
    this.what.textContent = isHeat ? "Heat" : "Labels";
  }

  show({ view, opacity, outlined }) {
    this.slider.style.setProperty("--filled", `${opacity * 100}%`);
    this.opacity.textContent = `${Math.round(opacity * 100)}${NBSP}%`;
    this.outlines.setAttribute("aria-pressed", String(outlined));
    this.zoom.textContent = `${view.scale.toFixed(1)}×`;
    this.reset.disabled = view.scale === 1;
  }
}
