// Making elements, and wording what stands in them. Knows nothing of pictures.

const NBSP = "\u00a0";

function make(tag, className, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeButton(text, label, act, className = "") {
  const button = make("button", className, { type: "button", "aria-label": label, title: label }, text);
  button.addEventListener("click", act);
  return button;
}

// A button that is named by its text and stays pressed.
function makeToggle(text, title, act) {
  const button = make("button", "toggle", { type: "button", title, "aria-pressed": "false" }, text);
  button.addEventListener("click", act);
  return button;
}

const setPressed = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));

// A select with a word before it: {element, select}. `act` gets the value that was chosen.
function makeSelect(text, title, act) {
  const select = make("select", "", { title, "aria-label": title });
  select.addEventListener("change", () => act(select.value));
  return { element: make("label", "choice", {}, make("span", "", {}, text), select), select };
}

// Fill a select with [value, text] pairs.
function setOptions(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", "", { value }, text)));
  select.value = String(chosen);
}

function makeSwatch(color) {
  const swatch = make("span", "swatch", { "aria-hidden": "true" });
  swatch.style.background = color ? cssColor(color) : "";
  return swatch;
}

const cssColor = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

// A fraction in words; what is there is never rounded to nothing.
function percent(share) {
  if (share === 0) return "–";
  if (share < 0.0005) return `<${NBSP}0.1${NBSP}%`;
  return `${(share * 100).toFixed(1)}${NBSP}%`;
}
