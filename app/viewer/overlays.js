// The overlays of the image: classes, errors, confidence, entropy. Each says which panels have it, how it is colored,
// what its colors mean, and a summary in numbers. Needs no DOM until something is painted.
//
// A scene is what all panels share: {overlay, mode, classCount, colors, hidden, outlined, reach, truth, first, second,
// networks}; truth, first and second are panels, or null, and networks those of what networks see.

import { shareText } from "../shared/text.js";
import {
  FIRST_COLOR,
  HEAT_TABLE,
  IGNORED_COLOR,
  NEITHER_COLOR,
  RIGHT_COLOR,
  SECOND_COLOR,
  WRONG_COLOR,
  lookupTable,
  toWord,
} from "./colors.js";
import { compare, disagreement, edgeDistance, resized } from "./maps.js";
import { paintCompared, paintDifference, paintFilled, paintOutlined } from "./painting.js";

export const OVERLAYS = {
  classes: "Classes",
  error: "Right or wrong",
  band: "Right or wrong near edges",
  against: "Differences from B",
  apart: "Where networks differ",
  confidence: "Confidence",
  entropy: "Entropy",
};
export const REACHES = [2, 4, 8, 16, 32]; // pixels from an edge of the truth
const RIGHT_ALPHA = 110; // most pixels are right: they must hide neither the image nor the wrong ones
const NONE_HIDDEN = new Set();

// The overlays in which any of these panels has something to show.
export function overlaysFor(specs) {
  const masks = specs.filter((spec) => !spec.heat);
  const hasTruth = masks.some((spec) => spec.is_truth) && masks.length > 1;
  const possible = {
    classes: true,
    error: hasTruth,
    band: hasTruth,
    against: masks.length > 1,
    apart: masks.filter((spec) => !spec.is_truth).length > 1,
    confidence: masks.some((spec) => spec.confidence),
    entropy: masks.some((spec) => spec.entropy),
  };
  return Object.keys(OVERLAYS).filter((overlay) => possible[overlay]);
}

// The map that a panel is colored from, and how: {map, paint}; null without such a map. `paint` fills RGBA words.
export function coloring(panel, scene) {
  const { spec, labels } = panel;
  if (spec.heat) return filled(labels, HEAT_TABLE);
  if (scene.mode === "difference" && panel === scene.first) return differenceColoring(scene);
  if (scene.overlay === "confidence" || scene.overlay === "entropy") return filled(panel[scene.overlay], HEAT_TABLE);
  if (scene.overlay === "apart") {
    const maps = networkMaps(scene);
    return filled(maps.length > 1 ? disagreement(maps) : null, HEAT_TABLE);
  }
  const other = referenceOf(scene);
  if (other) {
    if (panel !== other) return comparedColoring(labels, other, scene);
    if (scene.overlay === "band") return comparedColoring(labels, other, { ...scene, overlay: "truth" });
  }
  const table = lookupTable(scene.colors, scene.hidden);
  if (!scene.outlined || scene.overlay !== "classes") return filled(labels, table);
  return labels && { map: labels, paint: (rgba) => paintOutlined(labels, table, rgba) };
}

// The panel that all others are compared with under this overlay, or null.
function referenceOf({ overlay, truth, second }) {
  const reference = { error: truth, band: truth, against: second }[overlay];
  return reference?.labels && !reference.spec.heat ? reference : null;
}

// What the networks see whose masks are there.
const networkMaps = ({ networks }) => networks.map((panel) => panel.labels).filter(Boolean);

const filled = (map, table) => map && { map, paint: (rgba) => paintFilled(map, table, rgba) };

// Per byte: whether it is a class, and whether that class is shown.
const flagsOf = ({ classCount, hidden }) => ({
  isClass: Uint8Array.from({ length: 256 }, (_, value) => Number(value < classCount)),
  shown: Uint8Array.from({ length: 256 }, (_, value) => Number(value < classCount && !hidden.has(value))),
});

