// Which frames of a strip are in sight. Pure arithmetic.

const BESIDE = 4; // frames on either side that are there before they are seen

// [first, end) of the frames to draw of `count`, each `pitch` CSS pixels from the next, in a window of `width` that is
// scrolled by `left`.
export function inSight(count, pitch, left, width) {
  const first = Math.max(0, Math.floor(left / pitch) - BESIDE);
  return [Math.min(first, count), Math.min(count, Math.ceil((left + width) / pitch) + BESIDE)];
}

// Where to scroll so that a frame is whole in sight: as it is where that is so, else with it in the middle.
export function scrolledTo(index, pitch, left, width) {
  const start = index * pitch;
  const isSeen = start >= left && start + pitch <= left + width;
  return isSeen ? left : Math.max(0, start - (width - pitch) / 2);
}

// The frame that a key goes to from another, or null; `page` frames are in sight.
export function goal(key, index, count, page) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -page, PageDown: page, Home: -count, End: count };
  return key in steps ? Math.min(count - 1, Math.max(0, index + steps[key])) : null;
}
