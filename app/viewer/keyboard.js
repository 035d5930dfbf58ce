// The action of each key, once the images have the focus. `help.js` lists the same keys.

import { MIDDLE, WHOLE, ZOOM_STEP, clamp, imagePoint, moved } from "./view.js";

const KEY_PAN = 0.15; // of the visible part
const KEY_OPACITY = 0.1;

const ARROWS = {
  ArrowLeft: [0.5 - KEY_PAN, 0.5],
  ArrowRight: [0.5 + KEY_PAN, 0.5],
  ArrowUp: [0.5, 0.5 - KEY_PAN],
  ArrowDown: [0.5, 0.5 + KEY_PAN],
};

const flip = (viewer, name) => viewer.setLook({ [name]: !viewer.look[name] });
const changeOpacity = (viewer, change) => viewer.setLook({ opacity: clamp(viewer.look.opacity + change, 0, 1) });

const ACTIONS = {
  "+": (viewer) => viewer.setView(moved(viewer.view, ZOOM_STEP, MIDDLE)),
  "-": (viewer) => viewer.setView(moved(viewer.view, 1 / ZOOM_STEP, MIDDLE)),
  0: (viewer) => viewer.setView(WHOLE),
  Enter: (viewer) => viewer.pointer.pin(imagePoint(viewer.view, MIDDLE)),
  Escape: (viewer) => viewer.pointer.unpin(),
  b: (viewer) => viewer.setMode("side"),
  w: (viewer) => viewer.setMode("swipe"),
  d: (viewer) => viewer.setMode("difference"),
  c: (viewer) => viewer.setLook({ overlay: "classes" }),
  e: (viewer) => viewer.setLook({ overlay: "error" }),
  "[": (viewer) => changeOpacity(viewer, -KEY_OPACITY),
  "]": (viewer) => changeOpacity(viewer, KEY_OPACITY),
  o: (viewer) => flip(viewer, "outlined"),
  g: (viewer) => flip(viewer, "gray"),
  p: (viewer) => flip(viewer, "safe"),
  t: (viewer) => viewer.toggleTable(),
  s: (viewer) => viewer.save(),
  f: (viewer) => viewer.toggleFullScreen(),
  "?": (viewer) => viewer.showHelp(),
};
ACTIONS["="] = ACTIONS["+"]; // the same key without shift

export function listenToKeys(element, viewer) {
  element.addEventListener("keydown", (event) => {
    if (viewer.data && !event.altKey && viewer.editor.key(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !viewer.data) return;
    const number = Number(event.key);
    if (ARROWS[event.key] && viewer.view.scale > 1) viewer.setView(moved(viewer.view, 1, ARROWS[event.key], MIDDLE));
    else if (number >= 1 && number <= viewer.panels.length) viewer.showAlone(number - 1);
    else if (ACTIONS[event.key]) ACTIONS[event.key](viewer);
    else return; // unzoomed, the arrows scroll the page
    event.preventDefault();
    event.stopPropagation(); // the page's own shortcuts would go to another frame as well
  });
}
