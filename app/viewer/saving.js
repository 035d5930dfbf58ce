// What is seen as one PNG: every picture in sight at the photo's own resolution, its title above it, and what the colours mean
// below. Made in the browser.

const MOST_SIDE = 16_000; // pixels; browsers refuse larger canvases
const MOST_AREA = 120_000_000;

// `tiles` are lists of [panel, from, to], what is painted from left to right of one picture in shares of its width; `titles` stand
// above them and `key` is [[colour, words], ...].
function composePicture({ tiles, titles, key, columns, photo, view, opacity, grayPhoto, paper, ink, font }) {
  const rows = Math.ceil(tiles.length / columns);
  const size = (scale) => {
    const [width, height] = [Math.round(photo.width * scale), Math.round(photo.height * scale)];
    const text = Math.round(clamp(width / 45, 12, 40));
    const sum = { width, height, text, line: Math.round(text * 1.8), gap: Math.round(text * 0.8) };
    const full = columns * width + (columns + 1) * sum.gap;
    return { ...sum, full, all: rows * (height + sum.line + sum.gap) + sum.gap };
  };
  let at = size(1);
  const excess = Math.max(at.full / MOST_SIDE, at.all / MOST_SIDE, Math.sqrt((at.full * at.all) / MOST_AREA));
  if (excess > 1) at = size(1 / excess);
  const probe = new OffscreenCanvas(1, 1).getContext("2d");
  probe.font = `${at.text}px ${font}`;
  const entries = keyLines(key, (words) => probe.measureText(words).width + at.text * 2.4, at.full - 2 * at.gap);
  const canvas = new OffscreenCanvas(at.full, at.all + entries.length * at.line);
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = "middle";
  tiles.forEach((tile, index) => {
    const left = at.gap + (index % columns) * (at.width + at.gap);
    const top = at.gap + Math.floor(index / columns) * (at.height + at.line + at.gap);
    context.font = `600 ${at.text}px ${font}`;
    context.fillStyle = ink;
    context.fillText(titles[index], left, top + at.line / 2, at.width);
    const picture = new OffscreenCanvas(at.width, at.height);
    const inside = picture.getContext("2d", { alpha: false });
    for (const [panel, from, to] of tile) {
      inside.save();
      inside.beginPath();
      inside.rect(from * at.width, 0, (to - from) * at.width, at.height);
      inside.clip();
      drawView(inside, grayPhoto ?? photo, panel.colored, view, opacity);
      inside.restore();
    }
    context.drawImage(picture, left, top + at.line);
  });
  context.font = `${at.text}px ${font}`;
  entries.forEach((line, row) => {
    const middle = at.all + (row + 0.3) * at.line;
    for (const { left, color, words } of line) {
      context.fillStyle = cssColor(color);
      context.fillRect(at.gap + left, middle - at.text / 2, at.text, at.text);
      context.fillStyle = ink;
      context.fillText(words, at.gap + left + at.text * 1.4, middle);
    }
  });
  return canvas.convertToBlob({ type: "image/png" });
}

// Entries of a key, broken into lines no wider than `most`: [[{left, color, words}, ...], ...].
function keyLines(key, widthOf, most) {
  const lines = [];
  let left = Infinity;
  for (const [color, words] of key) {
    const width = widthOf(words);
    if (left + width > most) {
      lines.push([]);
      left = 0;
    }
    lines.at(-1).push({ left, color, words });
    left += width;
  }
  return lines;
}

function download(blob, name) {
  const link = make("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // once the browser has surely taken it
}
