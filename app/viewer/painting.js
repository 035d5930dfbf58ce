// From label maps to colours, and onto a canvas. What is shown when is decided elsewhere.
//
// A map is coloured once through a lookup table into an offscreen canvas; opacity is then `globalAlpha` alone.

// 256 RGBA words (little endian), transparent for hidden classes and ignored pixels.
function lookupTable(colors, hidden) {
  const table = new Uint32Array(256);
  colors.forEach(([red, green, blue], index) => {
    if (!hidden.has(index)) table[index] = (255 << 24) | (blue << 16) | (green << 8) | red;
  });
  return table;
}

// Maps are coloured one after the other: one buffer does for all of a size, and nothing is left to collect.
let scratch = new ImageData(1, 1);

// Colour `labels` into `canvas`, which has their size.
function colorLabels(labels, table, outlined, canvas) {
  const { width, height } = labels;
  if (scratch.width !== width || scratch.height !== height) scratch = new ImageData(width, height);
  (outlined ? paintOutlined : paintFilled)(labels, table, new Uint32Array(scratch.data.buffer));
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
