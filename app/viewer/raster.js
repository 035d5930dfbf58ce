// Arithmetic of painting: which pixels a stroke, a polygon or a fill covers, and what changed. A covered map is one byte
// per pixel, 1 where something is to be painted. Pure; no DOM.

export const UNCHANGED = 256; // in a patch: a pixel that stays

// Give a value to all pixels whose middle is within `radius` of the line between two points, in pixels; always to the one
// under `to`.
export function paintLine(values, { width, height }, from, to, radius, value) {
  const left = Math.max(0, Math.floor(Math.min(from[0], to[0]) - radius));
  const right = Math.min(width - 1, Math.ceil(Math.max(from[0], to[0]) + radius));
  const top = Math.max(0, Math.floor(Math.min(from[1], to[1]) - radius));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(from[1], to[1]) + radius));
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy || 1;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const [px, py] = [x + 0.5 - from[0], y + 0.5 - from[1]];
      const share = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
      const [ex, ey] = [px - share * dx, py - share * dy];
      if (ex * ex + ey * ey <= radius * radius) values[y * width + x] = value;
    }
  }
  const [x, y] = [Math.floor(to[0]), Math.floor(to[1])];
  if (x >= 0 && y >= 0 && x < width && y < height) values[y * width + x] = value;
}

// Cover the pixels whose middle lies inside a polygon of points in pixels, by the even-odd rule.
export function coverPolygon(covered, { width, height }, points) {
  for (let y = 0; y < height; y++) {
    const crossings = [];
    points.forEach(([x1, y1], index) => {
      const [x2, y2] = points[(index + 1) % points.length];
      const middle = y + 0.5;
      if (y1 <= middle !== y2 <= middle) crossings.push(x1 + ((middle - y1) / (y2 - y1)) * (x2 - x1));
    });
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const first = Math.max(0, Math.ceil(crossings[pair] - 0.5));
      const last = Math.min(width - 1, Math.ceil(crossings[pair + 1] - 0.5) - 1);
      for (let x = first; x <= last; x++) covered[y * width + x] = 1;
    }
  }
}

// Cover the connected pixels around (x, y), by their four sides, for which `isAlike(index)` holds.
export function coverConnected(covered, { width, height }, [x, y], isAlike) {
  const start = y * width + x;
  if (!isAlike(start)) return;
  const waiting = [start];
  covered[start] = 1;
  const visit = (index) => {
    if (!covered[index] && isAlike(index)) {
      covered[index] = 1;
      waiting.push(index);
    }
  };
  while (waiting.length > 0) {
    const index = waiting.pop();
    const column = index % width;
    if (column > 0) visit(index - 1);
    if (column + 1 < width) visit(index + 1);
    if (index >= width) visit(index - width);
    if (index + width < width * height) visit(index + width);
  }
}

// The middle of the pixel within `reach` of a point at which colors change most, from RGBA bytes; of equals the nearest.
export function strongestEdge(rgba, { width, height }, [x, y], reach) {
  const change = (a, b) => Math.abs(rgba[a] - rgba[b]) + Math.abs(rgba[a + 1] - rgba[b + 1]) + Math.abs(rgba[a + 2] - rgba[b + 2]);
  let best = { strength: 0, distance: 0, point: [x, y] };
  for (let row = Math.max(1, Math.ceil(y - reach)); row <= Math.min(height - 2, y + reach); row++) {
    for (let column = Math.max(1, Math.ceil(x - reach)); column <= Math.min(width - 2, x + reach); column++) {
      const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y);
      if (distance > reach) continue;
      const at = 4 * (row * width + column);
      const strength = change(at - 4, at + 4) + change(at - 4 * width, at + 4 * width);
      const isBetter = strength > best.strength || (strength === best.strength && strength > 0 && distance < best.distance);
      if (isBetter) best = { strength, distance, point: [column + 0.5, row + 0.5] };
    }
  }
  return best.point;
}

// Give every connected piece of fewer than `least` pixels the value that most of the pixels around it have.
export function cleanPieces(values, { width, height }, least) {
  const isSeen = new Uint8Array(values.length);
  for (let start = 0; start < values.length; start++) {
    if (isSeen[start]) continue;
    const own = values[start];
    const piece = [start];
    const around = new Uint32Array(256);
    isSeen[start] = 1;
    const visit = (index) => {
      if (values[index] !== own) around[values[index]]++;
      else if (!isSeen[index]) {
        isSeen[index] = 1;
        piece.push(index);
      }
    };
    for (let n = 0; n < piece.length; n++) {
      const index = piece[n];
      const column = index % width;
      if (column > 0) visit(index - 1);
      if (column + 1 < width) visit(index + 1);
      if (index >= width) visit(index - width);
      if (index + width < width * height) visit(index + width);
    }
    const most = around.indexOf(Math.max(...around));
    if (piece.length < least && around[most] > 0) for (const index of piece) values[index] = most;
  }
}

// Whether a pixel of an RGBA picture has about the color of another one: every channel within `tolerance`.
export function alikeColor(rgba, start, tolerance) {
  const own = rgba.subarray(4 * start, 4 * start + 3);
  const isNear = (index, channel) => Math.abs(rgba[4 * index + channel] - own[channel]) <= tolerance;
  return (index) => isNear(index, 0) && isNear(index, 1) && isNear(index, 2);
}

// What makes `after` of `before`, two maps of `width` columns: {box: [left, top, width, height], runs: [count, value,
// ...]}, row by row through the box; null where nothing changed.
export function patchBetween(before, after, width) {
  let [left, top, right, bottom] = [width, -1, -1, -1];
  for (let i = 0; i < after.length; i++) {
    if (before[i] === after[i]) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    if (top < 0) top = y;
    bottom = y;
    if (x < left) left = x;
    if (x > right) right = x;
  }
  if (top < 0) return null;
  const runs = [];
  for (let y = top; y <= bottom; y++) {
    for (let x = left, i = y * width + left; x <= right; x++, i++) {
      const value = before[i] === after[i] ? UNCHANGED : after[i];
      if (runs.length > 0 && runs[runs.length - 1] === value) runs[runs.length - 2]++;
      else runs.push(1, value);
    }
  }
  return { box: [left, top, right - left + 1, bottom - top + 1], runs };
}

// Change a map of `width` columns by a patch.
export function applyPatch(values, width, { box: [left, top, columns], runs }) {
  let place = 0;
  for (let n = 0; n < runs.length; n += 2) {
    const end = place + runs[n];
    for (; place < end; place++) {
      const index = (top + Math.floor(place / columns)) * width + left + (place % columns);
      if (runs[n + 1] !== UNCHANGED) values[index] = runs[n + 1];
    }
  }
}
