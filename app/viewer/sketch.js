// What is about to be painted, over a panel: the brush's ring, and the corners of a polygon.

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, parent, className) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", className);
  parent.append(element);
  return element;
}

export class Sketch {
  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "sketch");
    this.element.setAttribute("aria-hidden", "true");
    this.rings = [shape("circle", this.element, "rim"), shape("circle", this.element, "line")];
    this.lines = [shape("polyline", this.element, "rim"), shape("polyline", this.element, "line")];
  }

  // In CSS pixels of the stage: where the pointer is, the brush's radius (0 for none), and a polygon's corners.
  show(stage, [x, y], radius, corners) {
    if (this.element.parentNode !== stage) stage.append(this.element);
    for (const ring of this.rings) {
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      ring.setAttribute("r", radius);
    }
    const points = corners.length > 0 ? [...corners, [x, y]].map((point) => point.join(",")).join(" ") : "";
    for (const line of this.lines) line.setAttribute("points", points);
  }

  hide() {
    this.element.remove();
  }
}
