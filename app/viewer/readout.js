// What a panel says about the pixel under the pointer, and the line above its picture that says it.

const HINT = matchMedia("(hover: none)").matches
  ? "Tap the picture to read a pixel, pinch to zoom."
  : "Point at the picture to read a pixel, scroll to zoom.";

// What a panel answers at an image point: {index, text, wrong}; null where there is no mask. `truth` is the panel to
// compare with, where there is one.
function answerAt(place, { spec, labels, confidence }, truth, classes) {
  if (!labels) return null;
  const index = valueAt(labels, place);
  const name = classes[index] ?? "not labelled";
  if (spec.is_truth) return { index, text: `truth: ${name}`, wrong: false };
  let text = name;
  if (confidence) text += ` ${Math.round(valueAt(confidence, place) / 2.55)}${NBSP}%`;
  else if (spec.confidence) text += ", confidence not loaded";
  const right = truth?.labels ? valueAt(truth.labels, place) : index;
  return { index, text, wrong: right < classes.length && right !== index };
}

class Readout {
  constructor() {
    this.swatch = make("span", "swatch");
    this.answer = make("span", "answer");
    this.mark = make("span", "mark", { title: "Differs from the truth" });
    this.element = make("div", "readout", {}, this.swatch, this.answer, this.mark);
  }

  // Show an answer, or `otherwise` where it is null.
  tell(answer, colors, otherwise = "") {
    const color = answer && colors[answer.index];
    this.swatch.style.background = color ? cssColor(color) : "";
    this.swatch.hidden = !answer;
    this.answer.textContent = answer?.text ?? otherwise;
    this.element.classList.toggle("silent", !answer);
    this.mark.textContent = answer?.wrong ? "≠" : "";
  }
}
