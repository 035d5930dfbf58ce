// The component: keeps the two plots, the legend row and the controls in step with the rows that arrive.
//
// Streamlit calls the default export again on every script run and theme change, with the same parentElement: the
// instance is kept, and only what changed is told to it. It never sends anything to Python.

const RAW_UP_TO_RUNS = 4; // of more, the unsmoothed losses are a smear that hides the lines, and slow

class Curves {
  constructor(parent) {
    this.root = document.createElement("section");
    this.root.className = "curves";
    this.root.setAttribute("aria-label", "Training curves");
    this.root.innerHTML = MARKUP; // fixed text; whatever comes from a run is set as textContent
    const find = (selector) => this.root.querySelector(selector);
    this.parts = {
      legend: find(".curves-runs"),
      reset: find(".curves-reset"),
      axes: [...this.root.querySelectorAll("[data-axis]")],
      smooth: find(".curves-smooth input"),
      smoothText: find(".curves-smooth output"),
      log: find(".curves-log"),
      measure: find(".curves-measure"),
      where: find(".curves-where"),
      waiting: find(".curves-waiting"),
      note: find(".curves-note"),
      table: find("tbody"),
    };
    const [loss, score] = this.root.querySelectorAll(".curves-canvas");
    this.canvas = { loss, score };
    this.readout = {
      loss: new Readout(loss, [["training", 1, lossText], ["validation", 2, lossText]]),
      score: new Readout(score, []), // its column follows the measure
    };
    this.view = { axis: "step", log: false, span: SPANS[FIRST_SPAN], measure: "miou", hidden: new Set() };
    this.runs = [];
    this.plotly = null; // until it is loaded
    this.feed = new Feed((plotly, cut) => this.#arrived(plotly, cut));
    parent.append(this.root);
    this.#listen();
  }

  // What Python said, on mount and on every later script run. That often follows a click on stop or resume, so the lab
  // is asked at once.
  update({ runs, classes, poll_seconds }) {
    const said = JSON.stringify([runs, classes]);
    if (said !== this.said) {
      this.said = said;
      const known = new Map(this.runs.map((run) => [run.id, run]));
      this.runs = runs.map(({ run_id, title, color }) => ({
        ...(known.get(run_id) ?? { id: run_id, series: new Series() }),
        title,
        color,
      }));
      for (const run of this.runs) run.button = legendButton(run, () => this.#toggle(run.id));
      this.parts.legend.replaceChildren(...this.runs.map((run) => run.button));
      this.view.measure = fillMeasures(this.parts.measure, classes, this.view.measure);
    }
    const look = said + JSON.stringify(this.#theme());
    if (this.plotly && look !== this.look) this.#redraw();
    this.look = look;
    this.#showWords();
    this.feed.follow(this.runs, poll_seconds * 1000);
  }

  close() {
    this.feed.close();
    this.sizes.disconnect();
    document.removeEventListener("pointerdown", this.hideReadouts);
    for (const canvas of Object.values(this.canvas)) this.plotly?.purge(canvas);
    this.root.remove();
  }

  #arrived(plotly, cut) {
    if (plotly) {
      const first = !this.plotly;
      this.plotly = plotly;
      const moved = this.runs.some((run) => this.view.axis === "epoch" && run.placedWith !== run.series.stepsPerEpoch);
      if (first || cut || moved) this.#redraw();
      else this.#extend();
      if (this.feed.failures === 0) this.root.dataset.ready = "true";
    }
    this.#showWords();
  }

  // ---- drawing ----

  // Everything anew, with the zoom as it is unless `forget` names an axis ("x", "y") of a plot that it no longer fits.
  #redraw(forget = () => false) {
    const theme = this.#theme();
    const data = { loss: [], score: [] };
    this.readout.score.columns = [[seriesText(this.view.measure), 0, measureText(this.view.measure)]];
    const withRaw = this.view.span > 1 && this.#shown().length <= RAW_UP_TO_RUNS;
    for (const run of this.runs) {
      run.smoother = new Smoother(this.view.span);
      run.drawn = { train: 0, evals: 0 };
      run.placedWith = run.series.stepsPerEpoch;
      const traces = runTraces(run, this.view, this.#takePoints(run), withRaw);
      data.loss.push(...traces.loss);
      data.score.push(...traces.score);
    }
    for (const [kind, canvas] of Object.entries(this.canvas)) {
      const range = (name) => {
        const axis = canvas.layout?.[`${name}axis`];
        return axis && axis.autorange === false && !forget(kind, name) ? [...axis.range] : null;
      };
      const layout = plotLayout(kind, this.view, theme, { x: range("x"), y: range("y") });
      const isNew = !canvas.layout;
      this.plotly.react(canvas, data[kind], layout, PLOT_CONFIG);
      if (isNew) this.#follow(kind, canvas);
    }
    this.#showFacts();
  }

  #follow(kind, canvas) {
    canvas.on("plotly_relayout", (change) => this.#shareZoom(canvas, change));
    canvas.on("plotly_unhover", () => this.readout[kind].hide());
    const show = (pointed) => {
      const { x } = pointed.points[0];
      const position = this.view.axis === "step" ? `step ${x}` : `${this.view.axis} ${x.toFixed(2)}`;
      this.readout[kind].show(pointed, this.runs, TRACES[kind], position);
    };
    canvas.on("plotly_hover", show);
    canvas.on("plotly_click", show); // a finger's tap is a click without a hover
  }

  // Only the rows that came since: one call a plot for all runs.
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
      if (at.length > 0) this.plotly.extendTraces(this.canvas[kind], { x, y }, at);
    }
    this.#showFacts();
  }

