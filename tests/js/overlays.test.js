// Overlays, modes and readings: which panels have which, and what they say, A against B among them.

import assert from "node:assert/strict";
import test from "node:test";

import { allowed, modesFor, withPanel } from "../../app/viewer/modes.js";
import { colorKeyOf, coloring, overlaysFor, summaryOf } from "../../app/viewer/overlays.js";
import { heatValue, readingAt, wrongMark } from "../../app/viewer/reading.js";

const CLASSES = ["road", "sky", "pole"];
const COLORS = [[10, 0, 0], [20, 0, 0], [30, 0, 0]];
const mapOf = (...values) => ({ width: values.length, height: 1, values: Uint8Array.from(values) });
const panelOf = (title, labels, spec = {}) => ({ spec: { title, heat: false, is_truth: false, ...spec }, labels });

const truth = panelOf("Truth", mapOf(0, 1, 2, 255), { is_truth: true });
const first = panelOf("A", mapOf(0, 1, 0, 0));
const second = panelOf("B", mapOf(0, 2, 2, 1));
const heat = panelOf("Heat", mapOf(0, 255), { heat: true, low: -2, high: 8, power: 2 });

const sceneOf = (changes) => ({
  overlay: "classes",
  mode: "side",
  classCount: 3,
  colors: COLORS,
  hidden: new Set(),
  outlined: false,
  reach: 2,
  truth,
  first,
  second,
  networks: [first, second],
  ...changes,
});

function painted(panel, scene) {
  const { map, paint } = coloring(panel, scene);
  const rgba = new Uint32Array(map.values.length);
  paint(rgba);
  return [...rgba].map((word) => [...new Uint8Array(Uint32Array.of(word).buffer)]);
}

test("an overlay is offered where a panel has it", () => {
  const specs = (...panels) => panels.map((panel) => panel.spec);
  assert.deepEqual(overlaysFor(specs(first)), ["classes"]);
  assert.deepEqual(overlaysFor(specs(first, second)), ["classes", "against", "apart"]);
  assert.deepEqual(overlaysFor(specs(truth, first)), ["classes", "error", "band", "against"]);
  const sure = { ...first.spec, confidence: "/a", entropy: "/b" };
  assert.deepEqual(overlaysFor([sure]), ["classes", "confidence", "entropy"]);
});

test("modes need panels, and a difference needs two label maps", () => {
  assert.deepEqual(modesFor([first.spec]), ["side"]);
  assert.deepEqual(modesFor([first.spec, heat.spec]), ["side", "single", "swipe"]);
  assert.deepEqual(modesFor([first.spec, second.spec]), ["side", "single", "swipe", "difference"]);
});

test("two networks are compared at first, and a requested pair where it fits", () => {
  const specs = [truth.spec, first.spec, second.spec];
  assert.deepEqual(allowed({ mode: "swipe", pair: null }, specs), { mode: "swipe", pair: [1, 2] });
  assert.deepEqual(allowed({ mode: "difference", pair: [0, 2] }, specs), { mode: "difference", pair: [0, 2] });
  assert.deepEqual(allowed({ mode: "swipe", pair: [0, 7] }, specs), { mode: "swipe", pair: [1, 2] });
  assert.deepEqual(allowed({ mode: "difference", pair: [0, 1] }, [first.spec, heat.spec]).mode, "side");
});

test("a panel that is chosen as A leaves B, and the other way round", () => {
  assert.deepEqual(withPanel([1, 2], 0, 0), [0, 2]);
  assert.deepEqual(withPanel([1, 2], 0, 2), [2, 1]);
  assert.deepEqual(withPanel([1, 2], 1, 1), [2, 1]);
});

