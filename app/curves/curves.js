// The component: asks the lab for new rows, keeps the two plots, the legend row and the controls in step.
//
// Streamlit calls the default export again on every script run and theme change, with the same parentElement: the
// instance is kept, and only what changed is told to it. It never sends anything to Python.

const FINAL_POLL_MS = 10_000;
const SLOWEST_RETRY_MS = 15_000;
const ANSWER_TIMEOUT_MS = 20_000;
const SPANS = [1, 3, 5, 10, 20, 50, 100, 200]; // of the training loss's average, in rows
const RAW_UP_TO_RUNS = 4; // of more, the unsmoothed losses are a smear that hides the lines, and slow

const WAITING = "Waiting for the first step. The trainer is loading the data and checking itself.";
const ENDED_EMPTY = "No step was recorded before the end.";
const NO_RUNS = "Choose a run to see its curves.";
const NO_ANSWER = "The lab does not answer; trying again.";

const isPlain = (value) => value === 0 || (value >= 0.01 && value < 1000);
const lossText = (value) => (isPlain(value) ? value.toPrecision(3) : value.toExponential(1));
const percentText = (value) => `${value.toFixed(1)} %`;

const MARKUP = `
<div class="curves-bar">
  <div class="curves-runs" role="group" aria-label="Runs shown in both plots"></div>
  <div class="curves-tools">
    <button type="button" class="curves-button curves-reset" disabled>Reset zoom</button>
    <div class="curves-switch" role="group" aria-label="Horizontal axis">
      <button type="button" class="curves-button" data-axis="step" aria-pressed="true">Step</button>
      <button type="button" class="curves-button" data-axis="epoch" aria-pressed="false" disabled
        title="Known once a run has begun its second epoch">Epoch</button>
    </div>
  </div>
</div>
<div class="curves-plots">
  <figure class="curves-plot">
    <figcaption>
      <span class="curves-title">Loss</span>
      <span class="curves-key"><i class="curves-thin"></i>training</span>
      <span class="curves-key"><i class="curves-dotted"></i>validation</span>
      <span class="curves-controls">
        <label class="curves-smooth">Smoothing
          <input type="range" min="0" max="${SPANS.length - 1}" step="1" value="3" aria-label="Smoothing of the training loss">
          <output></output></label>
        <label><input type="checkbox" class="curves-log"> Log scale</label>
      </span>
    </figcaption>
    <div class="curves-canvas" role="img"></div>
  </figure>
  <figure class="curves-plot">
    <figcaption>
      <select class="curves-measure" aria-label="Score shown"></select>
      <span class="curves-key">on the validation frames</span>
    </figcaption>
    <div class="curves-canvas" role="img"></div>
  </figure>
  <p class="curves-waiting"></p>
</div>
<p class="curves-note" role="status"></p>
<table class="curves-unseen"><caption>Latest values</caption>
  <thead><tr><th>Run</th><th>State</th><th>Step</th><th>Training loss</th><th>Validation loss</th>
    <th>Mean IoU</th><th>Pixel accuracy</th></tr></thead><tbody></tbody></table>`;

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
      waiting: find(".curves-waiting"),
      note: find(".curves-note"),
      table: find("tbody"),
    };
    const [loss, score] = this.root.querySelectorAll(".curves-canvas");
    this.canvas = { loss, score };
    this.readout = {
      loss: new Readout(loss, [["training", 1, lossText], ["validation", 2, lossText]]),
      score: new Readout(score, [["validation", 0, percentText]]),
    };
    this.view = { axis: "step", log: false, span: SPANS[3], measure: "miou", hidden: new Set() };
    this.runs = [];
    this.failures = 0;
    this.timer = null;
    this.asking = false;
    this.closed = new AbortController();
    this.plotly = null;
    parent.append(this.root);
    this.#listen();
  }

  // What Python said, on mount and on every later script run.
  update({ runs, classes, poll_seconds }) {
    this.pollMs = poll_seconds * 1000;
    const said = JSON.stringify([runs, classes]);
    if (said !== this.said) {
      this.said = said;
      const known = new Map(this.runs.map((run) => [run.id, run]));
      this.runs = runs.map(({ run_id, title, color }) => ({
        ...(known.get(run_id) ?? { id: run_id, series: new Series(), due: 0 }),
        title,
        color,
      }));
      this.#buildMeasures(classes);
      this.#buildLegend();
    }
    const look = said + JSON.stringify(this.#theme());
    if (this.plotly && look !== this.look) this.#redraw();
    this.look = look;
    this.#showWords();
    // A script run often follows a click on stop or resume: ask now.
    for (const run of this.runs) run.due = 0;
    this.#schedule(0);
  }

  close() {
    this.closed.abort();
    clearTimeout(this.timer);
    this.sizes.disconnect();
    for (const canvas of Object.values(this.canvas)) this.plotly?.purge(canvas);
    this.root.remove();
  }

  // ---- asking the lab ----

  #schedule(delay) {
    clearTimeout(this.timer);
    if (document.hidden || this.closed.signal.aborted) return;
    this.timer = setTimeout(() => this.#poll(), delay);
  }

  async #poll() {
    if (this.asking) return; // the poll under way schedules the next
    this.asking = true;
    const now = performance.now();
    const asked = this.runs.filter((run) => run.due <= now);
    const answers = await Promise.allSettled([loadPlotly(), ...asked.map((run) => this.#ask(run))]);
    this.asking = false;
    if (this.closed.signal.aborted) return;

    const [plotly, ...rows] = answers;
    this.failures = answers.some((answer) => answer.status === "rejected") ? this.failures + 1 : 0;
    const cut = rows.some((answer) => answer.value === true);
    if (plotly.status === "fulfilled") {
      const first = !this.plotly;
      this.plotly = plotly.value;
      const moved = this.runs.some((run) => this.view.axis === "epoch" && run.placedWith !== run.series.stepsPerEpoch);
      if (first || cut || moved) this.#redraw();
      else this.#extend();
      if (this.failures === 0) this.root.dataset.ready = "true";
    }
    this.#showWords();

    const soonest = Math.min(...this.runs.map((run) => run.due)) - performance.now();
    const retry = Math.min(this.pollMs * 2 ** this.failures, SLOWEST_RETRY_MS);
    if (this.runs.length > 0) this.#schedule(this.failures > 0 ? retry : Math.max(soonest, 0));
  }

  // Fetch one run's new rows. Resolves to true where rows drawn earlier are void.
  async #ask(run) {
    const { series } = run;
    const answer = await fetch(`/lab/metrics/${encodeURIComponent(run.id)}?offset=${series.offset}`, {
      cache: "no-store",
      signal: AbortSignal.any([this.closed.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    let cut = false;
    if (answer.status === 404) {
      series.state = "gone";
    } else if (answer.ok) {
      const { rows, offset, state } = await answer.json();
      cut = series.append(rows);
      Object.assign(series, { offset, state });
    } else {
      throw new Error(`${answer.status} for ${run.id}`);
    }
    run.due = performance.now() + (series.isFinal ? FINAL_POLL_MS : this.pollMs);
    return cut;
  }

  // ---- drawing ----

  // Everything anew, with the zoom as it is unless `forget` names an axis ("x", "y") of a plot that it no longer fits.
  #redraw(forget = () => false) {
    const theme = this.#theme();
    const data = { loss: [], score: [] };
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
      const position = this.view.axis === "step" ? `step ${x}` : `epoch ${x.toFixed(2)}`;
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
    if (!isPlaced(run, this.view)) return newPoints(run, this.view, all);
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
    const color = (name) => style.getPropertyValue(`--st-${name}-color`).trim();
    return {
      text: color("text"),
      background: color("background"),
      border: color("border"),
      grid: style.getPropertyValue("--st-border-color-light").trim(),
      muted: style.getPropertyValue("--curves-muted").trim(),
      font: style.fontFamily,
    };
  }

  // ---- words around the plots ----

  #buildLegend() {
    this.parts.legend.replaceChildren(
      ...this.runs.map((run) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "curves-run";
        button.title = "Show or hide in both plots";
        button.style.setProperty("--curves-run", run.color);
        button.append(document.createElement("i"), document.createElement("span"), document.createElement("small"));
        button.children[1].textContent = run.title;
        button.onclick = () => {
          if (!this.view.hidden.delete(run.id)) this.view.hidden.add(run.id);
          if (this.plotly) this.#redraw();
          this.#showWords();
        };
        run.button = button;
        return button;
      }),
    );
  }

  #buildMeasures(classes) {
    const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
    const { measure } = this.parts;
    measure.replaceChildren(option("miou", "Mean IoU"), option("accuracy", "Pixel accuracy"));
    if (classes.length > 0) {
      const group = Object.assign(document.createElement("optgroup"), { label: "IoU of one class" });
      group.append(...classes.map((name, index) => option(`class:${index}`, `IoU of ${name}`)));
      measure.append(group);
    }
    measure.value = this.view.measure;
    if (measure.selectedIndex < 0) measure.value = this.view.measure = "miou";
  }

  // Attributes that tests and style sheets read: how many rows are drawn, and what part of the axis.
  #showFacts() {
    this.root.dataset.points = this.#shown().reduce((sum, { drawn }) => sum + drawn.train + drawn.evals, 0);
    const { xaxis, yaxis } = this.canvas.loss.layout;
    this.root.dataset.range = xaxis.autorange === false ? xaxis.range.map((value) => value.toFixed(2)).join(",") : "auto";
    const free = [xaxis, yaxis, this.canvas.score.layout.yaxis].every((axis) => axis.autorange !== false);
    this.parts.reset.disabled = free;
  }

  #showWords() {
    const { legend, waiting, note, table, smoothText, axes, measure } = this.parts;
    for (const run of this.runs) {
      const [, , state] = run.button.children;
      run.button.setAttribute("aria-pressed", String(!this.view.hidden.has(run.id)));
      state.textContent = run.series.state === "gone" ? "deleted" : run.series.state;
      state.hidden = run.series.state === "running";
    }
    legend.hidden = this.runs.length === 0;

    const empty = this.runs.every((run) => run.series.isEmpty);
    const ended = this.runs.every((run) => run.series.isFinal);
    this.root.classList.toggle("curves-empty", empty);
    waiting.textContent = this.runs.length === 0 ? NO_RUNS : ended ? ENDED_EMPTY : WAITING;

    const unplaced = this.runs.filter((run) => !isPlaced(run, this.view)).map((run) => run.title);
    const late = `Not on this axis before the second epoch: ${unplaced.join(", ")}.`;
    note.textContent = this.failures > 0 ? NO_ANSWER : unplaced.length > 0 ? late : "";

    smoothText.textContent = this.view.span === 1 ? "off" : `${this.view.span} rows`;
    for (const button of axes) button.setAttribute("aria-pressed", String(button.dataset.axis === this.view.axis));
    axes[1].disabled = this.view.axis !== "epoch" && this.runs.every((run) => run.series.stepsPerEpoch === null);
    const titles = this.runs.map((run) => run.title).join(", ");
    this.canvas.loss.setAttribute("aria-label", `Loss against ${this.view.axis}: ${titles}`);
    const score = measure.selectedOptions[0].textContent;
    this.canvas.score.setAttribute("aria-label", `${score} in per cent against ${this.view.axis}: ${titles}`);

    table.replaceChildren(...this.runs.map((run) => this.#tableRow(run)));
  }

  #tableRow({ title, series }) {
    const { train, evals } = series;
    const digits = (value) => (typeof value === "number" ? lossText(value) : "none yet");
    const share = (value) => (typeof value === "number" ? percentText(value) : "none yet");
    const row = document.createElement("tr");
    const step = Math.max(train.step.at(-1) ?? 0, evals.step.at(-1) ?? 0);
    const losses = [digits(train.loss.at(-1)), digits(evals.loss.at(-1))];
    for (const text of [title, series.state, step, ...losses, share(evals.miou.at(-1)), share(evals.accuracy.at(-1))]) {
      row.insertCell().textContent = text;
    }
    return row;
  }

  // ---- what the reader does ----

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
    const untilClosed = { signal: this.closed.signal };
    document.addEventListener("visibilitychange", () => this.#schedule(0), untilClosed);
    document.addEventListener("pointerdown", () => Object.values(this.readout).forEach((box) => box.hide()), untilClosed);
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
