// The shares of the classes in every panel, as a table: always there for screen readers, visible on request.

import { make, makeRow, makeSwatch } from "../shared/elements.js";
import { shareText } from "../shared/text.js";

export class SharesTable {
  constructor() {
    this.table = make("table", "shares");
    this.element = make("div", "shares-frame", {}, this.table);
    this.setOpen(false);
  }

  // Clipped, not hidden: screen readers skip what is hidden.
  setOpen(isOpen) {
    this.isOpen = isOpen;
    this.element.classList.toggle("unseen", !isOpen);
  }

  show(panels, classes, colors) {
    const masks = panels.filter((panel) => panel.shares);
    this.element.hidden = masks.length === 0;
    const titles = masks.map((panel) => make("th", "", { scope: "col" }, panel.spec.title));
    const rows = [...classes.keys()]
      .filter((index) => masks.some((panel) => panel.shares[index]))
      .map((index) => {
        const shares = masks.map((panel) => shareText(panel.shares[index]));
        const row = makeRow([classes[index], ...shares], { header: true });
        row.firstChild.prepend(makeSwatch(colors[index]));
        return row;
      });
    this.table.replaceChildren(
      make("caption", "", {}, "Share of the labelled pixels of each class"),
      make("thead", "", {}, make("tr", "", {}, make("td"), ...titles)),
      make("tbody", "", {}, ...rows)
    );
  }
}
