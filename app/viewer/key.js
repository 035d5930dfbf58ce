// What the colours mean where they are no classes.

class Key {
  constructor() {
    this.element = make("div", "key", { role: "note", "aria-label": "What the colours mean" });
  }

  show(scene) {
    const key = keyOf(scene);
    this.element.hidden = key.length === 0;
    if (key !== "heat") {
      this.element.replaceChildren(
        ...key.map(([color, words]) => make("span", "meaning", {}, makeSwatch(color), words))
      );
      return;
    }
    const isEntropy = scene.overlay === "entropy";
    const [low, high] = isEntropy ? ["sure", "as good as guessing"] : [`0${NBSP}%`, `100${NBSP}%`];
    this.element.replaceChildren(make("span", "scale", {}, low, makeRamp(), high));
  }
}