  // The points of `run` that are not drawn yet; marks them as drawn. None while it has no place on the axis.
  #takePoints(run) {
    const { train, evals } = run.series;
    const all = { train: train.step.length, evals: evals.step.length };
    if (!run.series.isPlaced(this.view.axis)) return newPoints(run, this.view, all);
    const points = newPoints(run, this.view, run.drawn);
    run.drawn = all;
    return points;
  }

  #shareZoom(source, change) {
    const other = source === this.canvas.loss ? this.canvas.score : this.canvas.loss;
    if (change["xaxis.autorange"] && other.layout.xaxis.autorange === false) {
      this.plotly.relayout(other, { "xaxis.autorange": true, "yaxis.autorange": true });
    } else if (source.layout.xaxis.autorange === false && !this.#sameRange(source, other)) {
      this.plotly.relayout(other, { "xaxis.range": [...source.layout.xaxis.range], "xaxis.autorange": false });
    }
    this.#showFacts();
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
      muted: color("--curves-muted"),
      grid: color("--st-border-color-light"),
      font: style.fontFamily,
    };
  }

  // ---- words around the plots ----

  // Attributes that tests and style sheets read: how many rows are drawn, and what part of the axis.
  #showFacts() {
    this.root.dataset.points = this.#shown().reduce((sum, { drawn }) => sum + drawn.train + drawn.evals, 0);
    const { xaxis, yaxis } = this.canvas.loss.layout;
    const zoomed = xaxis.autorange === false;
    this.root.dataset.range = zoomed ? xaxis.range.map((value) => value.toFixed(2)).join(",") : "auto";
    const free = [xaxis, yaxis, this.canvas.score.layout.yaxis].every((axis) => axis.autorange !== false);
    this.parts.reset.disabled = free;
  }

  #showWords() {
    const { legend, waiting, note, table, smoothText, axes, measure, where } = this.parts;
    const { axis, span, hidden } = this.view;
    for (const run of this.runs) updateLegendButton(run.button, run.series.state, !hidden.has(run.id));
    legend.hidden = this.runs.length === 0;

    const ended = this.runs.every((run) => run.series.isFinal);
    this.root.classList.toggle("curves-empty", this.runs.every((run) => run.series.isEmpty));
    waiting.textContent = this.runs.length === 0 ? NO_RUNS : ended ? ENDED_EMPTY : WAITING;

    const unplaced = this.runs.filter((run) => !run.series.isPlaced(axis)).map((run) => run.title);
    const late = `${LATE[axis]}: ${unplaced.join(", ")}.`;
    note.textContent = this.feed.failures > 0 ? NO_ANSWER : unplaced.length > 0 ? late : "";

    smoothText.textContent = span === 1 ? "off" : `${span} rows`;
    for (const button of axes) {
      const own = button.dataset.axis;
      button.setAttribute("aria-pressed", String(own === axis));
      button.disabled = own !== axis && !this.runs.some((run) => run.series.isPlaced(own)) && own !== "step";
    }
    where.textContent = whereText(measure.value);
    const titles = this.runs.map((run) => run.title).join(", ");
    this.canvas.loss.setAttribute("aria-label", `Loss against ${axis}: ${titles}`);
    const score = measure.selectedOptions[0].textContent;
    this.canvas.score.setAttribute("aria-label", `${score} against ${axis}: ${titles}`);
    table.replaceChildren(...this.runs.map(latestValuesRow));
  }

  // ---- what the reader does ----

  #toggle(id) {
    if (!this.view.hidden.delete(id)) this.view.hidden.add(id);
    if (this.plotly) this.#redraw();
    this.#showWords();
  }

  #listen() {
    const { reset, axes, smooth, log, measure } = this.parts;
    const change = (view, forget) => {
      Object.assign(this.view, view);
      if (this.plotly) this.#redraw(forget);
      this.#showWords();
    };
    reset.onclick = () => this.#redraw(() => true);
    for (const button of axes) button.onclick = () => change({ axis: button.dataset.axis }, (_, axis) => axis === "x");
    smooth.oninput = () => change({ span: SPANS[smooth.valueAsNumber] });
    log.onchange = () => change({ log: log.checked }, (kind, axis) => kind === "loss" && axis === "y");
    measure.onchange = () => change({ measure: measure.value }, (kind, axis) => kind === "score" && axis === "y");
    this.hideReadouts = () => Object.values(this.readout).forEach((box) => box.hide());
    document.addEventListener("pointerdown", this.hideReadouts);
    // The sidebar opens, a tab shows: the window's own resize event does not tell.
    this.sizes = new ResizeObserver(() => {
      for (const canvas of Object.values(this.canvas)) {
        if (this.plotly && canvas.layout && canvas.offsetWidth > 0) this.plotly.Plots.resize(canvas);
      }
    });
    for (const canvas of Object.values(this.canvas)) this.sizes.observe(canvas);
  }
}

const instances = new WeakMap();

export default function ({ data, parentElement }) {
  if (!instances.has(parentElement)) instances.set(parentElement, new Curves(parentElement));
  const instance = instances.get(parentElement);
  instance.update(data);
  return () => {
    instance.close();
    instances.delete(parentElement);
  };
}
