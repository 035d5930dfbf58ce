// The controls below the images: opacity, outlines, colors, zoom. They show the viewer's state and call it for changes.

import { make, makeButton, makeToggle, setPressed } from "../shared/elements.js";
import { wholePerCent } from "../shared/text.js";
import { MIDDLE, WHOLE, ZOOM_STEP, moved } from "./view.js";

export class Bar {
  // Calls the viewer's setLook and setView.
  constructor(viewer) {
    this.slider = make("input", "", {
      type: "range",
      min: "0",
      max: "100",
      step: "1",
      value: String(Math.round(viewer.look.opacity * 100)),
      "aria-label": "Opacity of the labels",
      title: "Opacity of the labels ([ and ])",
    });
    this.slider.addEventListener("input", () => viewer.setLook({ opacity: Number(this.slider.value) / 100 }));
    this.opacity = make("output", "figure");
    this.subject = make("span", "", {}, "Labels");
    const opacity = make("label", "opacity", {}, this.subject, this.slider, this.opacity);

    const flip = (name) => viewer.setLook({ [name]: !viewer.look[name] });
    this.outlines = makeToggle("Outlines", "Boundaries of the classes only (o)", () => flip("outlined"));
    this.gray = makeToggle("Gray image", "Image without its colours (g)", () => flip("gray"));
    this.safe = makeToggle("Safe colours", "Colours that the colour-blind tell apart (p)", () => flip("safe"));
    const looks = make("div", "looks", { role: "group", "aria-label": "Look" }, this.outlines, this.gray, this.safe);

    const zoomBy = (factor) => viewer.setView(moved(viewer.view, factor, MIDDLE));
    this.zoom = make("output", "figure", { "aria-label": "Zoom" });
    this.reset = makeButton("Reset", "Show the whole image", () => viewer.setView(WHOLE));
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

  // Heat maps have neither outlines nor classes.
  setHeat(isHeat) {
    this.outlines.hidden = this.safe.hidden = isHeat;
    this.subject.textContent = isHeat ? "Heat" : "Labels";
  }

  show({ view, look, mode }) {
    const { opacity, outlined, gray, safe, overlay } = look;
    this.slider.value = String(Math.round(opacity * 100));
    this.slider.style.setProperty("--filled", `${opacity * 100}%`);
    this.opacity.textContent = wholePerCent(opacity);
    setPressed(this.outlines, outlined);
    this.outlines.disabled = mode === "difference" || overlay !== "classes";
    setPressed(this.gray, gray);
    setPressed(this.safe, safe);
    this.zoom.textContent = `${view.scale.toFixed(1)}×`;
    this.reset.disabled = view.scale === 1;
  }
}
