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

// Anchors of the ramp that heat maps are coloured with, in OKLCh: lightness 0..1, chroma, hue in degrees. Lightness is spaced
// evenly, so that equal steps of a value look equally large, also in gray and to the colour-blind.
const RAMP = [
  [0.16, 0.05, 285],
  [0.36, 0.14, 300],
  [0.56, 0.19, 355],
  [0.76, 0.15, 50],
  [0.96, 0.09, 105],
];

// RGB, 0..255, of a colour in OKLCh. Ottosson: A perceptual color space for image processing,
// https://bottosson.github.io/posts/oklab/
function oklchColor([lightness, chroma, hue]) {
  const [a, b] = [Math.cos, Math.sin].map((turn) => chroma * turn((hue * Math.PI) / 180));
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
  const encoded = (part) => (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055);
  return linear.map((part) => Math.round(255 * encoded(clamp(part, 0, 1))));
}

// The colour of every byte of a heat map, from low to high.
const HEAT_COLORS = Array.from({ length: 256 }, (_, value) => {
  const place = (value / 255) * (RAMP.length - 1);
  const first = Math.min(Math.floor(place), RAMP.length - 2);
  const share = place - first;
  const [from, to] = [RAMP[first], RAMP[first + 1]];
  const turn = ((to[2] - from[2] + 540) % 360) - 180; // the shorter way round the circle of hues
  return oklchColor([
    from[0] + share * (to[0] - from[0]),
    from[1] + share * (to[1] - from[1]),
    from[2] + share * turn,
  ]);
});
const HEAT_TABLE = lookupTable(HEAT_COLORS, new Set());

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
