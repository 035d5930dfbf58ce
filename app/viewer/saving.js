// The visible panels as one PNG: each at the image's own resolution, its title above it, and the meaning of the colors
// below.

import { cssColor, make } from "../shared/elements.js";
import { wholePerCent } from "../shared/text.js";
import { HEAT_COLORS } from "./colors.js";
import { colorKeyOf } from "./overlays.js";
import { drawView } from "./painting.js";
import { clamp } from "./view.js";

const MAX_SIDE = 16_000; // pixels; browsers refuse larger canvases
const MAX_AREA = 120_000_000;

// Save what the viewer shows as a file.
export async function saveView(viewer) {
  const { mode, look, data, view, grid } = viewer;
  const scene = viewer.scene();
  const [first, second] = [scene.first, scene.second];
  const isPaired = mode === "swipe" || mode === "difference";
  const { share } = grid.swipe;
  const pair = [
    [first, 0, share],
    [second, share, 1],
  ];
  const tiles = mode === "swipe" ? [pair] : grid.visible.map((panel) => [[panel, 0, 1]]);
  const style = getComputedStyle(viewer.root);
  const blob = await composeImage({
    tiles,
    titles: isPaired ? [`${first.spec.title} | ${second.spec.title}`] : grid.visible.map((panel) => panel.spec.title),
    key: savedKey(viewer, scene),
    columns: isPaired ? 1 : Math.min(tiles.length, grid.columns),
    size: viewer.image,
    image: viewer.drawnImage,
    view,
    opacity: look.opacity,
    paper: style.getPropertyValue("--st-background-color").trim() || "white",
    ink: style.color,
    font: style.fontFamily,
  });
  const name = (data.name || "image").replaceAll(/[^\w.-]+/g, "-");
  download(blob, `${name}-${mode === "difference" ? mode : look.overlay}.png`);
}

// [[color, text], ...] of what is seen: the visible classes, or the overlay's own colors.
function savedKey({ mode, look, data, colors, legend }, scene) {
  const { overlay } = look;
  if (mode !== "difference" && (overlay === "classes" || overlay === "against")) {
    const present = legend.entries.filter(({ index }) => !legend.hidden.has(index));
    return present.map(({ index }) => [colors[index], data.classes[index]]);
  }
  const key = colorKeyOf(scene);
  return key === "heat" ? [0, 0.5, 1].map((value) => [HEAT_COLORS[Math.round(value * 255)], wholePerCent(value)]) : key;
}

// `tiles` are lists of [panel, from, to], painted from left to right of one image in shares of its width; `titles`
// stand above them, and `key` is [[color, text], ...]. `size` is {width, height} of one image.
function composeImage({ tiles, titles, key, columns, size, image, view, opacity, paper, ink, font }) {
  const rows = Math.ceil(tiles.length / columns);
  const scaled = (scale) => {
    const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
    const text = Math.round(clamp(width / 45, 12, 40));
    const sum = { width, height, text, line: Math.round(text * 1.8), gap: Math.round(text * 0.8) };
    const full = columns * width + (columns + 1) * sum.gap;
    return { ...sum, full, all: rows * (height + sum.line + sum.gap) + sum.gap };
  };
  let at = scaled(1);
  const excess = Math.max(at.full / MAX_SIDE, at.all / MAX_SIDE, Math.sqrt((at.full * at.all) / MAX_AREA));
  if (excess > 1) at = scaled(1 / excess);
  const probe = new OffscreenCanvas(1, 1).getContext("2d");
  probe.font = `${at.text}px ${font}`;
  const entries = keyLines(key, (text) => probe.measureText(text).width + at.text * 2.4, at.full - 2 * at.gap);
  const canvas = new OffscreenCanvas(at.full, at.all + entries.length * at.line);
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = "middle";
  tiles.forEach((tile, index) => {
    const left = at.gap + (index % columns) * (at.width + at.gap);
    const top = at.gap + Math.floor(index / columns) * (at.height + at.line + at.gap);
    context.font = `600 ${at.text}px ${font}`;
    context.fillStyle = ink;
    context.fillText(titles[index], left, top + at.line / 2, at.width);
    const tileCanvas = new OffscreenCanvas(at.width, at.height);
    const inside = tileCanvas.getContext("2d", { alpha: false });
    for (const [panel, from, to] of tile) {
      inside.save();
      inside.beginPath();
      inside.rect(from * at.width, 0, (to - from) * at.width, at.height);
      inside.clip();
      drawView(inside, image, panel.colored, view, opacity);
      inside.restore();
    }
    context.drawImage(tileCanvas, left, top + at.line);
  });
  context.font = `${at.text}px ${font}`;
  entries.forEach((line, row) => {
    const middle = at.all + (row + 0.3) * at.line;
    for (const { left, color, text } of line) {
      context.fillStyle = cssColor(color);
      context.fillRect(at.gap + left, middle - at.text / 2, at.text, at.text);
      context.fillStyle = ink;
      context.fillText(text, at.gap + left + at.text * 1.4, middle);
    }
  });
  return canvas.convertToBlob({ type: "image/png" });
}

// Entries of a key, broken into lines no wider than `maxWidth`: [[{left, color, text}, ...], ...].
function keyLines(key, widthOf, maxWidth) {
  const lines = [];
  let left = Infinity;
  for (const [color, text] of key) {
    const width = widthOf(text);
    if (left + width > maxWidth) {
      lines.push([]);
      left = 0;
    }
    lines.at(-1).push({ left, color, text });
    left += width;
  }
  return lines;
}

function download(blob, name) {
  const link = make("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // by then the browser has read it
}
