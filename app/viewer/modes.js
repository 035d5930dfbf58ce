// The four modes, and which panels each shows. `specs` are the panels as Python describes them.

export const MODES = {
  side: "Side by side",
  single: "Single",
  swipe: "Swipe",
  difference: "Difference",
};

// The modes that these panels allow; a difference needs two label maps.
export function modesFor(specs) {
  const masks = specs.filter((spec) => !spec.heat).length;
  return Object.keys(MODES).filter(
    (mode) => mode === "side" || (specs.length > 1 && (mode !== "difference" || masks > 1))
  );
}

// The two panels compared at first: two networks where there are two, and heat maps last.
function defaultPair(specs) {
  const rank = ({ heat, is_truth: isTruth }) => (heat ? 2 : Number(isTruth));
  const order = [...specs.keys()].toSorted((a, b) => rank(specs[a]) - rank(specs[b]) || a - b);
  return [order[0], order[1] ?? order[0]];
}

// The requested mode and pair as far as these panels allow: {mode, pair}, the indices of the panels A and B.
export function allowed({ mode, pair }, specs) {
  const possible = modesFor(specs).includes(mode) ? mode : "side";
  const fits = pair?.every((index) => index < specs.length && (possible !== "difference" || !specs[index].heat));
  return { mode: possible, pair: fits && (pair[0] !== pair[1] || possible === "single") ? pair : defaultPair(specs) };
}

// `pair` with `index` in a slot, 0 for A and 1 for B; a panel that is in the other slot changes places.
export function withPanel(pair, slot, index) {
  const changed = [...pair];
  if (changed[1 - slot] === index) changed[1 - slot] = changed[slot];
  changed[slot] = index;
  return changed;
}
