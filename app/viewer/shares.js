// The numbers of each class in every panel, as a table: its share of the pixels, and its IoU where the truth is known.
// Always there for screen readers, over the images on request.

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
    const span = ({ spec }) => ({ scope: "colgroup", colspan: spec.iou.length > 0 ? "2" : "1" });
    const titles = masks.map((panel) => make("th", "", span(panel), panel.spec.title));
    const kinds = masks.flatMap(({ spec }) => (spec.iou.length > 0 ? ["share", "IoU"] : ["share"]));
    const heads = kinds.map((kind) => make("th", "kind", { scope: "col" }, kind));
    const rows = [...classes.keys()]
      .filter((index) => masks.some((panel) => panel.shares[index]))
      .map((index) => {
        const cells = masks.flatMap(({ shares, spec }) => [
          shareText(shares[index]),
          ...(spec.iou.length > 0 ? [spec.iou[index] === null ? "–" : shareText(spec.iou[index])] : []),
        ]);
        const row = makeRow([classes[index], ...cells], { header: true });
        row.firstChild.prepend(makeSwatch(colors[index]));
        return row;
      });
    this.table.replaceChildren(
      make("caption", "", {}, "Each class on this image: its share of the labelled pixels, and its IoU"),
      make("thead", "", {}, make("tr", "", {}, make("td"), ...titles), make("tr", "", {}, make("td"), ...heads)),
      make("tbody", "", {}, ...rows)
    );
  }
}
