// How it is shown, at the right of the tool row: opacity, outlines, colors, zoom, tools. The controls show the viewer's
// state and call it for changes.

import { make, makeButton, makeToggle, setPressed } from "../shared/elements.js";
import { wholePerCent } from "../shared/text.js";
import { makeIcon } from "../shared/icons.js";
import { MIDDLE, WHOLE, ZOOM_STEP, moved } from "./view.js";

export class Bar {
  // Calls the viewer's setLook, setView, toggleTable, toggleFullScreen, save and showHelp.
  constructor(viewer) {
    this.slider = make("input", "", {
      type: "range",
      min: "0",
      max: "100",
      step: "1",
      value: String(Math.round(viewer.look.opacity * 100)),
      "aria-label": "Opacity of the labels",
    });
    this.slider.addEventListener("input", () => viewer.setLook({ opacity: Number(this.slider.value) / 100 }));
    this.opacity = make("output", "figure");
    const opacity = make("label", "opacity", { title: "Opacity of the labels ([ and ])" }, this.slider, this.opacity);

    const flip = (name) => viewer.setLook({ [name]: !viewer.look[name] });
    const toggle = (icon, name, title, act) => makeToggle(name, `${name}: ${title}`, act, makeIcon(icon));
    this.outlines = toggle("outlines", "Outlines", "boundaries of the classes only (o)", () => flip("outlined"));
    this.gray = toggle("gray", "Gray image", "the image without its colours (g)", () => flip("gray"));
    this.safe = toggle("safe", "Safe colours", "colours that the colour-blind tell apart (p)", () => flip("safe"));
    const looks = make("div", "looks", { role: "group", "aria-label": "Look" }, this.outlines, this.gray, this.safe);

    const zoomBy = (factor) => viewer.setView(moved(viewer.view, factor, MIDDLE));
    this.zoom = make("output", "figure", { "aria-label": "Zoom" });
    this.reset = makeButton(makeIcon("whole"), "Show the whole image", () => viewer.setView(WHOLE), "tool");
    const zoom = make(
      "div",
      "zoom",
      { role: "group", "aria-label": "Zoom" },
      makeButton("−", "Zoom out", () => zoomBy(1 / ZOOM_STEP), "tool step"),
      this.zoom,
      makeButton("+", "Zoom in", () => zoomBy(ZOOM_STEP), "tool step"),
      this.reset
    );

    this.table = toggle("table", "Numbers", "each class in every panel (t)", () => viewer.toggleTable());
    this.full = makeButton(makeIcon("full"), "Full screen", () => viewer.toggleFullScreen(), "tool");
    this.full.hidden = !document.fullscreenEnabled; // iPhones have none
    const tools = make(
      "div",
      "tools",
      { role: "group", "aria-label": "Tools" },
      this.table,
      makeButton(makeIcon("save"), "Save what you see as PNG (s)", () => viewer.save(), "tool"),
      this.full,
      makeButton("?", "Keys and gestures (?)", () => viewer.showHelp(), "tool")
    );
    this.element = make("div", "bar", {}, opacity, looks, zoom, tools);
  }

  // Heat maps have neither outlines nor classes.
  setHeat(isHeat) {
    this.outlines.hidden = this.safe.hidden = this.table.hidden = isHeat;
    this.slider.setAttribute("aria-label", isHeat ? "Opacity of the heat" : "Opacity of the labels");
  }

  show({ view, look, mode, isFull, legend }) {
    const { opacity, outlined, gray, safe, overlay } = look;
    this.slider.value = String(Math.round(opacity * 100));
    this.slider.style.setProperty("--filled", `${opacity * 100}%`);
    this.opacity.textContent = wholePerCent(opacity);
    setPressed(this.outlines, outlined);
    this.outlines.disabled = mode === "difference" || overlay !== "classes";
    setPressed(this.gray, gray);
    setPressed(this.safe, safe);
    setPressed(this.table, legend.table.isOpen);
    this.zoom.textContent = `${view.scale.toFixed(1)}×`;
    this.reset.disabled = view.scale === 1;
    const name = isFull ? "Leave full screen" : "Full screen";
    this.full.replaceChildren(makeIcon(isFull ? "leave" : "full"));
    this.full.title = `${name} (f)`;
    this.full.setAttribute("aria-label", name);
  }
}
