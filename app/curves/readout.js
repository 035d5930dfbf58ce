// The box beside the pointer: one line a run with its values at the pointer's step, in columns.
//
// Plotly's own unified label takes a line per trace, which covers the plot as soon as there are four runs.

class Readout {
  constructor(canvas, columns) {
    this.canvas = canvas;
    this.columns = columns; // [heading, place of the trace among the run's, number -> text]
    this.box = document.createElement("table");
    this.box.className = "curves-readout";
    this.box.hidden = true;
    this.box.setAttribute("aria-hidden", "true"); // the table of latest values is there for readers of the screen
    canvas.after(this.box);
  }

  hide() {
    this.box.hidden = true;
  }

  // `points`: Plotly's hovered points, {curveNumber, x, y}; `perRun`: traces a run has in this plot.
  show({ points, event }, runs, perRun, position) {
    const values = new Map();
    for (const { curveNumber, y } of points) {
      const run = runs[Math.floor(curveNumber / perRun)];
      if (run) values.set(run, { ...values.get(run), [curveNumber % perRun]: y });
    }
    this.box.replaceChildren(this.#head(position));
    const body = this.box.createTBody();
    for (const run of runs.filter((one) => values.has(one))) {
      const at = values.get(run);
      const row = body.insertRow();
      const title = row.insertCell();
      title.append(document.createElement("i"), run.title);
      title.firstChild.style.background = run.color;
      for (const [, trace, text] of this.columns) {
        row.insertCell().textContent = typeof at[trace] === "number" ? text(at[trace]) : "";
      }
    }
    this.box.hidden = values.size === 0;
    this.#place(event);
  }

  #head(position) {
    const row = document.createElement("thead").insertRow();
    for (const text of [position, ...this.columns.map(([heading]) => heading)]) {
      const cell = document.createElement("th");
      cell.textContent = text;
      row.append(cell);
    }
    return row.parentNode;
  }

  // At the top of the plot, on the pointer's emptier side.
  #place(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    const x = (event.clientX ?? event.changedTouches[0].clientX) - left;
    const wanted = x < width / 2 ? x + 16 : x - 16 - this.box.offsetWidth;
    this.box.style.top = `${this.canvas.offsetTop + 4}px`;
    this.box.style.left = `${Math.max(0, Math.min(wanted, width - this.box.offsetWidth))}px`;
  }
}
