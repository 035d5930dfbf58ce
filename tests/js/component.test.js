// The way from Streamlit's calls to a component: mounting, overtaken calls, clean-ups, and an import that fails.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { componentOf } from "../../app/shared/component.js";

function recorder() {
  const log = [];
  class Component {
    constructor() {
      log.push("made");
    }
    update(data) {
      log.push(data);
    }
    destroy() {
      log.push("destroyed");
    }
  }
  return { log, component: componentOf(Component) };
}

test("one instance per element, kept from call to call", () => {
  const { log, component } = recorder();
  const [one, two] = [{}, {}];
  component({ parentElement: one, data: 1 });
  component({ parentElement: one, data: 2 });
  component({ parentElement: two, data: 3 });
  assert.deepEqual(log, ["made", 1, 2, "made", 3]);
});

test("the clean-up of an overtaken call ends nothing, that of the latest does", () => {
  const { log, component } = recorder();
  const parentElement = {};
  const first = component({ parentElement, data: 1 });
  const second = component({ parentElement, data: 2 });
  first();
  assert.ok(!log.includes("destroyed"));
  second();
  second();
  assert.deepEqual(log.slice(3), ["destroyed"]);
  component({ parentElement, data: 4 });
  assert.deepEqual(log.slice(4), ["made", 4]);
});

// The inline script as Streamlit gets it, with a module of this source behind it.
async function entryOf(moduleSource) {
  const entry = await readFile(new URL("../../app/shared/entry.js", import.meta.url), "utf8");
  const address = `data:text/javascript,${encodeURIComponent(`${moduleSource} // ${Math.random()}`)}`;
  const source = `const MODULE = ${JSON.stringify(address)};\n${entry}`;
  return (await import(`data:text/javascript,${encodeURIComponent(source)}`)).default;
}

function fakeElement() {
  const children = [];
  return {
    children,
    append(child) {
      child.remove = () => children.splice(children.indexOf(child), 1);
      children.push(child);
    },
    querySelector: () => children[0] ?? null,
  };
}

globalThis.document = { baseURI: "http://lab/", createElement: () => ({ setAttribute() {} }) };

test("of the calls before the module arrived only the newest is made, for each element", async () => {
  globalThis.calls = [];
  globalThis.gate = Promise.withResolvers();
  const component = "(call) => { calls.push(call.data); return () => call.data; }";
  const entry = await entryOf(`await gate.promise; export default ${component}`);
  const [one, two] = [fakeElement(), fakeElement()];
  const results = [
    entry({ parentElement: one, data: "old" }),
    entry({ parentElement: two, data: "other" }),
    entry({ parentElement: one, data: "new" }),
  ];
  globalThis.gate.resolve();
  const [overtaken, other, newest] = await Promise.all(results);
  assert.deepEqual(globalThis.calls, ["other", "new"]);
  assert.equal(overtaken, undefined);
  assert.deepEqual([other(), newest()], ["other", "new"]);
});

test("a failed import is said once in the element", async (context) => {
  context.mock.method(console, "error", () => {});
  const entry = await entryOf("throw new Error('no such module')");
  const parentElement = fakeElement();
  for (const data of [1, 2]) assert.equal(await entry({ parentElement, data }), undefined);
  assert.equal(parentElement.children.length, 1);
  assert.match(parentElement.children[0].textContent, /could not be loaded/);
});

test("a component's own fault is Streamlit's to show", async () => {
  const entry = await entryOf("export default () => { throw new Error('a fault'); }");
  await assert.rejects(entry({ parentElement: fakeElement(), data: 1 }), /a fault/);
});
