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

// Mode and pair from the page's address, `view=swipe-1-2`; panels count from 1. The pair is null where none is named.
export function modeFromAddress(search = location.search) {
  const [mode, ...numbers] = (new URLSearchParams(search).get("view") ?? "").split("-");
  const pair = numbers.map((number) => Number(number) - 1);
  const isPair = pair.length === 2 && pair.every((index) => Number.isInteger(index) && index >= 0);
  return { mode: Object.hasOwn(MODES, mode) ? mode : "side", pair: isPair ? pair : null };
}

// Write mode and pair there; every other parameter and the page's history stay as they are.
export function writeAddress({ mode, pair }) {
  const address = new URL(location.href);
  const value = mode === "side" ? null : [mode, ...pair.map((index) => index + 1)].join("-");
  if (address.searchParams.get("view") === value) return;
  if (value) address.searchParams.set("view", value);
  else address.searchParams.delete("view");
  history.replaceState(history.state, "", address);
}
