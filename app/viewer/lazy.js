// Maps that are computed only when they are needed: entropy, and the likeliest classes of a pinned pixel. Fetched one
// after the other, since the lab runs one network at a time and a browser has few connections to a server.

import { EXACT, bytesOf, decodeMap, fetchBlob } from "./images.js";
import { IGNORED } from "./maps.js";
import { clamp } from "./view.js";

const RANKS = 5; // classes per pixel, as in core/inference

// The likeliest classes at an image point, [[classIndex, probability], ...], from a PNG with `2 * RANKS` rows per row
// of pixels. Only that pixel is decoded: all of them would be twenty bytes per pixel and panel.
async function likeliestAt(blob, [u, v]) {
  const size = new DataView(await blob.slice(16, 24).arrayBuffer()); // width and height in a PNG's header
  const [width, height] = [size.getUint32(0), size.getUint32(4) / (2 * RANKS)];
  const x = clamp(Math.floor(u * width), 0, width - 1);
  const y = clamp(Math.floor(v * height), 0, height - 1);
  return ranked(bytesOf(await createImageBitmap(blob, x, y * 2 * RANKS, 1, 2 * RANKS, EXACT)).values);
}

// [[classIndex, probability], ...] from alternating bytes; unused ranks are left out.
export function ranked(values) {
  const ranks = Array.from({ length: RANKS }, (_, rank) => [values[2 * rank], values[2 * rank + 1] / 255]);
  return ranks.filter(([index, probability]) => index !== IGNORED && probability > 0);
}

export class LazyMaps {
  // `onMap` and `onPixel` are called when a map or a pixel has arrived, or failed.
  constructor({ onMap, onPixel }) {
    Object.assign(this, { onMap, onPixel });
    this.maps = new Map(); // address -> {value, problem}: null and "" until it arrives
    this.pixels = new Map(); // address -> {value, problem, point} of the pixel that was requested last
    this.blobs = new Map(); // address -> the file that pixels are read from
    this.queue = Promise.resolve();
  }

  // The map of an address: {value, problem}.
  map(url) {
    if (!this.maps.has(url)) this.#request(this.maps, url, {}, () => decodeMap(url), this.onMap);
    return this.maps.get(url);
  }

  // The likeliest classes at an image point: {value, problem}.
  pixel(url, point) {
    if (String(this.pixels.get(url)?.point) !== String(point)) {
      const read = async () => {
        if (!this.blobs.has(url)) this.blobs.set(url, await fetchBlob(url));
        return likeliestAt(this.blobs.get(url), point);
      };
      this.#request(this.pixels, url, { point }, read, this.onPixel);
    }
    return this.pixels.get(url);
  }

  keepOnly(urls) {
    for (const cache of [this.maps, this.pixels, this.blobs]) {
      for (const url of cache.keys()) if (!urls.has(url)) cache.delete(url);
    }
  }

  #request(cache, url, fields, get, notify) {
    const entry = { ...fields, value: null, problem: "" };
    cache.set(url, entry);
    const isCurrent = () => cache.get(url) === entry;
    this.queue = this.queue.then(async () => {
      if (!isCurrent()) return;
      try {
        entry.value = await get();
      } catch (error) {
        console.warn("mask viewer:", error);
        entry.problem = error.message;
      }
      if (isCurrent()) notify();
    });
  }
}
