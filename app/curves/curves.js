// The component: keeps the two plots, the legend row and the controls in step with the rows that arrive. It sends
// nothing to Python.

import { componentOf } from "../shared/component.js";
import { setPressed } from "../shared/elements.js";
import { numberText } from "../shared/text.js";
import { Feed } from "./feed.js";
import { FIRST_MEASURE, metricOf, originText, sourceText, valueText } from "./metrics.js";
import {
  FIRST_SPAN,
  SPANS,
  fillMeasures,
  latestValuesRow,
  makeParts,
  makeRunButton,
  updateRunButton,
} from "./parts.js";
import { loadPlotly } from "./plotly.js";
import { PLOT_CONFIG, TRACES, newPoints, plotLayout, runTraces } from "./plots.js";
import { Readout } from "./readout.js";
import { Series, Smoother } from "./series.js";

const MAX_RAW_RUNS = 4; // of more, the unsmoothed losses are a smear that hides the lines, and slow

const WAITING = "Waiting for the first step. The trainer is loading the data and checking itself.";
const ENDED_EMPTY = "No step was recorded before the end.";
const NO_RUNS = "Choose a run to see its curves.";
const NO_ANSWER = "The lab does not answer; trying again.";
const NOT_ON_AXIS = {
  epoch: "Not on this axis before the second epoch",
  minutes: "Not on this axis, for its rows tell no minutes",
};

class Curves {
  constructor(parent) {
    this.parts = makeParts();
    this.root = this.parts.root;
    this.canvases = this.parts.canvases;
    const lossText = (value) => numberText(value, { keepZeros: true });
    this.readouts = {
      loss: new Readout(this.canvases.loss, [
        { title: "training", trace: 1, text: lossText },
        { title: "validation", trace: 2, text: lossText },
      ]),
      score: new Readout(this.canvases.score, []), // its column follows the measure
    };
    this.view = { axis: "step", log: false, span: SPANS[FIRST_SPAN], measure: FIRST_MEASURE, hidden: new Set() };
    this.runs = [];
    this.plotly = null; // until it is loaded
    this.feed = new Feed(loadPlotly, (plotly, wasReset) => this.#onRound(plotly, wasReset));
    parent.append(this.root);
    this.#listen();
  }

  // Called at mount, and when the data or the theme change.
  update({ runs, classes, poll_seconds: pollSeconds }) {
    const serialized = JSON.stringify([runs, classes]);
    if (serialized !== this.serialized) {
      this.serialized = serialized;
      this.#setRuns(runs);
      this.view.measure = fillMeasures(this.parts.measure, classes, this.view.measure);
    }
    const look = serialized + JSON.stringify(this.#theme());
    if (this.plotly && look !== this.look) this.#redraw();
    this.look = look;
    this.#showText();
    this.feed.follow(this.runs, pollSeconds * 1000);
  }

  #setRuns(runs) {
    const known = new Map(this.runs.map((run) => [run.id, run]));
    this.runs = runs.map(({ run_id: id, title, color }) => ({
      ...(known.get(id) ?? { id, series: new Series() }),
      title,
      color,
    }));
    for (const run of this.runs) run.button = makeRunButton(run, () => this.#toggle(run.id));
    this.parts.legend.replaceChildren(...this.runs.map((run) => run.button));
  }

  destroy() {
    this.feed.close();
    this.sizes.disconnect();
    document.removeEventListener("pointerdown", this.hideReadouts);
    for (const canvas of Object.values(this.canvases)) this.plotly?.purge(canvas);
    this.root.remove();
  }

  #onRound(plotly, wasReset) {
    if (plotly) {
      const isFirst = !this.plotly;
      this.plotly = plotly;
      const isEpoch = this.view.axis === "epoch";
      const hasMoved = isEpoch && this.runs.some((run) => run.drawnStepsPerEpoch !== run.series.stepsPerEpoch);
      if (isFirst || wasReset || hasMoved) this.#redraw();
      else this.#extend();
      if (this.feed.failures === 0) this.root.dataset.ready = "true";
    }
    this.#showText();
  }

  // ---- drawing ----

  // Draw everything anew. The zoom stays, unless `forget(plot, axis)` is true where it no longer fits.
  #redraw(forget = () => false) {
    const theme = this.#theme();
    const data = { loss: [], score: [] };
    const metric = metricOf(this.view.measure);
    this.readouts.score.columns = [{ title: sourceText(metric), trace: 0, text: (value) => valueText(metric, value) }];
    const withRaw = this.view.span > 1 && this.#shown().length <= MAX_RAW_RUNS;
    for (const run of this.runs) {
      run.smoother = new Smoother(this.view.span);
      run.drawn = { train: 0, eval: 0 };
      run.drawnStepsPerEpoch = run.series.stepsPerEpoch;
      const traces = runTraces(run, this.view, this.#takePoints(run), withRaw);
      data.loss.push(...traces.loss);
      data.score.push(...traces.score);
    }
    for (const [kind, canvas] of Object.entries(this.canvases)) {
      const range = (name) => {
        const axis = canvas.layout?.[`${name}axis`];
        return axis && axis.autorange === false && !forget(kind, name) ? [...axis.range] : null;
      };
      const layout = plotLayout(kind, this.view, theme, { x: range("x"), y: range("y") });
      const isNew = !canvas.layout;
      this.plotly.react(canvas, data[kind], layout, PLOT_CONFIG);
      if (isNew) this.#follow(kind, canvas);
    }
    this.#showAttributes();
  }

  #follow(kind, canvas) {
    canvas.on("plotly_relayout", (change) => this.#shareZoom(canvas, change));
    canvas.on("plotly_unhover", () => this.readouts[kind].hide());
    const show = (pointed) => {
      const { x } = pointed.points[0];
      const position = this.view.axis === "step" ? `step ${x}` : `${this.view.axis} ${x.toFixed(2)}`;
      this.readouts[kind].show(pointed, this.runs, TRACES[kind], position);
    };
    canvas.on("plotly_hover", show);
    canvas.on("plotly_click", show); // a tap is a click without a hover
  }

  // Draw only the new rows: one call per plot for all runs.
  #extend() {
    const more = { loss: { x: [], y: [], at: [] }, score: { x: [], y: [], at: [] } };
    this.runs.forEach((run, index) => {
      const points = this.#takePoints(run);
      for (const [kind, count] of Object.entries(TRACES)) {
        points[kind].forEach(([x, y], trace) => {
          if (x.length === 0) return;
          more[kind].x.push(x);
          more[kind].y.push(y);
          more[kind].at.push(index * count + trace);
        });
      }
    });
    for (const [kind, { x, y, at }] of Object.entries(more)) {
      if (at.length > 0) this.plotly.extendTraces(this.canvases[kind], { x, y }, at);
    }
    this.#showAttributes();
  }

