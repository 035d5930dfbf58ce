// How many columns the panels stand in, and how wide they are. Pure arithmetic; the sizes are set elsewhere.

export const GAP = 8; // between panels, as in panel.css
const HEAD = 28; // the line above an image, as in panel.css
const NARROW = 560; // below this width, one column
const MIN_HEIGHT = 120;

// {columns, imageWidth} with which `count` images of these proportions are as large as they can be in `width` x
// `height` CSS pixels. Of two ways alike the one with fewer empty places and more columns.
export function arrange(count, aspect, width, height) {
  const maxColumns = width < NARROW ? 1 : count;
  let best = { imageWidth: -1 };
  for (let columns = 1; columns <= maxColumns; columns++) {
    const rows = maxColumns === 1 ? 1 : Math.ceil(count / columns); // where there is one column, one image is seen
    const column = (width - (columns - 1) * GAP) / columns;
    const room = (height - (rows - 1) * GAP) / rows - HEAD;
    const imageWidth = Math.floor(Math.min(column, Math.max(MIN_HEIGHT, room) * aspect));
    const empty = rows * columns - count;
    const isBetter = imageWidth > best.imageWidth || (imageWidth === best.imageWidth && empty <= best.empty);
    if (isBetter) best = { columns, imageWidth, empty };
  }
  return { columns: best.columns, imageWidth: best.imageWidth };
}