test("where networks differ, every panel shows by how many of them", () => {
  const third = panelOf("C", mapOf(0, 2, 0, 0));
  const scene = sceneOf({ overlay: "apart", networks: [first, second, third] });
  // A, B, C see 0 0 0, then 1 2 2, 0 2 0 and 0 1 0: none of their three pairs differs, and then two.
  const brightness = painted(first, scene).map(([red, green, blue]) => red + green + blue);
  assert.ok(brightness[0] < brightness[1]);
  assert.deepEqual(brightness.slice(2), [brightness[1], brightness[1]]);
  assert.deepEqual(painted(truth, scene), painted(first, scene));
  assert.equal(summaryOf(first, scene), "50.0\u00a0% other than the others, on average");
  assert.equal(summaryOf(truth, scene), "");
  assert.equal(colorKeyOf(scene), "heat");
  const two = sceneOf({ overlay: "apart" });
  assert.equal(summaryOf(second, two), "75.0\u00a0% other than the other one");
  assert.equal(coloring(first, sceneOf({ overlay: "apart", networks: [first] })), null);
});

test("right and wrong against the truth, unlabelled pixels dark", () => {
  const scene = sceneOf({ overlay: "error" });
  const colors = painted(first, scene);
  assert.deepEqual(colors[0], [86, 180, 233, 110]);
  assert.deepEqual(colors[2], [213, 94, 0, 255]);
  assert.deepEqual(colors[3], [40, 40, 40, 255]);
  assert.equal(summaryOf(first, scene), "33.3\u00a0% wrong");
  assert.equal(summaryOf(truth, scene), "");
  assert.deepEqual(colorKeyOf(scene).map(([, text]) => text), ["Right", "Wrong", "Not labelled"]);
});

test("differences of A from B: own class where they differ, clear elsewhere", () => {
  const scene = sceneOf({ overlay: "against" });
  assert.deepEqual(painted(first, scene), [[0, 0, 0, 0], [20, 0, 0, 255], [10, 0, 0, 255], [10, 0, 0, 255]]);
  assert.equal(summaryOf(first, scene), "75.0\u00a0% other than B");
});

test("the difference mode says who is right", () => {
  const scene = sceneOf({ mode: "difference" });
  const [same, onlyFirst, onlySecond, unlabelled] = painted(first, scene);
  assert.deepEqual([same, unlabelled], [[0, 0, 0, 0], [0, 0, 0, 0]]);
  assert.deepEqual(onlyFirst, [0, 114, 178, 255]);
  assert.deepEqual(onlySecond, [230, 159, 0, 255]);
  assert.equal(summaryOf(first, scene), "They differ on 66.7\u00a0%");
  assert.equal(colorKeyOf(scene).length, 3);
  assert.equal(colorKeyOf(sceneOf({ mode: "difference", truth: null })).length, 1);
});

test("a panel without the map of an overlay is not colored, and says so", () => {
  const scene = sceneOf({ overlay: "confidence" });
  assert.equal(coloring({ ...first, confidence: null }, scene), null);
  assert.equal(summaryOf({ ...first, confidence: null }, scene), "No confidence was given");
  assert.equal(colorKeyOf(scene), "heat");
});

test("a reading names class, confidence and entropy, and the true class where it is wrong", () => {
  const panel = { ...first, confidence: mapOf(51, 51, 51, 51), entropy: mapOf(255, 0, 0, 0) };
  const right = readingAt([0, 0], panel, truth, CLASSES, COLORS);
  assert.deepEqual([right.text, right.isWrong], ["road 20\u00a0%, entropy 100\u00a0%", false]);
  const wrong = readingAt([0.6, 0], panel, truth, CLASSES, COLORS);
  assert.deepEqual([wrong.isWrong, wrongMark(wrong, true), wrongMark(wrong, false)], [true, "≠", "≠ pole"]);
  assert.equal(readingAt([0.9, 0], panel, truth, CLASSES, COLORS).isWrong, false); // the truth has no class there
  assert.equal(readingAt([0.9, 0], truth, truth, CLASSES, COLORS).text, "truth: not labelled");
  assert.equal(readingAt([0, 0], { ...first, labels: null }, truth, CLASSES, COLORS), null);
});

test("a heat map reads its value", () => {
  assert.equal(heatValue(heat.spec, 0), -2);
  assert.equal(heatValue(heat.spec, 255), 8);
  assert.equal(readingAt([0, 0], heat, null, CLASSES, COLORS).text, "−2");
});
