// Arithmetic of the chips: which runs are hidden, and in which order all stand. One is always seen.

// `ids` with the one at `from` moved to the place `to`.
export function moved(ids, from, to) {
  const rest = ids.filter((_, place) => place !== from);
  const place = Math.min(Math.max(to, 0), rest.length);
  return [...rest.slice(0, place), ids[from], ...rest.slice(place)];
}

// What is hidden after the eye of `id` was pressed; the last one that is seen stays.
export function toggled(ids, hidden, id) {
  if (hidden.includes(id)) return hidden.filter((each) => each !== id);
  return hidden.length + 1 < ids.length ? [...hidden, id] : hidden;
}

// What is hidden where `id` is to be seen alone, or all again where it already is.
export function alone(ids, hidden, id) {
  const others = ids.filter((each) => each !== id);
  const isAlone = !hidden.includes(id) && others.every((each) => hidden.includes(each));
  return isAlone ? [] : others;
}
