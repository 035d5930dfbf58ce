// The tools of painting by their names: their keys, what they are called, and what they do.
export const TOOLS = {
  move: ["v", "Move", "drag and zoom the picture"],
  brush: ["b", "Brush", "paint the class; its size by , and . or Alt and the wheel"],
  eraser: ["x", "Eraser", "take labels away"],
  polygon: ["l", "Polygon", "click corners, with Shift on the nearest edge, or draw around it; Enter closes"],
  superpixel: ["j", "Superpixel", "paint small pieces that follow the picture's edges"],
  object: ["i", "Object", "click an object or draw a box around it; Shift and a click add to it, or take from it"],
  fill: ["k", "Fill", "paint what is connected and of about this colour"],
  piece: ["r", "Piece", "give a whole piece of the mask this class"],
  take: ["n", "Network", "take the piece that a network sees here"],
};
