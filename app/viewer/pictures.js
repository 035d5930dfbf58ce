// Fetching and decoding: a photo becomes a bitmap, a gray PNG a byte per pixel. What the bytes mean is left to others.

async function fetchBlob(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.blob();
}

const decodePhoto = async (url) => createImageBitmap(await fetchBlob(url));

// A gray PNG as {width, height, values}: the bytes as written, without colour management or premultiplied alpha.
async function decodeMap(url) {
  const blob = await fetchBlob(url);
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
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

  // What one panel shows, {photo, labels, confidence, entropy}. Never rejects: what could not be had is null.
  async load(image, spec) {
    const [photo, labels, confidence, entropy] = await Promise.all([
      this.#get(image, decodePhoto),
      this.#get(spec.labels, decodeMap),
      spec.confidence ? this.#get(spec.confidence, decodeMap) : null,
      spec.entropy ? this.#get(spec.entropy, decodeMap) : null,
    ]);
    return { photo, labels, confidence, entropy };
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
        console.warn("mask viewer:", error);
        if (this.results.get(url) === result) this.results.delete(url); // the next call tries again
        return null;
      });
      this.results.set(url, result);
    }
    return this.results.get(url);
  }
}
