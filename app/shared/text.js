// Numbers as text. Pure; no DOM.

export const NBSP = "\u00a0";

// Per cent with one decimal: "25.0 %". `value` is 0..100.
export const perCent = (value) => `${value.toFixed(1)}${NBSP}%`;

// A fraction 0..1 as a whole percentage: "60 %".
export const wholePerCent = (fraction) => `${Math.round(fraction * 100)}${NBSP}%`;

// A fraction 0..1 of pixels: "12.3 %"; what is there is never rounded to nothing.
export function shareText(fraction) {
  if (fraction === 0) return "–";
  if (fraction < 0.0005) return `<${NBSP}0.1${NBSP}%`;
  return perCent(fraction * 100);
}

// A number in three significant digits; `keepZeros` keeps those at its end, so that a column doesn't flicker.
export function numberText(value, { keepZeros = false } = {}) {
  const size = Math.abs(value);
  const isPlain = value === 0 || (size >= 0.001 && size < 100_000);
  let text = isPlain ? value.toPrecision(3) : value.toExponential(1);
  if (isPlain && (!keepZeros || size >= 1000)) text = String(Number(text));
  return text.replaceAll("-", "−");
}
