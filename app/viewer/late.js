// What few ask for, and what is made only then: entropy, and the likeliest classes of a pinned pixel. Fetched when it is first
// wanted, one after the other, since one network answers at a time and a browser has few connections to a server.

const RANKS = 5; // classes told of a pixel, as in core/inference/prediction_cache.py

// The likeliest classes at an image point, [[number, share], ...], from a PNG that tells them in `2 * RANKS` rows per row of pixels.
// Only that pixel is kept: all of them would be twenty bytes per pixel and panel.
async function likeliestAt(blob, [u, v]) {
  const size = new DataView(await blob.slice(16, 24).arrayBuffer()); // width and height in a PNG's header
  const [width, height] = [size.getUint32(0), size.getUint32(4) / (2 * RANKS)];
  const x = clamp(Math.floor(u * width), 0, width - 1);
  const y = clamp(Math.floor(v * height), 0, height - 1);
  const { values } = bytesOf(await createImageBitmap(blob, x, y * 2 * RANKS, 1, 2 * RANKS, EXACT));
  const ranks = Array.from({ length: RANKS }, (_, rank) => [values[2 * rank], values[2 * rank + 1] / 255]);
  return ranks.filter(([number, share]) => number !== IGNORED && share > 0);
}

class Late {
  // `mapCame` and `pixelCame` are called when one has come, or will not.
  constructor({ mapCame, pixelCame }) {
    Object.assign(this, { mapCame, pixelCame });
    this.maps = new Map(); // address -> {value, problem}, as long as it is on its way null and ""
    this.pixels = new Map(); // address -> the same of the pixel that was last asked about, and {place}
    this.blobs = new Map(); // address -> what was fetched to read pixels from
    this.turn = Promise.resolve();
  }

  // The map of an address: {value, problem}.
  map(url) {
    if (!this.maps.has(url)) this.#seek(this.maps, url, {}, () => decodeMap(url), this.mapCame);
    return this.maps.get(url);
  }

  // The likeliest classes at an image point: {value, problem}.
  pixel(url, place) {
    if (String(this.pixels.get(url)?.place) !== String(place)) {
      const read = async () => {
        if (!this.blobs.has(url)) this.blobs.set(url, await fetchBlob(url));
        return likeliestAt(this.blobs.get(url), place);
      };
      this.#seek(this.pixels, url, { place }, read, this.pixelCame);
    }
    return this.pixels.get(url);
  }

  keepOnly(urls) {
    for (const kept of [this.maps, this.pixels, this.blobs]) {
      for (const url of kept.keys()) if (!urls.has(url)) kept.delete(url);
    }
  }

  #seek(kept, url, facts, get, tell) {
    const found = { ...facts, value: null, problem: "" };
    kept.set(url, found);
    const isWanted = () => kept.get(url) === found;
    this.turn = this.turn.then(async () => {
      if (!isWanted()) return;
      try {
        found.value = await get();
      } catch (error) {
        console.warn("mask viewer:", error);
        found.problem = error.message;
      }
      if (isWanted()) tell();
    });
  }
}
