// A run's rows as columns: conversions, axes, measures and smoothing.

import assert from "node:assert/strict";
import test from "node:test";

import { METRICS, measureGroups, metricOf, originText, valueText } from "../../app/curves/metrics.js";
import { newPoints, runTraces } from "../../app/curves/plots.js";
import { Series, Smoother } from "../../app/curves/series.js";

const rowOf = (kind, step, more) => ({ kind, step, epoch: Math.ceil(step / 10), ...more });
const trainRow = (step, more = {}) => rowOf("train", step, { loss: 1, ...more });
const evalRow = (step, more = {}) => rowOf("eval", step, { loss: 0.8, miou: 0.5, ...more });
const START = { train: 0, eval: 0 };

function seriesOf(...rows) {
  const series = new Series();
  series.append(rows);
  return series;
}

test("train rows are converted to what is drawn", () => {
  const usage = { learning_rate: 2e-3, cpu: 0.8, memory: 3e9, machine_memory: 0.625, gpu_memory: 8e9, waiting: 0.25 };
  const series = seriesOf(trainRow(1, { ...usage, images_per_second: 12.5, minutes: 0.1 }));
  const keys = METRICS.filter(({ source }) => source === "train").map(({ key }) => key);
  const drawn = Object.fromEntries(keys.map((key) => [key, series.train[key][0]]));
  assert.deepEqual(drawn, {
    loss: 1,
    learning_rate: 2e-3,
    images_per_second: 12.5,
    cpu: 80,
    memory: 3,
    machine_memory: 62.5,
    gpu_memory: 8,
    waiting: 25,
  });
});

test("a row of an older lab leaves gaps, and so does a value that is no number", () => {
  const series = seriesOf(trainRow(1), trainRow(2, { loss: null, cpu: "much" }));
  assert.deepEqual(series.values("cpu", START), [null, null]);
  assert.deepEqual(series.train.loss, [1, null]);
  assert.equal(series.hasMinutes, false);
});

test("scores are in per cent, also of one class", () => {
  const series = seriesOf(evalRow(10, { pixel_accuracy: 0.9, iou: [0.75, null] }), evalRow(20));
  assert.deepEqual(series.values("miou", START), [50, 50]);
  assert.deepEqual(series.values("pixel_accuracy", START), [90, null]);
  assert.deepEqual(series.values("iou:0", START), [75, null]);
  assert.deepEqual(series.values("iou:1", START), [null, null]);
  assert.deepEqual(series.values("miou", { train: 0, eval: 1 }), [50]);
});

test("rows of an unknown kind are skipped", () => {
  assert.ok(seriesOf({ kind: "resume", step: 3 }, { kind: "weather", step: 4 }).isEmpty);
});

test("clearing forgets rows and epochs, but not what the feed knows", () => {
  const series = seriesOf(trainRow(11));
  series.offset = 99;
  series.clear();
  assert.ok(series.isEmpty);
  assert.deepEqual([series.stepsPerEpoch, series.offset], [null, 99]);
});

test("steps per epoch are known from the second epoch on", () => {
  assert.equal(seriesOf(trainRow(10), trainRow(20, { epoch: 1 })).stepsPerEpoch, null);
  const rows = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((step) => trainRow(step, { epoch: Math.ceil(step / 25) }));
  assert.equal(seriesOf(...rows).stepsPerEpoch, 25);
});

test("positions on every axis", () => {
  const series = seriesOf(trainRow(10, { minutes: 1 }), trainRow(15, { minutes: 1.5 }), evalRow(20));
  assert.deepEqual(series.positions(series.train, "step", 0), [10, 15]);
  assert.deepEqual(series.positions(series.train, "epoch", 1), [1.5]);
  assert.deepEqual(series.positions(series.train, "minutes", 0), [1, 1.5]);
  assert.deepEqual(series.positions(series.eval, "minutes", 0), [null]);
  const young = seriesOf(trainRow(1));
  assert.deepEqual(["step", "epoch", "minutes"].map((axis) => young.isOnAxis(axis)), [true, false, false]);
});

test("smoothing starts at the first value and skips gaps", () => {
  const smoother = new Smoother(2);
  const smoothed = [4, 2, null, 2].map((value) => smoother.next(value));
  // By hand, weight 1/2: 4; (4/4 + 2/2) / (3/4) = 8/3; gap; (4/8 + 2/4 + 2/2) / (7/8) = 16/7.
  const isNear = (a, b) => a === b || Math.abs(a - b) < 1e-12;
  [4, 8 / 3, null, 16 / 7].forEach((value, i) => assert.ok(isNear(value, smoothed[i])));
});

test("every measure on offer belongs to a metric that a series has", () => {
  const series = seriesOf(trainRow(1), evalRow(1));
  const groups = measureGroups(["road", "sky"]);
  assert.deepEqual(groups.map(({ label }) => label), ["", "IoU of one class", "Training"]);
  for (const [measure] of groups.flatMap(({ pairs }) => pairs)) assert.equal(series.values(measure, START).length, 1);
  assert.equal(metricOf("iou:1").classIndex, 1);
  assert.equal(measureGroups([]).length, 2);
});

test("values have their units", () => {
  assert.equal(valueText(metricOf("machine_memory"), 62.5), "62.5\u00a0%");
  assert.equal(valueText(metricOf("memory"), 3), "3.00 GB");
  assert.equal(valueText(metricOf("learning_rate"), 1e-4), "1.0e−4");
  assert.equal(originText(metricOf("cpu")), "during training");
  assert.equal(originText(metricOf("miou")), "on the validation frames");
  assert.equal(originText(metricOf("miou"), false), "on the validation frames, from the first evaluation on");
  const text = "on 33 of the validation frames, in the end on all";
  assert.equal(originText(metricOf("miou"), true, seriesOf(evalRow(2, { frames: 33 }), evalRow(4)).previewed), text);
});

test("new points are only those after the drawn rows", () => {
  const series = seriesOf(trainRow(1), trainRow(2), evalRow(2));
  const run = { id: "a", title: "A", color: "#123456", series, smoother: new Smoother(1) };
  const view = { axis: "step", measure: "miou", hidden: new Set() };
  const all = newPoints(run, view, START);
  assert.deepEqual(all.score[0], [[2], [50]]);
  assert.deepEqual(all.loss.map(([x]) => x), [[1, 2], [1, 2], [2]]);
  const later = newPoints(run, view, { train: 1, eval: 1 });
  assert.deepEqual(later.loss[0], [[2], [1]]);
  assert.deepEqual(later.score[0], [[], []]);
  const traces = runTraces(run, view, all, false);
  assert.deepEqual([traces.loss.length, traces.score.length, traces.loss[0].visible], [3, 2, false]);
});
