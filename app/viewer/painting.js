// From label maps to colours, and onto a canvas. What is shown when is decided elsewhere.
//
// A map is coloured once through a lookup table into an offscreen canvas; opacity is then `globalAlpha` alone.

// Maps are coloured one after the other: one buffer does for all of a size, and nothing is left to collect.
let scratch = new ImageData(1, 1);

// Let `paint` set the RGBA words of a picture of this size, and put them into `canvas`.
function colorInto(canvas, { width, height }, paint) {
  if (scratch.width !== width || scratch.height !== height) scratch = new ImageData(width, height);
  paint(new Uint32Array(scratch.data.buffer));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.getContext("2d").putImageData(scratch, 0, 0);
}

function paintFilled({ values }, table, words) {
  for (let i = 0; i < values.length; i++) words[i] = table[values[i]];
}

// Only pixels within `reach` of another class keep their colour, so that lines survive scaling a large map down.
function paintOutlined({ values, width, height }, table, words) {
  const reach = Math.max(1, Math.round(width / 512));
  const down = reach * width;
  words.fill(0);
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
      if (edge) words[i] = table[value];
    }
  }
}

// Two label maps of one size: `same` where they agree, `differ[own]` where they don't, `unknown` where the other has no class.
// Pixels both of whose classes are hidden stay clear, and so do those further than `reach` from an edge in `far`, if given.
function paintCompared({ own, other, isClass, shown, same, differ, unknown, far, reach }, words) {
  for (let i = 0; i < own.length; i++) {
    const mine = own[i];
    const theirs = other[i];
    if (far && far[i] > reach) words[i] = 0;
    else if (!isClass[theirs]) words[i] = unknown;
    else if (!shown[mine] && !shown[theirs]) words[i] = 0;
    else words[i] = mine === theirs ? same : differ[mine];
  }
}

// Where two label maps of one size differ: who is right, if `truth` is there to say so.
function paintDifference({ own, other, truth, isClass, shown, first, second, neither }, words) {
  for (let i = 0; i < own.length; i++) {
    const mine = own[i];
    const theirs = other[i];
    const right = truth ? truth[i] : IGNORED;
    if (mine === theirs || !isClass[mine] || !isClass[theirs] || !(shown[mine] || shown[theirs])) words[i] = 0;
    else if (truth && !isClass[right]) words[i] = 0;
    else words[i] = mine === right ? first : theirs === right ? second : neither;
  }
}

// Draw the photo, and over it the coloured labels; either may be null.
function drawView(context, photo, colored, view, opacity) {
  const width = context.canvas.width * view.scale;
  const height = context.canvas.height * view.scale;
  const left = context.canvas.width / 2 - view.x * width;
  const top = context.canvas.height / 2 - view.y * height;
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "medium";
  if (photo) context.drawImage(photo, left, top, width, height);
  if (!colored) return;
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = width < colored.width; // beyond 1:1 a pixel of the mask is a hard square
  context.drawImage(colored, left, top, width, height);
}

// A photo without its colours, to be told from those of the labels.
function grayed(photo) {
  const canvas = new OffscreenCanvas(photo.width, photo.height);
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0);
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "black";
  context.fillRect(0, 0, photo.width, photo.height);
  return canvas;
}