  // The points of `run` that are not drawn yet; marks them as drawn. None while it isn't on the axis.
  #takePoints(run) {
    const all = { train: run.series.train.step.length, eval: run.series.eval.step.length };
    if (!run.series.isOnAxis(this.view.axis)) return newPoints(run, this.view, all);
    const points = newPoints(run, this.view, run.drawn);
    run.drawn = all;
    return points;
  }

  #shareZoom(source, change) {
    const other = source === this.canvases.loss ? this.canvases.score : this.canvases.loss;
    if (change["xaxis.autorange"] && other.layout.xaxis.autorange === false) {
      this.plotly.relayout(other, { "xaxis.autorange": true, "yaxis.autorange": true });
    } else if (source.layout.xaxis.autorange === false && !this.#sameRange(source, other)) {
      this.plotly.relayout(other, { "xaxis.range": [...source.layout.xaxis.range], "xaxis.autorange": false });
    }
    this.#showAttributes();
  }

  #sameRange(one, two) {
    const [a, b] = [one.layout.xaxis, two.layout.xaxis];
    return b.autorange === false && a.range.every((value, i) => value === b.range[i]);
  }

  #shown() {
    return this.runs.filter((run) => !this.view.hidden.has(run.id));
  }

  #theme() {
    const style = getComputedStyle(this.root);
    const color = (name) => style.getPropertyValue(name).trim();
    return {
      muted: color("--lab-quiet"),
      grid: color("--st-border-color-light"),
      font: style.fontFamily,
    };
  }

  // ---- text around the plots ----

  // Attributes that tests and style sheets read: the number of drawn rows, and the visible part of the axis.
  #showAttributes() {
    this.root.dataset.points = this.#shown().reduce((sum, { drawn }) => sum + drawn.train + drawn.eval, 0);
    const { xaxis, yaxis } = this.canvases.loss.layout;
    const zoomed = xaxis.autorange === false;
    this.root.dataset.range = zoomed ? xaxis.range.map((value) => value.toFixed(2)).join(",") : "auto";
    const free = [xaxis, yaxis, this.canvases.score.layout.yaxis].every((axis) => axis.autorange !== false);
    this.parts.reset.disabled = free;
  }

  #showText() {
    const { legend, waiting, note, rows, smoothText, axes, measure, origin } = this.parts;
    const { axis, span, hidden } = this.view;
    for (const run of this.runs) updateRunButton(run.button, run.series.state, !hidden.has(run.id));
    legend.hidden = this.runs.length === 0;

    const haveEnded = this.runs.every((run) => run.series.isFinal);
    this.root.classList.toggle("curves-empty", this.runs.every((run) => run.series.isEmpty));
    waiting.textContent = this.runs.length === 0 ? NO_RUNS : haveEnded ? ENDED_EMPTY : WAITING;
    note.textContent = this.feed.failures > 0 ? NO_ANSWER : this.#missingText();

    smoothText.textContent = span === 1 ? "off" : `${span} rows`;
    this.parts.smooth.style.setProperty("--filled", `${(100 * SPANS.indexOf(span)) / (SPANS.length - 1)}%`);
    for (const button of axes) {
      const own = button.dataset.axis;
      setPressed(button, own === axis);
      button.disabled = own !== axis && !this.runs.some((run) => run.series.isOnAxis(own)) && own !== "step";
    }
    const isScored = this.runs.some((run) => run.series.eval.loss.length > 0);
    const previewed = Math.max(0, ...this.runs.map((run) => run.series.previewed));
    origin.textContent = originText(metricOf(measure.value), isScored, previewed);
    const titles = this.runs.map((run) => run.title).join(", ");
    this.canvases.loss.setAttribute("aria-label", `Loss against ${axis}: ${titles}`);
    const score = measure.selectedOptions[0].textContent;
    this.canvases.score.setAttribute("aria-label", `${score} against ${axis}: ${titles}`);
    rows.replaceChildren(...this.runs.map(latestValuesRow));
  }

  // Which runs the axis doesn't have, and why.
  #missingText() {
    const { axis } = this.view;
    const titles = this.runs.filter((run) => !run.series.isOnAxis(axis)).map((run) => run.title);
    return titles.length > 0 ? `${NOT_ON_AXIS[axis]}: ${titles.join(", ")}.` : "";
  }

  // ---- input ----

  #toggle(id) {
    if (!this.view.hidden.delete(id)) this.view.hidden.add(id);
    if (this.plotly) this.#redraw();
    this.#showText();
  }

  #listen() {
    const { reset, axes, smooth, log, measure } = this.parts;
    const change = (view, forget) => {
      Object.assign(this.view, view);
      if (this.plotly) this.#redraw(forget);
      this.#showText();
    };
    reset.addEventListener("click", () => this.#redraw(() => true));
    for (const button of axes) {
      button.addEventListener("click", () => change({ axis: button.dataset.axis }, (_, axis) => axis === "x"));
    }
    smooth.addEventListener("input", () => change({ span: SPANS[smooth.valueAsNumber] }));
    const isAxisY = (plot) => (kind, axis) => kind === plot && axis === "y";
    log.addEventListener("change", () => change({ log: log.checked }, isAxisY("loss")));
    measure.addEventListener("change", () => change({ measure: measure.value }, isAxisY("score")));
    this.hideReadouts = () => Object.values(this.readouts).forEach((readout) => readout.hide());
    document.addEventListener("pointerdown", this.hideReadouts);
    // A sidebar that opens or a tab that shows sends no resize event of the window.
    this.sizes = new ResizeObserver(() => {
      for (const canvas of Object.values(this.canvases)) {
        if (this.plotly && canvas.layout && canvas.offsetWidth > 0) this.plotly.Plots.resize(canvas);
      }
    });
    for (const canvas of Object.values(this.canvases)) this.sizes.observe(canvas);
  }
}

export default componentOf(Curves);
