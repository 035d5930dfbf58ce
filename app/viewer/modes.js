// The four ways to look at the panels, and which of them each shows. Pure sums over what Python said of the panels.

const MODES = {
  side: "Side by side",
  single: "Single",
  swipe: "Swipe",
  difference: "Difference",
};

// The modes that this many panels can be seen in; a difference is one of classes.
function modesFor(specs) {
  const masks = specs.filter((spec) => !spec.heat).length;
  return Object.keys(MODES).filter(
    (mode) => mode === "side" || (specs.length > 1 && (mode !== "difference" || masks > 1))
  );
}

// Two panels that are worth a comparison: two networks where there are two, and no heat maps where there are others.
function defaultPair(specs) {
  const rank = ({ heat, is_truth }) => (heat ? 2 : is_truth ? 1 : 0);
  const order = [...specs.keys()].sort((a, b) => rank(specs[a]) - rank(specs[b]) || a - b);
  return [order[0], order[1] ?? order[0]];
}

// What was asked for, as far as these panels allow: {mode, pair}, the indices of the panels A and B.
function allowed({ mode, pair }, specs) {
  const possible = modesFor(specs).includes(mode) ? mode : "side";
  const fits = pair?.every((index) => index < specs.length && (possible !== "difference" || !specs[index].heat));
  return { mode: possible, pair: fits && (pair[0] !== pair[1] || possible === "single") ? pair : defaultPair(specs) };
}

// What the address of the page says after `view=`: a mode, and the numbers of the panels A and B from 1. The pair is null where
// none is named.
function modeFromAddress() {
  const [mode, ...numbers] = (new URLSearchParams(location.search).get("view") ?? "").split("-");
  const pair = numbers.map((number) => Number(number) - 1);
  const isPair = pair.length === 2 && pair.every((index) => Number.isInteger(index) && index >= 0);
  return { mode: mode in MODES ? mode : "side", pair: isPair ? pair : null };
}

// Write it there, and leave every other parameter, and the page's history, as they are.
function writeAddress({ mode, pair }) {
  const address = new URL(location.href);
  const said = mode === "side" ? null : [mode, ...pair.map((index) => index + 1)].join("-");
  if (address.searchParams.get("view") === said) return;
  if (said) address.searchParams.set("view", said);
  else address.searchParams.delete("view");
  history.replaceState(history.state, "", address);
}
