// The box beside the pointer: one line per run with its values at the pointer's step, in columns.
//
// Plotly's own unified label takes a line per trace, which covers the plot as soon as there are four runs.

import { make, makeHead, makeRow } from "../shared/elements.js";

export class Readout {
  // `columns`: {title, trace, text}: the heading, the trace's index among those of a run, and value -> text.
  constructor(canvas, columns) {
    this.canvas = canvas;
    this.columns = columns;
    // Screen readers have the table of latest values.
    this.box = make("table", "curves-readout", { "aria-hidden": "true" });
    this.box.hidden = true;
    canvas.after(this.box);
  }

  hide() {
    this.box.hidden = true;
  }

  // `points`: Plotly's hovered points, {curveNumber, x, y}; `perRun`: number of traces of a run in this plot.
  show({ points, event }, runs, perRun, position) {
    const values = new Map(); // run -> trace -> value
    for (const { curveNumber, y } of points) {
      const run = runs[Math.floor(curveNumber / perRun)];
      if (run) values.set(run, { ...values.get(run), [curveNumber % perRun]: y });
    }
    const rows = runs.filter((run) => values.has(run)).map((run) => this.#row(run, values.get(run)));
    const head = makeHead([position, ...this.columns.map(({ title }) => title)]);
    this.box.replaceChildren(head, make("tbody", "", {}, ...rows));
    this.box.hidden = rows.length === 0;
    this.#moveTo(event);
  }

  #row(run, values) {
    const dot = make("i");
    dot.style.background = run.color;
    const texts = this.columns.map(({ trace, text }) => (typeof values[trace] === "number" ? text(values[trace]) : ""));
    const row = makeRow([dot, ...texts]);
    row.firstChild.append(run.title);
    return row;
  }

  // To the top of the plot, on the pointer's emptier side.
  #moveTo(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    const x = (event.clientX ?? event.changedTouches[0].clientX) - left;
    const boxLeft = x < width / 2 ? x + 16 : x - 16 - this.box.offsetWidth;
    this.box.style.top = `${this.canvas.offsetTop + 4}px`;
    this.box.style.left = `${Math.max(0, Math.min(boxLeft, width - this.box.offsetWidth))}px`;
  }
}
