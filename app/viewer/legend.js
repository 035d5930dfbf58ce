// The classes below the pictures: their colours, their shares, and which of them are hidden. Painting is left to others.

class Legend {
  // `changed` is called when other classes are hidden than before.
  constructor(changed) {
    this.changed = changed;
    this.hidden = new Set(); // class numbers
    this.classes = [];
    this.entries = []; // the classes in sight: {index, button, share}
    this.shown = null; // the panel whose shares the entries show
    this.title = make("span", "legend-title");
    this.all = makeButton("Show all", "Show all classes", () => this.#hide([]));
    const hint = make("span", "hint", {}, "Click a class to hide it, double-click to see it alone.");
    this.head = make("div", "legend-head", {}, this.title, hint, this.all);
    this.list = make("div", "legend", { role: "group", "aria-label": "Classes" });
    this.#showHidden();
  }

  // With other classes the numbers mean something else: none is hidden then.
  setClasses(classes, colors) {
    if (JSON.stringify(classes) !== JSON.stringify(this.classes)) this.hidden.clear();
    this.classes = classes;
    this.colors = colors;
  }

  // List the classes that occur in any panel.
  list­Present(panels) {}
}
