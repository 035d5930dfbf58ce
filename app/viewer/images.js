// Fetching and decoding: the image becomes a bitmap, a gray PNG one byte per pixel. The meaning of the bytes is left to
// others.

export const EXACT = { colorSpaceConversion: "none", premultiplyAlpha: "none" }; // bytes as they were written

// Rejects with a sentence: the server's own, where it sent one.
export async function fetchBlob(url) {
  const response = await fetch(url);
  if (response.ok) return response.blob();
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `It could not be loaded (${response.status}).`);
}

const decodeImage = async (url) => createImageBitmap(await fetchBlob(url));

// A gray PNG as {width, height, values}.
export const decodeMap = async (url) => bytesOf(await createImageBitmap(await fetchBlob(url), EXACT));

export function bytesOf(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, values: grayValues(context.getImageData(0, 0, width, height).data.buffer) };
}

// The gray value of each RGBA pixel: red, which equals green and blue.
export function grayValues(buffer) {
  const rgba = new Uint32Array(buffer);
  const values = new Uint8Array(rgba.length);
  for (let i = 0; i < rgba.length; i++) values[i] = rgba[i] & 255;
  return values;
}

// Every image and map by its address, fetched and decoded once however many panels and calls ask for it.
export class ImageCache {
  constructor() {
    this.results = new Map(); // address -> promise of what it decodes to
  }

  // The contents of one panel, {image, labels, confidence}. Never rejects: what failed is null, and so are labels that
  // are still to come.
  async load(url, spec) {
    const [image, labels, confidence] = await Promise.all([
      this.#get(url, decodeImage),
      spec.labels ? this.#get(spec.labels, decodeMap) : null,
      spec.confidence ? this.#get(spec.confidence, decodeMap) : null,
    ]);
    return { image, labels, confidence };
  }

  keepOnly(urls) {
    for (const [url, result] of this.results) {
      if (urls.has(url)) continue;
      this.results.delete(url);
      result.then((decoded) => decoded?.close?.()); // a bitmap's pixels are not the garbage collector's
    }
  }

  #get(url, decode) {
    if (!this.results.has(url)) {
      const result = decode(url).catch((error) => {
        console.warn("mask viewer:", url, error);
        if (this.results.get(url) === result) this.results.delete(url); // the next call tries again
        return null;
      });
      this.results.set(url, result);
    }
    return this.results.get(url);
  }
}
