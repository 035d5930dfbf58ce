// How the panels share the room there is. Pure sums; the sizes are set elsewhere.

const GAP = 16; // between panels, as in viewer.css
const HEAD = 58; // title and read-out above a picture, as in viewer.css
const NARROW = 560; // below this width, one column
const MOST_COLUMNS = 4;
const FULL = 0.8; // a picture that fits with this much of its column fills it, and stands out of the window a little

// How many columns, and how wide a picture, so that `count` pictures of these proportions are as large as they can be
// in `width` x `height` CSS pixels.
function arrange(count, aspect, width, height) {
  const most = width < NARROW ? 1 : Math.min(count, MOST_COLUMNS);
  let best = { score: -1 };
  for (let columns = 1; columns <= most; columns++) {
    const rows = most === 1 ? 1 : Math.ceil(count / columns); // where all stand in one column, one is seen at a time
    const column = (width - (columns - 1) * GAP) / columns;
    const fitting = Math.min(column, Math.max(120, height / rows - HEAD) * aspect);
    const fills = fitting >= FULL * column;
    const picture = Math.floor(fills ? column : fitting);
    const score = fills ? picture : 0.8 * picture; // a ragged right edge has its price
    if (score > best.score) best = { columns, picture, score };
  }
  return best;
}
