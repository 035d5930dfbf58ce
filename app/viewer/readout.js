// What a panel says about the pixel under the pointer, and the line above its picture that says it. A heat map has a scale
// there, as long as nothing is pointed at.

const HINT = matchMedia("(hover: none)").matches
  ? "Tap the picture to pin a pixel, pinch to zoom."
  : "Point at the picture to read a pixel, click to pin it.";

const PICK_HINT = matchMedia("(hover: none)").matches
  ? "Tap a pixel to ask about it, pinch to zoom."
  : "Click a pixel to ask about it.";

// A number in as many digits as the eye needs.
function figure(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 0.001 || size >= 100_000 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return text.replaceAll("-", "−");
}

// What a heat map's byte stands for.
const heatValue = ({ low, high, power }, byte) => low + (high - low) * (byte / 255) ** power;

// What a panel answers at an image point: {color, text, wrong, right}, the last the name of the true class; null where there is
// no mask. `truth` is the panel to compare with, where there is one.
function answerAt(place, { spec, labels, confidence, entropy }, truth, classes, colors) {
  if (!labels) return null;
  const index = valueAt(labels, place);
  if (spec.heat) return { color: HEAT_COLORS[index], text: figure(heatValue(spec, index)), wrong: false };
  const color = colors[index];
  const name = classes[index] ?? "not labelled";
  if (spec.is_truth) return { color, text: `truth: ${name}`, wrong: false };
  let text = name;
  if (confidence) text += ` ${Math.round(valueAt(confidence, place) / 2.55)}${NBSP}%`;
  else if (spec.confidence) text += ", confidence not loaded";
  if (entropy) text += `, entropy ${Math.round(valueAt(entropy, place) / 2.55)}${NBSP}%`;
  const right = truth?.labels ? valueAt(truth.labels, place) : index;
  return { color, text, wrong: right < classes.length && right !== index, right: classes[right] };
}

function makeRamp() {
  const ramp = make("span", "ramp", { "aria-hidden": "true" });
  ramp.style.background = `linear-gradient(90deg, ${HEAT_COLORS.filter((_, value) => value % 15 === 0).map(cssColor)})`;
  return ramp;
}

const wrongMark = ({ right }, isTruthInSight) => (isTruthInSight ? "≠" : `≠ ${right}`);

class Readout {
  constructor() {
    this.swatch = make("span", "swatch");
    this.answer = make("span", "answer");
    this.mark = make("span", "mark", { title: "Differs from the truth" });
    this.low = make("span", "figure");
    this.high = make("span", "figure");
    this.scale = make("span", "scale", {}, this.low, makeRamp(), this.high);
    this.element = make("div", "readout", {}, this.swatch, this.answer, this.mark, this.scale);
  }

  describe({ heat, low, high }) {
    this.isHeat = heat;
    this.low.textContent = figure(low);
    this.high.textContent = figure(high);
  }

  // Show an answer, or `otherwise` where it is null. Where the truth is out of sight, a wrong answer names it.
  tell(answer, otherwise = "", isTruthInSight = true) {
    const { color } = answer ?? {};
    this.scale.hidden = !this.isHeat || Boolean(answer) || Boolean(otherwise);
    this.answer.hidden = this.mark.hidden = !this.scale.hidden;
    this.swatch.style.background = color ? cssColor(color) : "";
    this.swatch.hidden = !answer;
    this.answer.textContent = answer?.text ?? otherwise;
    this.element.classList.toggle("silent", !answer);
    this.mark.textContent = answer?.wrong ? wrongMark(answer, isTruthInSight) : "";
  }
}
