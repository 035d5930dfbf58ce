// Colors: of classes as the data set names them or color-blind safe, of heat maps, of right and wrong. Pure; no DOM.

import { clamp } from "./view.js";

// A color as an RGBA word, little endian.
export const toWord = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

// 256 RGBA words (little endian), transparent for hidden classes and ignored pixels.
export function lookupTable(colors, hidden) {
  const table = new Uint32Array(256);
  colors.forEach((color, index) => {
    if (!hidden.has(index)) table[index] = toWord(color);
  });
  return table;
}

// Anchors of the ramp of heat maps, in OKLCh: lightness 0..1, chroma, hue in degrees. Lightness is spaced
// evenly, so that equal steps of a value look equally large, also in gray and to the color-blind.
const RAMP = [
  [0.16, 0.05, 285],
  [0.36, 0.14, 300],
  [0.56, 0.19, 355],
  [0.76, 0.15, 50],
  [0.96, 0.09, 105],
];

// RGB, 0..255, of a color in OKLCh. Ottosson: A perceptual color space for image processing,
// https://bottosson.github.io/posts/oklab/
function oklchColor([lightness, chroma, hue]) {
  const [a, b] = [Math.cos, Math.sin].map((wave) => chroma * wave((hue * Math.PI) / 180));
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
  const encoded = (value) => (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055);
  return linear.map((value) => Math.round(255 * encoded(clamp(value, 0, 1))));
}

// The color of every byte of a heat map, from low to high.
export const HEAT_COLORS = Array.from({ length: 256 }, (_, value) => {
  const position = (value / 255) * (RAMP.length - 1);
  const first = Math.min(Math.floor(position), RAMP.length - 2);
  const share = position - first;
  const [from, to] = [RAMP[first], RAMP[first + 1]];
  const angle = ((to[2] - from[2] + 540) % 360) - 180; // the shorter way round the circle of hues
  return oklchColor([
    from[0] + share * (to[0] - from[0]),
    from[1] + share * (to[1] - from[1]),
    from[2] + share * angle,
  ]);
});
export const HEAT_TABLE = lookupTable(HEAT_COLORS, new Set());

// Eight colors that the color-blind tell apart, and so do all others. Okabe and Ito (2008): Color universal design,
// https://jfly.uni-koeln.de/color/, their black made gray, since ignored pixels are black elsewhere.
const OKABE_ITO = [
  [230, 159, 0], // orange
  [86, 180, 233], // sky blue
  [0, 158, 115], // bluish green
  [240, 228, 66], // yellow
  [0, 114, 178], // blue
  [213, 94, 0], // vermilion
  [204, 121, 167], // reddish purple
  [120, 120, 120],
];
// Lightness is what every eye tells apart: each further round of eight is mixed with black (below 0) or white (above).
const ROUNDS = [0, -0.55, 0.6, -0.78, 0.82];

// A color-blind safe color for each of `count` classes; beyond 40 classes they repeat.
export function safeColors(count) {
  return Array.from({ length: count }, (_, index) => {
    const shift = ROUNDS[Math.floor(index / OKABE_ITO.length) % ROUNDS.length];
    const end = shift < 0 ? 0 : 255;
    const mixed = (channel) => Math.round(channel + (end - channel) * Math.abs(shift));
    return OKABE_ITO[index % OKABE_ITO.length].map(mixed);
  });
}

// Blue and orange, not green and red; see above.
export const RIGHT_COLOR = OKABE_ITO[1];
export const WRONG_COLOR = OKABE_ITO[5];
export const IGNORED_COLOR = [40, 40, 40];
export const FIRST_COLOR = OKABE_ITO[4]; // only the first of a pair is right
export const SECOND_COLOR = OKABE_ITO[0]; // only the second is
export const NEITHER_COLOR = OKABE_ITO[6];
