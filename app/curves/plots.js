// Columns of numbers -> Plotly traces and layouts. Holds no state of the page.
//
// `run` is {title, color, series, smoother}; `view` is {axis, log, span, measure, hidden}, see curves.js.
// Per run the loss plot has the traces raw, train, validation, and the score plot has score, extent, in this order.

import { metricOf } from "./metrics.js";

export const TRACES = { loss: 3, score: 2 };
export const PLOT_CONFIG = { displayModeBar: false, doubleClick: "autosize", showTips: false, scrollZoom: false };

const AXIS_TITLES = { step: "step", epoch: "epoch", minutes: "minutes of training" };

const isOfTraining = (measure) => metricOf(measure).source === "train";

// The points of one run's traces after the first `from.train` and `from.eval` rows, as [x, y] per trace of the loss
// plot and of the score plot. Advances the run's smoother: call it once for every row, in order.
export function newPoints(run, view, from) {
  const { series } = run;
  const trainX = series.positions(series.train, view.axis, from.train);
  const evalX = series.positions(series.eval, view.axis, from.eval);
  const raw = series.train.loss.slice(from.train);
  const extent = trainX.length > 0 ? [trainX[0], trainX.at(-1)] : [];
  return {
    loss: [
      [trainX, raw],
      [trainX.slice(), raw.map((value) => run.smoother.next(value))],
      [evalX, series.eval.loss.slice(from.eval)],
    ],
    score: [
      [(isOfTraining(view.measure) ? trainX : evalX).slice(), series.values(view.measure, from)],
      [extent, extent.map(() => null)],
    ],
  };
}

// `withRaw`: draw the unsmoothed losses too, faint, behind the smoothed ones.
export function runTraces(run, view, points, withRaw) {
  const visible = !view.hidden.has(run.id);
  // "none": Plotly draws no label but sends its event, which the read-out shows.
  const common = { type: "scatter", visible, hoverinfo: "none" };
  const thin = { ...common, mode: "lines", line: { color: run.color, width: 1.25 } };
  // At most sixty markers a trace: more are a smear, and slow.
  const marker = { color: run.color, size: 6, maxdisplayed: 60 };
  const dotted = { ...common, mode: "lines+markers", line: { color: run.color, width: 2 }, marker };
  const styles = {
    loss: [
      { ...thin, visible: visible && withRaw, opacity: 0.22, hoverinfo: "skip" },
      { ...thin, opacity: 0.75 },
      dotted,
    ],
    // The extent draws nothing: it stretches the automatic range over the training rows, for both plots to show the
    // same steps.
    score: [isOfTraining(view.measure) ? thin : dotted, { ...thin, hoverinfo: "skip" }],
  };
  const fill = (kind) => styles[kind].map((style, i) => ({ ...style, x: points[kind][i][0], y: points[kind][i][1] }));
  return { loss: fill("loss"), score: fill("score") };
}

// The layout of the plot `kind` ("loss" or "score"); `ranges` keeps a zoom: {x: [low, high] or null, y: the same}.
export function plotLayout(kind, view, theme, ranges) {
  const axis = {
    color: theme.muted,
    gridcolor: theme.grid,
    linecolor: theme.grid,
    zeroline: false,
    tickfont: { size: 12, color: theme.muted },
  };
  const kept = (range) => (range ? { range, autorange: false } : { autorange: true });
  return {
    autosize: true,
    margin: { l: 46, r: 14, t: 8, b: 42 },
    showlegend: false,
    // A finger on the plot scrolls the page and reads values; only a mouse draws a zoom box.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hovermode: "x unified",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, color: theme.muted, size: 12 },
    xaxis: {
      ...axis,
      ...kept(ranges.x),
      title: { text: AXIS_TITLES[view.axis], font: { size: 12, color: theme.muted }, standoff: 8 },
      showspikes: true,
      spikemode: "across",
      spikesnap: "hovered data",
      spikethickness: 1,
      spikedash: "solid",
      showgrid: false,
      showline: true,
      ticks: "outside",
      ticklen: 4,
      tickcolor: theme.grid,
      nticks: 7,
    },
    yaxis: {
      ...axis,
      ...kept(ranges.y),
      nticks: 6,
      ...(kind === "loss"
        ? view.log
          ? { type: "log", tickformat: "~g" } // else Plotly writes 0.3 as "3"
          : { type: "linear", rangemode: "tozero" }
        : scoreAxis(view.measure)),
    },
  };
}

// The score plot's vertical axis for a measure.
function scoreAxis(measure) {
  const { unit } = metricOf(measure);
  if (unit === "%") return { rangemode: "tozero", ticksuffix: " %", autorangeoptions: { clipmax: 100 } };
  return { rangemode: "tozero", ticksuffix: unit && ` ${unit}`, tickformat: "~g" };
}
