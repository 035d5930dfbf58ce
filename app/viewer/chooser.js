// The controls above the pictures: how they stand, which two are compared, what is laid over them, and what to do with the whole.

class Chooser {
  // `key` stands beside the choices. `viewer` is asked to setMode, setPair, setOverlay, setReach, toggleFullScreen, save and
  // showHelp.
  constructor(viewer, key) {
    this.buttons = Object.fromEntries(
      Object.entries(MODES).map(([mode, text]) => [mode, makeToggle(text, `${text} (${MODE_KEYS[mode]})`, () => viewer.setMode(mode))])
    );
    this.modes = make("div", "modes", { role: "group", "aria-label": "Mode" }, ...Object.values(this.buttons));
    this.first = makeSelect("A", "The first panel", (index) => viewer.setPair(0, Number(index)));
    this.second = makeSelect("B", "The second panel", (index) => viewer.setPair(1, Number(index)));
    this.overlay = makeSelect("Show", "What is laid over the photo", (overlay) => viewer.setOverlay(overlay));
    this.reach = makeSelect("within", "How near to an edge of the truth", (reach) => viewer.setReach(Number(reach)));
    setOptions(this.reach.select, REACHES.map((reach) => [reach, `${reach} px`]), REACHES[1]);
    this.full = makeButton("Full screen", "Full screen (f)", () => viewer.toggleFullScreen(), "tool");
    this.full.hidden = !document.fullscreenEnabled; // telephones of one make have none
    const tools = make(
      "div",
      "tools",
      { role: "group", "aria-label": "Tools" },
      makeButton("Save", "Save what you see as PNG (s)", () => viewer.save(), "tool"),
      this.full,
      makeButton("?", "Keys and gestures (?)", () => viewer.showHelp(), "tool")
    );
    const choices = [this.overlay, this.reach, this.first, this.second].map((choice) => choice.element);
    this.element = make("div", "chooser", { role: "toolbar", "aria-label": "Mode and overlay" }, this.modes, ...choices, key, tools);
  }

  // Offer what these panels can be seen in.
  offer(specs) {
    this.specs = specs;
    const modes = modesFor(specs);
    this.modes.hidden = modes.length < 2;
    for (const [mode, button] of Object.entries(this.buttons)) button.hidden = !modes.includes(mode);
    const overlays = overlaysFor(specs);
    this.overlays = overlays.map((overlay) => [overlay, OVERLAYS[overlay]]);
  }

  show({ mode, pair, overlay, reach, isFull }) {
    for (const [each, button] of Object.entries(this.buttons)) setPressed(button, each === mode);
    setOptions(this.overlay.select, this.overlays, overlay);
    this.overlay.element.hidden = this.overlays.length < 2 || mode === "difference";
    this.reach.element.hidden = overlay !== "band" || mode === "difference";
    this.reach.select.value = String(reach);
    const isPaired = mode === "swipe" || mode === "difference";
    const needsSecond = isPaired || overlay === "against";
    const titles = this.specs.map((spec, index) => [index, spec.title, spec.heat]);
    const able = titles.filter(([, , heat]) => !heat || !needsSecond || mode === "swipe");
    this.first.element.hidden = !isPaired && mode !== "single";
    this.first.element.firstChild.textContent = mode === "single" ? "Panel" : "A";
    this.second.element.hidden = !needsSecond;
    setOptions(this.first.select, mode === "single" ? titles : able, pair[0]);
    setOptions(this.second.select, able, pair[1]);
    this.full.textContent = isFull ? "Leave full screen" : "Full screen";
  }
}
