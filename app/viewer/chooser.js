// What is shown, at the left of the tool row: mode, the compared panels, overlay.

import { make, makeSelect, makeToggle, setOptions, setPressed } from "../shared/elements.js";
import { MODE_KEYS } from "./help.js";
import { makeIcon } from "../shared/icons.js";
import { MODES, modesFor } from "./modes.js";
import { OVERLAYS, REACHES, overlaysFor } from "./overlays.js";

export class Chooser {
  // Calls the viewer's setMode, setPair and setLook.
  constructor(viewer) {
    const modeButton = (mode, text) =>
      makeToggle(text, `${text} (${MODE_KEYS[mode]})`, () => viewer.setMode(mode), makeIcon(mode));
    this.buttons = Object.fromEntries(Object.entries(MODES).map(([mode, text]) => [mode, modeButton(mode, text)]));
    this.modes = make("div", "modes switch", { role: "group", "aria-label": "Mode" }, ...Object.values(this.buttons));
    this.first = makeSelect("A", "The first panel", (index) => viewer.setPair(0, Number(index)));
    this.second = makeSelect("B", "The second panel", (index) => viewer.setPair(1, Number(index)));
    this.overlay = makeSelect("Show", "What is laid over the image", (overlay) => viewer.setLook({ overlay }));
    const setReach = (reach) => viewer.setLook({ reach: Number(reach) });
    this.reach = makeSelect("within", "How near to an edge of the truth", setReach);
    setOptions(this.reach.select, REACHES.map((reach) => [reach, `${reach} px`]), REACHES[1]);
    const choices = [this.overlay, this.reach, this.first, this.second].map((choice) => choice.element);
    this.element = make("div", "chooser", {}, this.modes, ...choices);
  }

  // Offer the modes and overlays of these panels.
  offer(specs) {
    this.specs = specs;
    const modes = modesFor(specs);
    this.modes.hidden = modes.length < 2;
    for (const [mode, button] of Object.entries(this.buttons)) button.hidden = !modes.includes(mode);
    const overlays = overlaysFor(specs);
    this.overlays = overlays.map((overlay) => [overlay, OVERLAYS[overlay]]);
  }

  show({ mode, pair, look }) {
    const { overlay, reach } = look;
    for (const [each, button] of Object.entries(this.buttons)) setPressed(button, each === mode);
    setOptions(this.overlay.select, this.overlays, overlay);
    this.overlay.element.hidden = this.overlays.length < 2 || mode === "difference";
    this.reach.element.hidden = overlay !== "band" || mode === "difference";
    this.reach.select.value = String(reach);
    const isPaired = mode === "swipe" || mode === "difference";
    const needsSecond = isPaired || overlay === "against";
    const titles = this.specs.map((spec, index) => [index, spec.title, spec.heat]);
    const comparable = titles.filter(([, , heat]) => !heat || !needsSecond || mode === "swipe");
    this.first.element.hidden = !isPaired && mode !== "single";
    this.first.element.firstChild.textContent = mode === "single" ? "Panel" : "A";
    this.second.element.hidden = !needsSecond;
    setOptions(this.first.select, mode === "single" ? titles : comparable, pair[0]);
    setOptions(this.second.select, comparable, pair[1]);
  }
}
