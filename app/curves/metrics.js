// The metrics of a run's rows: the one place that knows their keys, titles, units and conversions. Pure; no DOM.
//
// key: the row's field. source: the kind of row that has it, "train" or "eval". plot: where it can be drawn, "loss" or
// "score". unit: of the drawn values, "%", "GB" or "". convert: row's value -> drawn value, null for a gap; rows of an
// older lab lack some.

import { numberText, perCent } from "../shared/text.js";

export const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const toPerCent = (value) => (finite(value) === null ? null : value * 100);
const toGigabytes = (value) => (finite(value) === null ? null : value / 1e9);
const eachToPerCent = (values) => (values ?? []).map(toPerCent);

export const METRICS = [
  { source: "train", key: "loss", plot: "loss", title: "Training loss", unit: "", convert: finite },
  { source: "eval", key: "loss", plot: "loss", title: "Validation loss", unit: "", convert: finite },
  { source: "eval", key: "miou", plot: "score", title: "Mean IoU", unit: "%", convert: toPerCent },
  { source: "eval", key: "pixel_accuracy", plot: "score", title: "Pixel accuracy", unit: "%", convert: toPerCent },
  { source: "eval", key: "iou", plot: "score", title: "IoU", unit: "%", convert: eachToPerCent, isPerClass: true },
  { source: "train", key: "learning_rate", plot: "score", title: "Learning rate", unit: "", convert: finite },
  { source: "train", key: "images_per_second", plot: "score", title: "Images per second", unit: "", convert: finite },
  { source: "train", key: "cpu", plot: "score", title: "Use of the processor", unit: "%", convert: toPerCent },
  { source: "train", key: "memory", plot: "score", title: "Memory", unit: "GB", convert: toGigabytes },
  { source: "train", key: "machine_memory", plot: "score", title: "Machine's memory", unit: "%", convert: toPerCent },
  { source: "train", key: "gpu_memory", plot: "score", title: "Memory of the GPU", unit: "GB", convert: toGigabytes },
  { source: "train", key: "waiting", plot: "score", title: "Waiting for frames", unit: "%", convert: toPerCent },
];

export const metricsOf = (source) => METRICS.filter((metric) => metric.source === source);

// A measure is what the score plot shows: the key of a metric, or "iou:3", the IoU of the class with index 3.
export const FIRST_MEASURE = "miou";

// The metric of a measure, with `classIndex` where it is of one class.
export function metricOf(measure) {
  const [key, index] = measure.split(":");
  const metric = METRICS.find((one) => one.plot === "score" && one.key === key);
  return index === undefined ? metric : { ...metric, classIndex: Number(index) };
}

// What can be chosen: groups of [measure, title] pairs, the first without a label.
export function measureGroups(classes) {
  const scores = METRICS.filter((metric) => metric.plot === "score" && !metric.isPerClass);
  const pairs = (source) => scores.filter((metric) => metric.source === source).map(({ key, title }) => [key, title]);
  const groups = [
    { label: "", pairs: pairs("eval") },
    { label: "IoU of one class", pairs: classes.map((name, index) => [`iou:${index}`, `IoU of ${name}`]) },
    { label: "Training", pairs: pairs("train") },
  ];
  return groups.filter((group) => group.pairs.length > 0);
}

// A drawn value with its unit.
export function valueText({ unit }, value) {
  if (unit === "%") return perCent(value);
  return `${numberText(value, { keepZeros: true })} ${unit}`.trim();
}

export const sourceText = ({ source }) => (source === "train" ? "training" : "validation");

// Where a metric comes from; before the first evaluation also when there will be one. `previewed`: validation frames that
// evaluations before the last one look at, 0 for all.
export function originText({ source }, isScored = true, previewed = 0) {
  if (source === "train") return "during training";
  if (!isScored) return "on the validation frames, from the first evaluation on";
  return previewed ? `on ${previewed} of the validation frames, in the end on all` : "on the validation frames";
}
