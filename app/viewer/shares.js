// The shares of the classes in every panel, as a table: always there for readers of the screen, for all others when asked for.

class SharesTable {
  constructor() {
    this.table = make("table", "shares");
    this.element = make("div", "shares-frame", {}, this.table);
    this.setOpen(false);
  }

  // Out of sight, not hidden: then a reader of the screen would not find it either.
  setOpen(isOpen) {
    this.isOpen = isOpen;
    this.element.classList.toggle("unseen", !isOpen);
  }

  show(panels, classes, colors) {
    const masks = panels.filter((panel) => panel.shares);
    this.element.hidden = masks.length === 0;
    const cells = (tag, texts, attributes) => texts.map((text) => make(tag, "", attributes, text));
    const head = make("tr", "", {}, make("td"), ...cells("th", masks.map((panel) => panel.spec.title), { scope: "col" }));
    const rows = [...classes.keys()]
      .filter((index) => masks.some((panel) => panel.shares[index]))
      .map((index) => {
        const name = make("th", "", { scope: "row" }, makeSwatch(colors[index]), classes[index]);
        return make("tr", "", {}, name, ...cells("td", masks.map((panel) => percent(panel.shares[index])), {}));
      });
    const caption = make("caption", "", {}, "Share of the labelled pixels of each class");
    this.table.replaceChildren(caption, make("thead", "", {}, head), make("tbody", "", {}, ...rows));
  }
}
