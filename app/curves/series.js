// One run's rows as columns of numbers, and what follows from them. Pure; no DOM, no server.

import { finite, metricOf, metricsOf } from "./metrics.js";

// Empty columns of one kind of row: step, minutes, and one for each metric.
const columnsOf = (source) =>
  Object.fromEntries(["step", "minutes", ...metricsOf(source).map(({ key }) => key)].map((name) => [name, []]));

export class Series {
  constructor() {
    this.offset = 0; // bytes of metrics.jsonl already read
    this.state = "queued"; // from the lab, or "deleted"
    this.isFinal = false; // no further rows come by themselves
    this.due = 0; // time of the next request, in the page's milliseconds
    this.clear();
  }

  clear() {
    this.train = columnsOf("train");
    this.eval = columnsOf("eval");
    this.epoch = 0; // the highest seen
    this.longest = 0; // no epoch has fewer steps than this
    this.previewed = 0; // validation frames that evaluations before the last one look at, 0 for all
  }

  get isEmpty() {
    return this.train.step.length + this.eval.step.length === 0;
  }

  // Steps in one epoch, or null before the second epoch. Rows have (step, epoch) with epoch = ceil(step / length), so
  // the largest step / epoch, rounded up, is the length as soon as one row lies near an epoch's end.
  get stepsPerEpoch() {
    return this.epoch > 1 ? this.longest : null;
  }

  get hasMinutes() {
    return [this.train, this.eval].some(({ minutes }) => minutes.some((value) => value !== null));
  }

  // Whether the run can be drawn on an axis: on "epoch" from its second epoch on, on "minutes" where its rows have
  // them.
  isOnAxis(axis) {
    return axis === "step" || (axis === "epoch" ? this.stepsPerEpoch !== null : this.hasMinutes);
  }

  // Take valid rows in file order; a kind from a later version of the lab is skipped.
  append(rows) {
    for (const row of rows) {
      if (row.kind !== "train" && row.kind !== "eval") continue;
      const columns = this[row.kind];
      columns.step.push(row.step);
      columns.minutes.push(finite(row.minutes));
      this.previewed = Math.max(this.previewed, row.frames ?? 0);
      for (const { key, convert } of metricsOf(row.kind)) columns[key].push(convert(row[key]));
      if (row.epoch >= 1) {
        this.epoch = Math.max(this.epoch, row.epoch);
        this.longest = Math.max(this.longest, Math.ceil(row.step / row.epoch));
      }
    }
  }

  // Positions of `columns` (train or eval) from index `from` on the axis "step", "epoch" or "minutes".
  positions(columns, axis, from) {
    if (axis === "minutes") return columns.minutes.slice(from);
    const steps = columns.step.slice(from);
    return axis === "step" ? steps : steps.map((step) => step / this.stepsPerEpoch);
  }

  // The values of a measure from `from.train` or `from.eval` on.
  values(measure, from) {
    const { key, source, classIndex } = metricOf(measure);
    const column = this[source][key].slice(from[source]);
    return classIndex === undefined ? column : column.map((values) => values[classIndex] ?? null);
  }
}

// Exponential moving average over about `span` values, debiased so that it starts at the first value and not at zero.
// A missing value gives a gap and leaves the average as it was.
export class Smoother {
  constructor(span) {
    this.weight = 1 - 1 / span;
    this.sum = 0;
    this.mass = 0;
  }

  next(value) {
    if (value === null) return null;
    this.sum = this.weight * this.sum + (1 - this.weight) * value;
    this.mass = this.weight * this.mass + (1 - this.weight);
    return this.sum / this.mass;
  }
}
