// The pixel that was pinned, panel by panel: class, confidence, and the likeliest classes where they can be had.

class Pinned {
  // `remove` takes the pin away.
  constructor(remove) {
    this.title = make("span", "pinned-title");
    this.remove = makeButton("Remove pin", "Remove pin (Escape)", remove);
    const head = make("div", "pinned-head", {}, this.title, this.remove);
    this.list = make("div", "pinned-list");
    this.element = make("section", "pinned", { "aria-label": "Pinned pixel", "aria-live": "polite" }, head, this.list);
    this.element.hidden = true;
  }

  // `place` is the pinned image point, null for none; `likeliest` tells of a panel {value, problem} there, see late.js, or null.
  show(place, panels, truth, data, colors, likeliest) {
    const told = place ? panels.filter((panel) => panel.labels && !panel.spec.heat) : [];
    this.element.hidden = told.length === 0;
    this.remove.hidden = Boolean(data?.picks); // Python holds that one
    if (told.length === 0) return;
    const { width, height } = told[0].labels;
    const [x, y] = [Math.floor(place[0] * width), Math.floor(place[1] * height)];
    this.title.textContent = `Pinned: column ${x}, row ${y} of ${width} × ${height}`;
    this.list.replaceChildren(
      ...told.map((panel) => {
        const answer = answerAt(place, panel, truth, data.classes, colors);
        const mark = answer.wrong ? [make("span", "mark", { title: "Differs from the truth" }, wrongMark(answer, false))] : [];
        return make(
          "article",
          "pinned-panel",
          {},
          make("h3", "", { title: panel.spec.title }, panel.spec.title),
          make("p", "readout", {}, makeSwatch(answer.color), make("span", "answer", {}, answer.text), ...mark),
          ...this.#ranked(likeliest(panel), data.classes, colors)
        );
      })
    );
  }

  #ranked(found, classes, colors) {
    if (!found) return [];
    if (!found.value) return [make("p", "wait", {}, found.problem || "The network looks once more for its likeliest classes.")];
    const rows = found.value.map(([number, share]) => {
      const bar = make("span", "share-bar", { "aria-hidden": "true" });
      bar.style.setProperty("--share", String(share));
      const title = make("th", "", { scope: "row" }, makeSwatch(colors[number]), classes[number]);
      return make("tr", "", {}, title, make("td", "", {}, bar), make("td", "figure", {}, percent(share)));
    });
    return [make("table", "top-five", {}, make("caption", "unseen", {}, "Likeliest classes"), ...rows)];
  }
}
