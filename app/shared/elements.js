// DOM elements. Text that comes from a run, a class table or a file is always set as text, never as markup.

// An element with attributes and children; a child is a node or a string.
export function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// `text` may be a node: the button's name is its label.
export function makeButton(text, label, act, className = "") {
  const button = make("button", className, { type: "button", "aria-label": label, title: label }, text);
  button.addEventListener("click", act);
  return button;
}

// A button that stays pressed. It shows its name, or an icon.
export function makeToggle(name, title, act, icon = null) {
  const attributes = { type: "button", title, "aria-pressed": "false", ...(icon && { "aria-label": name }) };
  const button = make("button", icon ? "toggle tool" : "toggle", attributes, icon ?? name);
  button.addEventListener("click", act);
  return button;
}

export const setPressed = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));

// A select with a word before it: {element, select}. `act` gets the value that was chosen.
export function makeSelect(text, title, act) {
  const select = make("select", "", { title, "aria-label": title });
  select.addEventListener("change", () => act(select.value));
  return { element: make("label", "choice", {}, make("span", "", {}, text), select), select };
}

// <option> elements of [value, text] pairs.
export const makeOptions = (pairs) => pairs.map(([value, text]) => make("option", "", { value }, text));

// Fill a select with [value, text] pairs.
export function setOptions(select, pairs, chosen) {
  select.replaceChildren(...makeOptions(pairs));
  select.value = String(chosen);
}

// A table row; the first cell is a header of the row where `header` says so. A cell is a node or a string.
export function makeRow(cells, { header = false } = {}) {
  const isHeader = (index) => header && index === 0;
  return make("tr", "", {}, ...cells.map((cell, index) =>
    isHeader(index) ? make("th", "", { scope: "row" }, cell) : make("td", "", {}, cell)
  ));
}

// The head of a table: one row of column headers.
export const makeHead = (texts) =>
  make("thead", "", {}, make("tr", "", {}, ...texts.map((text) => make("th", "", { scope: "col" }, text))));

export const cssColor = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

export function makeSwatch(color) {
  const swatch = make("span", "swatch", { "aria-hidden": "true" });
  swatch.style.background = color ? cssColor(color) : "";
  return swatch;
}
