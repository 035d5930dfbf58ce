// The component: the whole window takes files, dropped or pasted, and hands them to the page's own widget for files.

import { componentOf } from "../shared/component.js";
import { make } from "../shared/elements.js";

const INPUT = '[data-testid="stFileUploaderDropzone"] input[type="file"]';

class Drop {
  constructor(parent) {
    const words = make("p", "", {}, "Drop it to see what the networks make of it");
    this.veil = make("div", "veil", { "aria-hidden": "true" }, words);
    this.root = make("div", "lab-component", {}, this.veil);
    parent.append(this.root);
    this.depth = 0; // of the elements that a file was dragged into: leaving one is entering another
    const { signal } = (this.ending = new AbortController());
    const listen = (name, act) => document.addEventListener(name, act, { signal, capture: true });
    listen("dragenter", (event) => this.#drag(event, 1));
    listen("dragleave", (event) => this.#drag(event, -1));
    listen("dragover", (event) => hasFiles(event) && event.preventDefault());
    listen("drop", (event) => this.#drop(event));
    listen("paste", (event) => this.#take(event.clipboardData?.files, event));
  }

  update() {}

  destroy() {
    this.ending.abort();
    this.root.remove();
  }

  #drag(event, by) {
    if (!hasFiles(event)) return;
    this.depth = Math.max(0, this.depth + by);
    this.veil.classList.toggle("seen", this.depth > 0 && document.querySelector(INPUT) !== null);
  }

  #drop(event) {
    this.depth = 0;
    this.veil.classList.remove("seen");
    if (!hasFiles(event)) return;
    event.preventDefault(); // or the browser would leave the page for the file
    this.#take(event.dataTransfer.files, event);
  }

  // Text that is pasted into a field is left alone.
  #take(files, event) {
    const input = document.querySelector(INPUT);
    if (!files?.length || !input) return;
    event.preventDefault();
    event.stopPropagation(); // the widget would take what is dropped on itself a second time
    const transfer = new DataTransfer();
    for (const file of input.multiple ? files : [files[0]]) transfer.items.add(file);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

export default componentOf(Drop);
