// The words around the plots: the fixed markup, the legend's buttons, the scores to choose from, the table of latest
// values for readers of the screen. Whatever comes from a run or a class table is set as text, never as markup.

const WAITING = "Waiting for the first step. The trainer is loading the data and checking itself.";
const ENDED_EMPTY = "No step was recorded before the end.";
const NO_RUNS = "Choose a run to see its curves.";
const NO_ANSWER = "The lab does not answer; trying again.";

const SPANS = [1, 3, 5, 10, 20, 50, 100, 200]; // of the training loss's average, in rows
const FIRST_SPAN = 3; // its place among them

const MARKUP = `
<div class="curves-bar">
  <div class="curves-runs" role="group" aria-label="Runs shown in both plots"></div>
  <div class="curves-tools">
    <button type="button" class="curves-button curves-reset" disabled>Reset zoom</button>
    <div class="curves-switch" role="group" aria-label="Horizontal axis">
      <button type="button" class="curves-button" data-axis="step">Step</button>
      <button type="button" class="curves-button" data-axis="epoch" disabled
        title="Known once a run has begun its second epoch">Epoch</button>
      <button type="button" class="curves-button" data-axis="minutes" disabled
        title="Minutes of training, without breaks">Minutes</button>
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
          <input type="range" min="0" max="${SPANS.length - 1}" value="${FIRST_SPAN}"
            aria-label="Smoothing of the training loss">
          <output></output></label>
        <label><input type="checkbox" class="curves-log"> Log scale</label>
      </span>
    </figcaption>
    <div class="curves-canvas" role="img"></div>
  </figure>
  <figure class="curves-plot">
    <figcaption>
      <select class="curves-measure" aria-label="Score shown"></select>
      <span class="curves-key curves-where"></span>
    </figcaption>
    <div class="curves-canvas" role="img"></div>
  </figure>
  <p class="curves-waiting"></p>
</div>
<p class="curves-note" role="status"></p>
<table class="curves-unseen"><caption>Latest values</caption>
  <thead><tr><th>Run</th><th>State</th><th>Step</th><th>Training loss</th><th>Validation loss</th>
    <th>Mean IoU</th><th>Pixel accuracy</th></tr></thead><tbody></tbody></table>`;

const isPlain = (value) => value === 0 || (value >= 0.01 && value < 1000);
const lossText = (value) => (isPlain(value) ? value.toPrecision(3) : value.toExponential(1));
const percentText = (value) => `${value.toFixed(1)} %`;

// What the train rows measure beside the loss, for the list: field -> [title, unit].
const TRAIN_MEASURES = {
  learning_rate: ["Learning rate", ""],
  images_per_second: ["Images per second", ""],
  cpu: ["Use of the processor", "%"],
  memory: ["Memory", "GB"],
  gpu_memory: ["Memory of the GPU", "GB"],
  waiting: ["Waiting for frames", "%"],
};

const LATE = {
  epoch: "Not on this axis before the second epoch",
  minutes: "Not on this axis, for its rows tell no minutes",
};

const unitOf = (measure) => (TRAIN_MEASURES[measure] ?? ["", "%"])[1];
const measureText = (measure) => {
  const unit = unitOf(measure);
  return unit === "%" ? percentText : (value) => `${lossText(value)} ${unit}`.trim();
};
const whereText = (measure) => (measure in TRAIN_MEASURES ? "during training" : "on the validation frames");
const seriesText = (measure) => (measure in TRAIN_MEASURES ? "training" : "validation");

// A run's button in the legend row; `toggle` is called when it is pressed.
function legendButton({ title, color }, toggle) {
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    className: "curves-run",
    title: "Show or hide in both plots",
    onclick: toggle,
  });
  button.style.setProperty("--curves-run", color);
  button.append(document.createElement("i"), document.createElement("span"), document.createElement("small"));
  button.children[1].textContent = title;
  return button;
}

function updateLegendButton(button, state, shown) {
  button.setAttribute("aria-pressed", String(shown));
  button.lastChild.textContent = state;
  button.lastChild.hidden = state === "running";
}

// Fill the list of scores and choose `wanted`; returns what is chosen: the mean IoU where there is no such class.
function fillMeasures(select, classes, wanted) {
  const option = (value, textContent) => Object.assign(document.createElement("option"), { value, textContent });
  select.replaceChildren(option("miou", "Mean IoU"), option("accuracy", "Pixel accuracy"));
  if (classes.length > 0) {
    const group = Object.assign(document.createElement("optgroup"), { label: "IoU of one class" });
    group.append(...classes.map((name, index) => option(`class:${index}`, `IoU of ${name}`)));
    select.append(group);
  }
  const machine = Object.assign(document.createElement("optgroup"), { label: "Training" });
  machine.append(...Object.entries(TRAIN_MEASURES).map(([name, [title]]) => option(name, title)));
  select.append(machine);
  select.value = wanted;
  if (select.selectedIndex < 0) select.value = "miou";
  return select.value;
}

function latestValuesRow({ title, series: { state, train, evals } }) {
  const latest = (column, text) => (typeof column.at(-1) === "number" ? text(column.at(-1)) : "none");
  const row = document.createElement("tr");
  for (const text of [
    title,
    state,
    Math.max(train.step.at(-1) ?? 0, evals.step.at(-1) ?? 0),
    latest(train.loss, lossText),
    latest(evals.loss, lossText),
    latest(evals.miou, percentText),
    latest(evals.accuracy, percentText),
  ]) {
    row.insertCell().textContent = text;
  }
  return row;
}