function comparedColoring(labels, other, scene) {
  if (!labels) return null;
  const isError = scene.overlay === "error" || scene.overlay === "band";
  const isBand = scene.overlay === "band" || scene.overlay === "truth";
  const classes = lookupTable(scene.colors, NONE_HIDDEN);
  const settings = {
    ...flagsOf(scene),
    own: labels.values,
    other: resized(other.labels, labels).values,
    same: isError ? toWord(RIGHT_COLOR, RIGHT_ALPHA) : 0,
    differ: isError ? new Uint32Array(256).fill(toWord(WRONG_COLOR)) : classes,
    unknown: scene.overlay === "error" ? toWord(IGNORED_COLOR) : 0,
    distance: isBand ? resized(edgeDistance(other.labels), labels).values : null,
    reach: scene.reach,
  };
  if (scene.overlay !== "truth") return { map: labels, paint: (rgba) => paintCompared(settings, rgba) };
  const table = lookupTable(scene.colors, scene.hidden);
  const { distance, reach } = settings;
  const paint = (rgba) => labels.values.forEach((value, i) => (rgba[i] = distance[i] <= reach ? table[value] : 0));
  return { map: labels, paint };
}

function differenceColoring(scene) {
  const { first, second } = scene;
  if (!first.labels || !second?.labels) return null;
  const truth = judgeOf(scene);
  const settings = {
    ...flagsOf(scene),
    own: first.labels.values,
    other: resized(second.labels, first.labels).values,
    truth: truth && resized(truth.labels, first.labels).values,
    first: toWord(FIRST_COLOR),
    second: toWord(SECOND_COLOR),
    neither: toWord(NEITHER_COLOR),
  };
  return { map: first.labels, paint: (rgba) => paintDifference(settings, rgba) };
}

// The truth that says which of the pair is right; null without one, or where it is one of the pair.
const judgeOf = ({ truth, first, second }) => (truth?.labels && truth !== first && truth !== second ? truth : null);

// A panel's summary under the scene's overlay, "3.2 % wrong"; "" where there is nothing to count.
export function summaryOf(panel, scene) {
  const { labels, spec } = panel;
  if (!labels || spec.heat) return "";
  const share = (count, { labelled }) => shareText(count / (labelled || 1));
  if (scene.mode === "difference") {
    if (panel !== scene.first || !scene.second?.labels) return "";
    const judge = judgeOf(scene);
    const other = resized(scene.second.labels, labels);
    const counts = compare(labels, other, judge ? resized(judge.labels, labels) : other, scene.classCount);
    return `They differ on ${share(counts.differ, counts)}`;
  }
  if (scene.overlay === "confidence") return panel.confidence ? "" : "No confidence was given";
  if (scene.overlay === "entropy") {
    if (panel.entropy) return "";
    return spec.entropy ? panel.entropyProblem || "The network looks once more" : "No entropy was given";
  }
  if (scene.overlay === "apart") {
    const others = networkMaps(scene).filter((map) => map !== labels);
    if (spec.is_truth || others.length === 0) return "";
    const counts = others.map((map) => resized(map, labels)).map((map) => compare(labels, map, map, scene.classCount));
    const apart = counts.reduce((sum, each) => sum + each.differ / (each.labelled || 1), 0) / others.length;
    return `${shareText(apart)} other than ${others.length > 1 ? "the others, on average" : "the other one"}`;
  }
  const other = referenceOf(scene);
  if (!other || panel === other) return "";
  const reach = scene.overlay === "band" ? scene.reach : null;
  const right = resized(other.labels, labels);
  const counts = compare(labels, right, right, scene.classCount, reach);
  return `${share(counts.differ, counts)} ${scene.overlay === "against" ? "other than B" : "wrong"}`;
}

// The meaning of a scene's colors where they aren't classes: [[color, text], ...] or "heat".
export function colorKeyOf(scene) {
  if (scene.mode === "difference") {
    if (!judgeOf(scene)) return [[NEITHER_COLOR, "They differ"]];
    return [
      [FIRST_COLOR, "Only A is right"],
      [SECOND_COLOR, "Only B is right"],
      [NEITHER_COLOR, "Both wrong, in different ways"],
    ];
  }
  if (["confidence", "entropy", "apart"].includes(scene.overlay)) return "heat";
  const error = [
    [RIGHT_COLOR, "Right"],
    [WRONG_COLOR, "Wrong"],
  ];
  if (scene.overlay === "error") return [...error, [IGNORED_COLOR, "Not labelled"]];
  if (scene.overlay === "band") return error;
  return [];
}
