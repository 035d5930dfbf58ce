// The inline script of every component: imports the component's module from the lab and calls it. Python writes
// `const MODULE = "<address>";` above this file.
//
// Streamlit calls the default export at mount and again when the data or the theme change, with the same parentElement.
// Until the module has arrived only the newest call of an element is kept: an older one would show old data for a
// moment.

const FAILED =
  "This part of the page could not be loaded. Reload the page; if it stays away, the lab may not be running.";

const newest = new WeakMap(); // parentElement -> its latest call

export default async function (call) {
  const { parentElement } = call;
  newest.set(parentElement, call);
  let component;
  try {
    // An inline script has an address of its own (blob:...), against which no path can be resolved.
    component = (await import(new URL(MODULE, document.baseURI).href)).default;
  } catch (error) {
    console.error(`${MODULE} could not be imported:`, error);
  }
  if (newest.get(parentElement) !== call) return undefined;
  parentElement.querySelector(".lab-failed")?.remove();
  if (component) return component(call);
  const message = document.createElement("p");
  message.className = "lab-failed";
  message.setAttribute("role", "alert");
  message.textContent = FAILED;
  parentElement.append(message);
  return undefined;
}
