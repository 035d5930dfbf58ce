// Label maps to colors, and colors to a canvas.
//
// A map is colored once through a lookup table into an offscreen canvas; opacity is then `globalAlpha` alone.

import { IGNORED } from "./maps.js";

// Maps are colored one after the other: one buffer serves all of a size, and leaves no garbage.
let scratch = null;

// Fill `canvas`, of this size, with the RGBA words that `paint` sets.
export function colorInto(canvas, { width, height }, paint) {
  if (scratch?.width !== width || scratch.height !== height) scratch = new ImageData(width, height);
  paint(new Uint32Array(scratch.data.buffer));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").putImageData(scratch, 0, 0);
}

export function paintFilled({ values }, table, rgba) {
  for (let i = 0; i < values.length; i++) rgba[i] = table[values[i]];
}

// Only pixels within `reach` of another class keep their color, so that lines survive scaling a large map down.
export function paintOutlined({ values, width, height }, table, rgba) {
  const reach = Math.max(1, Math.round(width / 512));
  const down = reach * width;
  rgba.fill(0);
  for (let y = 0, i = 0; y < height; y++) {
    const above = y >= reach;
    const below = y + reach < height;
    for (let x = 0; x < width; x++, i++) {
      const value = values[i];
      const edge =
        (x >= reach && values[i - reach] !== value) ||
        (x + reach < width && values[i + reach] !== value) ||
        (above && values[i - down] !== value) ||
        (below && values[i + down] !== value);
      if (edge) rgba[i] = table[value];
    }
  }
}

// Two label maps of one size: `same` where they agree, `differ[own]` where they don't, `unknown` where the other has no
// class. Pixels both of whose classes are hidden stay clear, and so do those whose `distance` from an edge, if given,
// exceeds `reach`.
export function paintCompared({ own, other, isClass, shown, same, differ, unknown, distance, reach }, rgba) {
  for (let i = 0; i < own.length; i++) {
    const mine = own[i];
    const theirs = other[i];
    if (distance && distance[i] > reach) rgba[i] = 0;
    else if (!isClass[theirs]) rgba[i] = unknown;
    else if (!shown[mine] && !shown[theirs]) rgba[i] = 0;
    else rgba[i] = mine === theirs ? same : differ[mine];
  }
}

// Where two label maps of one size differ, colored by which of them equals `truth`, if that is given.
export function paintDifference({ own, other, truth, isClass, shown, first, second, neither }, rgba) {
  for (let i = 0; i < own.length; i++) {
    const mine = own[i];
    const theirs = other[i];
    const right = truth ? truth[i] : IGNORED;
    if (mine === theirs || !isClass[mine] || !isClass[theirs] || !(shown[mine] || shown[theirs])) rgba[i] = 0;
    else if (truth && !isClass[right]) rgba[i] = 0;
    else rgba[i] = mine === right ? first : theirs === right ? second : neither;
  }
}

// Draw the image, and over it the colored labels; either may be null.
export function drawView(context, image, colored, view, opacity) {
  const width = context.canvas.width * view.scale;
  const height = context.canvas.height * view.scale;
  const left = context.canvas.width / 2 - view.x * width;
  const top = context.canvas.height / 2 - view.y * height;
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "medium";
  if (image) context.drawImage(image, left, top, width, height);
  if (!colored) return;
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = width < colored.width; // beyond 1:1 a pixel of the mask is a hard square
  context.drawImage(colored, left, top, width, height);
}

// The image in gray, so that its colors aren't mistaken for those of the labels.
export function grayed(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "black";
  context.fillRect(0, 0, image.width, image.height);
  return canvas;
}
