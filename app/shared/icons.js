// The pictures on buttons, drawn here on a grid of 16 x 16: lines in the text's colour.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  side: "M1.5 3.5h5.5v9H1.5zM9 3.5h5.5v9H9z",
  single: "M1.5 3.5h13v9h-13z",
  swipe: "M1.5 3.5h13v9h-13zM8 1v14M5.5 6.5 4 8l1.5 1.5M10.5 6.5 12 8l-1.5 1.5",
  difference: "M6 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 1 0 0-9M10 3.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 1 1 0-9",
  outlines: "M2 12.5 5 4l4 2.5L13.5 3 14 11l-5 2.5z",
  gray: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12M8 5h4.6M8 8h6M8 11h4.6",
  safe: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 1 0 0-4",
  closed: "M2.5 6.5c1.5 2.6 3.4 3.9 5.5 3.9s4-1.3 5.5-3.9M4.6 9.6 3.2 11.6M8 10.4v2.4M11.4 9.6l1.4 2",
  table: "M2 3h12v10H2zM2 6.5h12M2 9.75h12M6.5 3v10",
  save: "M8 2v8M4.75 7 8 10.25 11.25 7M2.5 13.5h11",
  full: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  leave: "M6 2v4H2M14 6h-4V2M10 14v-4h4M2 10h4v4",
  whole: "M2 3.5h12v9H2zM5 8h6M8 5.5v5",
};

// An <svg> of one of these, hidden from screen readers: its button has a name.
export function makeIcon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
