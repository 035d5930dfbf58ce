// The elements around the plots: controls, captions, the runs' buttons, and the table of latest values for screen
// readers.

import { make, makeButton, makeHead, makeOptions, makeRow, setPressed } from "../shared/elements.js";
import { FIRST_MEASURE, METRICS, measureGroups, valueText } from "./metrics.js";

export const SPANS = [1, 3, 5, 10, 20, 50, 100, 200]; // of the training loss's average, in rows
export const FIRST_SPAN = 3; // index into SPANS

const TABLE_METRICS = METRICS.filter(({ plot, key }) => plot === "loss" || key === "miou" || key === "pixel_accuracy");
const AXES = {
  step: ["Step", ""],
  epoch: ["Epoch", "Known once a run has begun its second epoch"],
  minutes: ["Minutes", "Minutes of training, without breaks"],
};

const makeKey = (line, text) => make("span", "curves-key", {}, ...(line ? [make("i", `curves-${line}`)] : []), text);

function makePlot(...caption) {
  const canvas = make("div", "curves-canvas", { role: "img" });
  return { canvas, figure: make("figure", "curves-plot", {}, make("figcaption", "", {}, ...caption), canvas) };
}

// Build all elements; those that change later are returned by name, `root` among them.
export function makeParts() {
  const legend = make("div", "curves-runs", { role: "group", "aria-label": "Runs shown in both plots" });
  const reset = makeButton("Reset zoom", "Reset zoom", () => {}, "curves-reset");
  const axes = Object.entries(AXES).map(([axis, [text, title]]) => {
    const button = makeButton(text, text, () => {});
    Object.assign(button, { title });
    button.dataset.axis = axis;
    return button;
  });
  const axisSwitch = make("div", "switch", { role: "group", "aria-label": "Horizontal axis" }, ...axes);

  const range = { type: "range", min: "0", max: SPANS.length - 1, value: FIRST_SPAN };
  const smooth = make("input", "", { ...range, "aria-label": "Smoothing of the training loss" });
  const smoothText = make("output");
  const log = make("input", "", { type: "checkbox" });
  const controls = make(
    "span",
    "curves-controls",
    {},
    make("label", "curves-smooth", {}, "Smoothing", smooth, smoothText),
    make("label", "", {}, log, "Log scale")
  );
  const lossTitle = make("span", "curves-title", {}, "Loss");
  const loss = makePlot(lossTitle, makeKey("thin", "training"), makeKey("dotted", "validation"), controls);

  const measure = make("select", "curves-measure", { "aria-label": "Score shown" });
  const origin = makeKey("", "");
  const score = makePlot(measure, origin);

  const waiting = make("p", "curves-waiting");
  const note = make("p", "curves-note", { role: "status" });
  const rows = make("tbody");
  const head = makeHead(["Run", "State", "Step", ...TABLE_METRICS.map(({ title }) => title)]);
  const root = make(
    "section",
    "lab-component curves",
    { "aria-label": "Training curves" },
    make("div", "curves-bar", {}, legend, make("div", "curves-tools", {}, reset, axisSwitch)),
    make("div", "curves-plots", {}, loss.figure, score.figure, waiting),
    note,
    // A table is as wide as its text, and a phone's page would scroll to it: hence within an unseen box.
    make("div", "unseen", {}, make("table", "", {}, make("caption", "", {}, "Latest values"), head, rows))
  );
  const canvases = { loss: loss.canvas, score: score.canvas };
  return { root, canvases, legend, reset, axes, smooth, smoothText, log, measure, origin, waiting, note, rows };
}

// A run's button in the legend row; `toggle` is called when it is pressed.
export function makeRunButton({ title, color }, toggle) {
  const button = make("button", "curves-run", { type: "button", title: "Show or hide in both plots" });
  button.addEventListener("click", toggle);
  button.style.setProperty("--curves-run", color);
  button.append(make("i"), make("span", "", {}, title), make("small"));
  return button;
}

export function updateRunButton(button, state, isShown) {
  setPressed(button, isShown);
  button.lastChild.textContent = state;
  button.lastChild.hidden = state === "running";
}

// Fill the list of measures and choose `measure`; returns the chosen one: the first where there is no such class.
export function fillMeasures(select, classes, measure) {
  const groups = measureGroups(classes).map(({ label, pairs }) =>
    label ? [make("optgroup", "", { label }, ...makeOptions(pairs))] : makeOptions(pairs)
  );
  select.replaceChildren(...groups.flat());
  select.value = measure;
  if (select.selectedIndex < 0) select.value = FIRST_MEASURE;
  return select.value;
}

export function latestValuesRow({ title, series }) {
  const latest = ({ source, key, ...metric }) => {
    const value = series[source][key].at(-1);
    return typeof value === "number" ? valueText(metric, value) : "none";
  };
  const step = Math.max(series.train.step.at(-1) ?? 0, series.eval.step.at(-1) ?? 0);
  return makeRow([title, series.state, String(step), ...TABLE_METRICS.map(latest)]);
}
