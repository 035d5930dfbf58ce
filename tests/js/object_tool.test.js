import assert from "node:assert/strict";
import { test } from "node:test";

import { ObjectTool } from "../../app/viewer/object_tool.js";

const SIZE = { width: 4, height: 2 };
const LEFT = [1, 1, 0, 0, 1, 1, 0, 0]; // an object of the left half

// The tool on a mask of zeros, what it asked, what it said, and answers that come when they are told to.
function opened(object = LEFT) {
  const [asked, told, waiting] = [[], [], []];
  const mask = new Uint8Array(8);
  const tool = new ObjectTool({
    tell: (text) => told.push(text),
    apply(before, covered, value) {
      const now = mask.slice();
      if (before) mask.set(before);
      covered.forEach((isOn, i) => isOn && (mask[i] = value));
      return before ?? now;
    },
    fetch: (address, prompts) => {
      asked.push(structuredClone(prompts));
      return new Promise((resolve, reject) => waiting.push({ resolve: (values) => resolve(values && { ...SIZE, values: Uint8Array.from(values) }), reject }));
    },
  });
  const click = (from, to = from, shift = false) => {
    tool.press(from);
    return tool.release("/lab/object", to, 100, SIZE, 7, shift);
  };
  const answer = async (done, values = object) => {
    waiting.at(-1).resolve(values);
    await done;
  };
  return { tool, asked, told, waiting, mask, click, answer };
}

test("a click asks for the object under it, and paints it", async () => {
  const { asked, told, mask, click, answer } = opened();
  await answer(click([1, 1]));
  assert.deepEqual(asked, [{ points: [[0.25, 0.5, 1]], box: null }]);
  assert.deepEqual([...mask], LEFT.map((isOn) => 7 * isOn));
  assert.equal(told.at(-1), "");
});

test("what is drawn is a box, from whichever corner", async () => {
  const { tool, asked, click, answer } = opened();
  await answer(click([3, 2], [1, 1]));
  assert.deepEqual(asked, [{ points: [], box: [0.25, 0.5, 0.75, 1] }]);
  tool.press([1, 1]);
  assert.equal(tool.boxTo([1.01, 1.01], 100).length, 0, "a hand that trembles draws none");
  assert.equal(tool.boxTo([2, 2], 100).length, 4);
});

test("with Shift a click on the object takes from it and one beside it adds, and the old one is gone", async () => {
  const { asked, mask, click, answer } = opened();
  await answer(click([0, 0]));
  await answer(click([1, 1], [1, 1], true), [1, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(asked[1].points, [[0, 0, 1], [0.25, 0.5, 0]]);
  assert.deepEqual([...mask], [7, 0, 0, 0, 7, 0, 0, 0]);
  await answer(click([3, 0], [3, 0], true), [1, 1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual(asked[2].points.at(-1), [0.75, 0, 1]);
});

test("without Shift another object begins, and the first one stays", async () => {
  const { asked, mask, click, answer } = opened();
  await answer(click([0, 0]));
  await answer(click([3, 0]), [0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual(asked[1].points, [[0.75, 0, 1]]);
  assert.deepEqual([...mask], [7, 7, 0, 7, 7, 7, 0, 7]);
});

test("an answer that comes after a newer question, or after other painting, paints nothing", async () => {
  const { tool, mask, waiting, click, answer } = opened();
  const first = click([0, 0]);
  const second = click([3, 0]);
  waiting[0].resolve(LEFT);
  await first;
  assert.ok(mask.every((value) => value === 0));
  tool.forget();
  await answer(second);
  assert.ok(mask.every((value) => value === 0));
});

test("a photograph is looked at once, and what failed is said", async () => {
  const { tool, asked, told, waiting, click } = opened();
  const look = tool.look("/lab/object");
  waiting[0].resolve(null);
  await look;
  await tool.look("/lab/object");
  assert.equal(asked.length, 1);
  const done = click([0, 0]);
  waiting.at(-1).reject(new Error("MobileSAM isn't on this machine."));
  await done;
  assert.equal(told.at(-1), "MobileSAM isn't on this machine.");
});
