// The visible part of the image: a view {scale, x, y} is a magnification and the image point in the middle of the
// frame. Image points (u, v) run 0..1 over the whole image, frame points (a, b) 0..1 over the visible part. Pure
// arithmetic.

export const MAX_SCALE = 40;
export const ZOOM_STEP = 1.5; // of one press of a key or a button
export const WHOLE = { scale: 1, x: 0.5, y: 0.5 };
export const MIDDLE = [0.5, 0.5];

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export const imagePoint = ({ scale, x, y }, [a, b]) => [x + (a - 0.5) / scale, y + (b - 0.5) / scale];
export const framePoint = ({ scale, x, y }, [u, v]) => [(u - x) * scale + 0.5, (v - y) * scale + 0.5];

// The view `factor` times as large in which the image point at frame point `from` lies at `to`, as far as the image's
// edges allow: they never come into the frame.
export function moved(view, factor, from, to = from) {
  const scale = clamp(view.scale * factor, 1, MAX_SCALE);
  const [u, v] = imagePoint(view, from);
  const margin = 0.5 / scale;
  return {
    scale,
    x: clamp(u - (to[0] - 0.5) / scale, margin, 1 - margin),
    y: clamp(v - (to[1] - 0.5) / scale, margin, 1 - margin),
  };
}
