// Sums over maps of a byte per pixel, {width, height, values}: label maps, confidence, and what follows from them.

const IGNORED = 255; // the value of a pixel without a class

// The value of a map, of whatever size, at an image point.
function valueAt({ width, height, values }, [u, v]) {
  const x = clamp(Math.floor(u * width), 0, width - 1);
  const y = clamp(Math.floor(v * height), 0, height - 1);
  return values[y * width + x];
}

// Fraction of the labelled pixels of each class; `count` classes, values beyond them are ignored.
function classShares({ values }, count) {
  const histogram = new Uint32Array(256);
  for (let i = 0; i < values.length; i++) histogram[values[i]]++;
  const counts = Array.from(histogram.subarray(0, count));
  const labelled = counts.reduce((sum, n) => sum + n, 0) || 1;
  return counts.map((n) => n / labelled);
}

// Keep what `compute` makes of a map for as long as the map is there.
function remembered(compute) {
  const kept = new WeakMap();
  return (map) => {
    if (!kept.has(map)) kept.set(map, compute(map));
    return kept.get(map);
  };
}

const sizesOf = remembered(() => new Map());

// A map at another size, nearest neighbour; itself where it has that size already.
function resized(map, { width, height }) {
  if (map.width === width && map.height === height) return map;
  const sizes = sizesOf(map);
  const size = `${width}x${height}`;
  if (!sizes.has(size)) {
    const values = new Uint8Array(width * height);
    for (let y = 0, i = 0; y < height; y++) {
      const row = Math.floor(((y + 0.5) * map.height) / height) * map.width;
      for (let x = 0; x < width; x++, i++) values[i] = map.values[row + Math.floor(((x + 0.5) * map.width) / width)];
    }
    sizes.set(size, { width, height, values });
  }
  return sizes.get(size);
}

// How far each pixel lies from the nearest edge between two classes, in steps of a chess king: 1 beside the edge, at most 255.
// Edges to ignored pixels are none: what lies beyond them nobody labelled. Two sweeps make the distance exact
// (Rosenfeld and Pfaltz, 1968: Distance functions on digital pictures).
const edgeDistance = remembered(({ width, height, values }) => {
  const far = new Uint8Array(values.length).fill(255);
  const isEdge = (a, b) => a !== b && a !== IGNORED && b !== IGNORED;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (x + 1 < width && isEdge(values[i], values[i + 1])) far[i] = far[i + 1] = 1;
      if (y + 1 < height && isEdge(values[i], values[i + width])) far[i] = far[i + width] = 1;
    }
  }
  // `ahead` is 1 from the top left, -1 from the bottom right.
  const sweep = (first, ahead) => {
    for (let y = 0, i = first; y < height; y++) {
      for (let x = 0; x < width; x++, i += ahead) {
        let least = far[i] - 1;
        if (x > 0) least = Math.min(least, far[i - ahead]);
        if (y > 0) {
          const back = i - ahead * width;
          least = Math.min(least, far[back]);
          if (x > 0) least = Math.min(least, far[back - ahead]);
          if (x + 1 < width) least = Math.min(least, far[back + ahead]);
        }
        far[i] = Math.min(255, least + 1);
      }
    }
  };
  sweep(0, 1);
  sweep(values.length - 1, -1);
  return { width, height, values: far };
});

// How two maps of one size compare where `truth` has a class: counts {labelled, differ, first, second}, the last two of the
// pixels on which they differ and one of them says what `truth` says. Only pixels within `reach` of a true edge count, where
// that is given.
function compare(own, other, truth, classCount, reach = null) {
  const far = reach === null ? null : edgeDistance(truth).values;
  const counts = { labelled: 0, differ: 0, first: 0, second: 0 };
  for (let i = 0; i < own.values.length; i++) {
    const right = truth.values[i];
    if (right >= classCount || (far && far[i] > reach)) continue;
    counts.labelled++;
    if (own.values[i] === other.values[i]) continue;
    counts.differ++;
    if (own.values[i] === right) counts.first++;
    else if (other.values[i] === right) counts.second++;
  }
  return counts;
}
