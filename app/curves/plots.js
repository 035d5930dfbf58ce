// Columns of numbers -> Plotly traces and layouts, and Plotly itself. Holds no state of the page.
//
// `run` is {title, color, series, smoother}; `view` is {axis, log, span, measure, hidden}, see curves.js.
// Per run the loss plot has the traces raw, train, validation, and the score plot has score, extent, in this order.

const PLOTLY_URL = "/lab/plotly.js";
const TRACES = { loss: 3, score: 2 };
const PLOT_CONFIG = { displayModeBar: false, doubleClick: "autosize", showTips: false, scrollZoom: false };

let plotlyLoading = null;

// Plotly, loaded once for all components of the page. A failed load is tried again by the next call.
function loadPlotly() {
  plotlyLoading ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = PLOTLY_URL;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      script.remove();
      plotlyLoading = null;
      reject(new Error(`${PLOTLY_URL} did not load`));
    };
    document.head.append(script);
  });
  return plotlyLoading;
}

const AXIS_TITLES = { step: "step", epoch: "epoch", minutes: "minutes of training" };

// The points of one run's traces after the first `from.train` and `from.evals` rows, as [x, y] per trace of the loss
// plot and of the score plot. Moves the run's smoother on: call it once for every row, in order.
function newPoints(run, view, from) {
  const { series } = run;
  const trainX = series.positions(series.train, view.axis, from.train);
  const evalX = series.positions(series.evals, view.axis, from.evals);
  const raw = series.train.loss.slice(from.train);
  const extent = trainX.length > 0 ? [trainX[0], trainX.at(-1)] : [];
  return {
    loss: [
      [trainX, raw],
      [trainX.slice(), raw.map((value) => run.smoother.next(value))],
      [evalX, series.evals.loss.slice(from.evals)],
    ],
    score: [
      [(view.measure in TRAIN_FIELDS ? trainX : evalX).slice(), series.scores(view.measure, from)],
      [extent, extent.map(() => null)],
    ],
  };
}

// `withRaw`: draw the unsmoothed losses too, faint, behind the smoothed ones.
function runTraces(run, view, points, withRaw) {
  const shown = !view.hidden.has(run.id);
  // "none": no label of Plotly's, but its event, which the read-out shows.
  const common = { type: "scatter", visible: shown, hoverinfo: "none" };
  const thin = { ...common, mode: "lines", line: { color: run.color, width: 1.25 } };
  // At most sixty markers a trace: more are a smear, and slow.
  const marker = { color: run.color, size: 6, maxdisplayed: 60 };
  const dotted = { ...common, mode: "lines+markers", line: { color: run.color, width: 2 }, marker };
  const styles = {
    loss: [
      { ...thin, visible: shown && withRaw, opacity: 0.22, hoverinfo: "skip" },
      { ...thin, opacity: 0.75 },
      dotted,
    ],
    // The extent draws nothing: it stretches the automatic range over the training rows, for both plots to show the
    // same steps.
    score: [view.measure in TRAIN_FIELDS ? thin : dotted, { ...thin, hoverinfo: "skip" }],
  };
  const fill = (kind) => styles[kind].map((style, i) => ({ ...style, x: points[kind][i][0], y: points[kind][i][1] }));
  return { loss: fill("loss"), score: fill("score") };
}

// The layout of the plot `kind` ("loss" or "score"); `ranges` keeps a zoom: {x: [low, high] or null, y: the same}.
function plotLayout(kind, view, theme, ranges) {
  const axis = {
    color: theme.muted,
    gridcolor: theme.grid,
    linecolor: theme.grid,
    zeroline: false,
    tickfont: { size: 12, color: theme.muted },
  };
  const held = (range) => (range ? { range, autorange: false } : { autorange: true });
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
      ...held(ranges.x),
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
      ...held(ranges.y),
      nticks: 6,
      ...(kind === "loss"
        ? view.log
          ? { type: "log", tickformat: "~g" } // else Plotly writes 0.3 as "3"
          : { type: "linear", rangemode: "tozero" }
        : scoreAxis(view.measure)),
    },
  };
}

// What the score plot's vertical axis takes for a measure.
function scoreAxis(measure) {
  const unit = unitOf(measure);
  if (unit === "%") return { rangemode: "tozero", ticksuffix: " %", autorangeoptions: { clipmax: 100 } };
  return { rangemode: "tozero", ticksuffix: unit && ` ${unit}`, tickformat: "~g" };
}
