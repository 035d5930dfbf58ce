// Fetching and decoding: a photo becomes a bitmap, a gray PNG a byte per pixel. What the bytes mean is left to others.

const EXACT = { colorSpaceConversion: "none", premultiplyAlpha: "none" }; // bytes as they were written

// Rejects with a sentence: the server's own, where it sent one.
async function fetchBlob(url) {
  const response = await fetch(url);
  if (response.ok) return response.blob();
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `It could not be loaded (${response.status}).`);
}

const decodePhoto = async (url) => createImageBitmap(await fetchBlob(url));

// A gray PNG as {width, height, values}.
const decodeMap = async (url) => bytesOf(await createImageBitmap(await fetchBlob(url), EXACT));

function bytesOf(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const words = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const values = new Uint8Array(words.length);
  for (let i = 0; i < words.length; i++) values[i] = words[i] & 255; // red, which equals green and blue
  return { width, height, values };
}

// Every picture by its address, fetched and decoded once however many panels and calls ask for it.
class Pictures {
  constructor() {
    this.results = new Map(); // address -> promise of what it decodes to
  }

  // What one panel shows, {photo, labels, confidence}. Never rejects: what could not be had is null.
  async load(image, spec) {
    const [photo, labels, confidence] = await Promise.all([
      this.#get(image, decodePhoto),
      this.#get(spec.labels, decodeMap),
      spec.confidence ? this.#get(spec.confidence, decodeMap) : null,
    ]);
    return { photo, labels, confidence };
  }

  keepOnly(urls) {
    for (const [url, result] of this.results) {
      if (urls.has(url)) continue;
      this.results.delete(url);
      result.then((got) => got?.close?.()); // photos hold their pixels outside the garbage collector's sight
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
