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

const cssColor = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

// A fraction in words; what is there is never rounded to nothing.
function percent(share) {
  if (share === 0) return "–";
  if (share < 0.0005) return `<${NBSP}0.1${NBSP}%`;
  return `${(share * 100).toFixed(1)}${NBSP}%`;
}
