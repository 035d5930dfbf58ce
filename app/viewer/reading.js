// What a panel shows at an image point, as text. Pure; no DOM.

import { numberText, wholePerCent } from "../shared/text.js";
import { HEAT_COLORS } from "./colors.js";
import { valueAt } from "./maps.js";

// The value that a byte of a heat map stands for.
export const heatValue = ({ low, high, power }, byte) => low + (high - low) * (byte / 255) ** power;

// A panel at an image point: {color, text, isWrong, trueClass}, the last a name; null without a map. `truth` is the
// panel to compare with, or null.
export function readingAt(point, { spec, labels, confidence, entropy }, truth, classes, colors) {
  if (!labels) return null;
  const index = valueAt(labels, point);
  if (spec.heat) return { color: HEAT_COLORS[index], text: numberText(heatValue(spec, index)), isWrong: false };
  const color = colors[index];
  const name = classes[index] ?? "not labelled";
  if (spec.is_truth) return { color, text: `truth: ${name}`, isWrong: false };
  let text = name;
  if (confidence) text += ` ${wholePerCent(valueAt(confidence, point) / 255)}`;
  else if (spec.confidence) text += ", confidence not loaded";
  if (entropy) text += `, entropy ${wholePerCent(valueAt(entropy, point) / 255)}`;
  const trueIndex = truth?.labels ? valueAt(truth.labels, point) : index;
  const isWrong = trueIndex < classes.length && trueIndex !== index;
  return { color, text, isWrong, trueClass: classes[trueIndex] };
}

// The mark of a wrong reading; where the truth is out of sight, it names the true class.
export const wrongMark = ({ trueClass }, isTruthVisible) => (isTruthVisible ? "≠" : `≠ ${trueClass}`);
