// How many columns the panels stand in, and how wide they are. Pure arithmetic; the sizes are set elsewhere.

const GAP = 16; // between panels, as in panel.css
const HEAD = 58; // title and read-out above an image, as in panel.css
const NARROW = 560; // below this width, one column
const MAX_COLUMNS = 4;
const MIN_HEIGHT = 120;
const FULL = 0.8; // an image that fits with this much of its column fills it, and stands out of the window a little

// {columns, imageWidth} with which `count` images of these proportions are as large as they can be in `width` x
// `height` CSS pixels.
export function arrange(count, aspect, width, height) {
  const maxColumns = width < NARROW ? 1 : Math.min(count, MAX_COLUMNS);
  let best = { score: -1 };
  for (let columns = 1; columns <= maxColumns; columns++) {
    const rows = maxColumns === 1 ? 1 : Math.ceil(count / columns); // where there is one column, one image is seen
    const column = (width - (columns - 1) * GAP) / columns;
    const fitting = Math.min(column, Math.max(MIN_HEIGHT, height / rows - HEAD) * aspect);
    const fills = fitting >= FULL * column;
    const imageWidth = Math.floor(fills ? column : fitting);
    const score = fills ? imageWidth : 0.8 * imageWidth; // a ragged right edge has its price
    if (score > best.score) best = { columns, imageWidth, score };
  }
  return { columns: best.columns, imageWidth: best.imageWidth };
}
