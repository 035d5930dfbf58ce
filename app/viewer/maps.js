// Arithmetic on maps of one byte per pixel, {width, height, values}: label maps, confidence, entropy. Pure; no DOM.

import { clamp } from "./view.js";

export const IGNORED = 255; // the value of a pixel without a class

// The value of a map, of whatever size, at an image point.
export function valueAt({ width, height, values }, [u, v]) {
  const x = clamp(Math.floor(u * width), 0, width - 1);
  const y = clamp(Math.floor(v * height), 0, height - 1);
  return values[y * width + x];
}

// Fraction of the labelled pixels of each class; `count` classes, values beyond them are ignored.
export function classShares({ values }, count) {
  const histogram = new Uint32Array(256);
  for (let i = 0; i < values.length; i++) histogram[values[i]]++;
  const counts = Array.from(histogram.subarray(0, count));
  const labelled = counts.reduce((sum, n) => sum + n, 0) || 1;
  return counts.map((n) => n / labelled);
}

// `compute`, with its result cached for as long as the map lives.
function cached(compute) {
  const results = new WeakMap();
  return (map) => {
    if (!results.has(map)) results.set(map, compute(map));
    return results.get(map);
  };
}

const sizesOf = cached(() => new Map());

// A map at another size, nearest neighbour; itself where it has that size already.
export function resized(map, { width, height }) {
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

// Chessboard distance of each pixel from the nearest edge between two classes: 1 beside the edge, at most 255. An edge
// to ignored pixels doesn't count, since the class beyond it is unknown. Two sweeps make the distance exact (Rosenfeld
// and Pfaltz, 1968: Distance functions on digital pictures).
export const edgeDistance = cached(({ width, height, values }) => {
  const distance = new Uint8Array(values.length).fill(255);
  const isEdge = (a, b) => a !== b && a !== IGNORED && b !== IGNORED;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (x + 1 < width && isEdge(values[i], values[i + 1])) distance[i] = distance[i + 1] = 1;
      if (y + 1 < height && isEdge(values[i], values[i + width])) distance[i] = distance[i + width] = 1;
    }
  }
  // `ahead` is 1 from the top left, -1 from the bottom right.
  const sweep = (first, ahead) => {
    for (let y = 0, i = first; y < height; y++) {
      for (let x = 0; x < width; x++, i += ahead) {
        let nearest = distance[i] - 1;
        if (x > 0) nearest = Math.min(nearest, distance[i - ahead]);
        if (y > 0) {
          const back = i - ahead * width;
          nearest = Math.min(nearest, distance[back]);
          if (x > 0) nearest = Math.min(nearest, distance[back - ahead]);
          if (x + 1 < width) nearest = Math.min(nearest, distance[back + ahead]);
        }
        distance[i] = Math.min(255, nearest + 1);
      }
    }
  };
  sweep(0, 1);
  sweep(values.length - 1, -1);
  return { width, height, values: distance };
});

let lastApart = { maps: [], apart: null };

// How far two or more label maps differ at each pixel of the first: the share of their pairs that have different
// classes there, 0..255.
export function disagreement(maps) {
  const isKnown = maps.length === lastApart.maps.length && maps.every((map, index) => map === lastApart.maps[index]);
  if (isKnown) return lastApart.apart;
  const { width, height } = maps[0];
  const all = maps.map((map) => resized(map, maps[0]).values);
  const shares = Uint8Array.from({ length: pairsOf(all.length) + 1 }, (_, n) => (255 * n) / pairsOf(all.length));
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i++) {
    let count = 0;
    for (let a = 1; a < all.length; a++) for (let b = 0; b < a; b++) if (all[a][i] !== all[b][i]) count++;
    values[i] = shares[count];
  }
  lastApart = { maps, apart: { width, height, values } };
  return lastApart.apart;
}

const pairsOf = (count) => (count * (count - 1)) / 2;

// Pixel counts {labelled, differ, first, second} of two maps of one size, where `truth` has a class: those on which the
// maps differ, and those of them on which the first or the second map equals `truth`. With `reach`, only pixels within
// that distance of a true edge count.
export function compare(own, other, truth, classCount, reach = null) {
  const distance = reach === null ? null : edgeDistance(truth).values;
  const counts = { labelled: 0, differ: 0, first: 0, second: 0 };
  for (let i = 0; i < own.values.length; i++) {
    const right = truth.values[i];
    if (right >= classCount || (distance && distance[i] > reach)) continue;
    counts.labelled++;
    if (own.values[i] === other.values[i]) continue;
    counts.differ++;
    if (own.values[i] === right) counts.first++;
    else if (other.values[i] === right) counts.second++;
  }
  return counts;
}
