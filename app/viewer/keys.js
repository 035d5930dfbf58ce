// What each key does, once the pictures have been clicked or tabbed to. `help.js` lists the same keys.

const KEY_PAN = 0.15; // of the visible part
const KEY_OPACITY = 0.1;

const ARROWS = {
  ArrowLeft: [0.5 - KEY_PAN, 0.5],
  ArrowRight: [0.5 + KEY_PAN, 0.5],
  ArrowUp: [0.5, 0.5 - KEY_PAN],
  ArrowDown: [0.5, 0.5 + KEY_PAN],
};

const ACTIONS = {
  "+": (viewer) => viewer.setView(moved(viewer.view, ZOOM_STEP, MIDDLE)),
  "-": (viewer) => viewer.setView(moved(viewer.view, 1 / ZOOM_STEP, MIDDLE)),
  0: (viewer) => viewer.setView(WHOLE),
  Enter: (viewer) => viewer.pin(imagePoint(viewer.view, MIDDLE)),
  Escape: (viewer) => viewer.unpin(),
  b: (viewer) => viewer.setMode("side"),
  w: (viewer) => viewer.setMode("swipe"),
  d: (viewer) => viewer.setMode("difference"),
  c: (viewer) => viewer.setOverlay("classes"),
  e: (viewer) => viewer.setOverlay("error"),
  "[": (viewer) => viewer.setOpacity(clamp(viewer.opacity - KEY_OPACITY, 0, 1)),
  "]": (viewer) => viewer.setOpacity(clamp(viewer.opacity + KEY_OPACITY, 0, 1)),
  o: (viewer) => viewer.setOutlined(!viewer.outlined),
  g: (viewer) => viewer.setGray(!viewer.gray),
  p: (viewer) => viewer.setSafe(!viewer.safe),
  s: (viewer) => viewer.save(),
  f: (viewer) => viewer.toggleFullScreen(),
  "?": (viewer) => viewer.showHelp(),
};
ACTIONS["="] = ACTIONS["+"]; // the same key without shift

function listenToKeys(element, viewer) {
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !viewer.data) return;
    const number = Number(event.key);
    if (ARROWS[event.key] && viewer.view.scale > 1) viewer.setView(moved(viewer.view, 1, ARROWS[event.key], MIDDLE));
    else if (number >= 1 && number <= viewer.panels.length) viewer.showAlone(number - 1);
    else if (ACTIONS[event.key]) ACTIONS[event.key](viewer);
    else return; // unzoomed, the arrows scroll the page
    event.preventDefault();
  });
}
