// The tools: what a gesture of each one means, as a message to the server.

/** @typedef {import("./geometry.js").Point} Point */
/**
 * @typedef {object} Tool
 * @property {string} key of the keyboard
 * @property {string} label
 * @property {string} hint what to do, in a sentence
 * @property {string} icon path of a 24 x 24 drawing
 * @property {"brush" | "outline" | "line" | "drag" | "stamp" | "pick" | "pan"} kind of gesture
 * @property {"tissue" | "classes"} [needs] what a model must know
 */

/** @type {Record<string, Tool>} */
export const TOOLS = {
  brush: {
    key: "b",
    label: "Brush",
    hint: "Press and drag: each stroke is a new nucleus.",
    icon: "M4 20c3 0 4-2 4-4l9-12 3 3-11 10c0 3-3 4-5 3z",
    kind: "brush",
  },
  outline: {
    key: "o",
    label: "Outline",
    hint: "Drag around a nucleus; it closes when you let go.",
    icon: "M6 8c3-5 12-4 13 2s-5 9-9 8-7-5-4-10z",
    kind: "outline",
  },
  stamp: {
    key: "s",
    label: "Stamp",
    hint: "Click to place an invented nucleus. Wheel: size. Shift and wheel: angle. N: another one.",
    icon: "M12 4a5 4 0 015 4c0 3-2 3-2 5h4v3H5v-3h4c0-2-2-2-2-5a5 4 0 015-4zM5 19h14",
    kind: "stamp",
  },
  fill: {
    key: "f",
    label: "Fill",
    hint: "Drag around an area: it is filled with invented nuclei.",
    icon: "M4 12c1-7 15-8 16-1s-6 8-9 8-7-1-7-7zM9 10h.1M14 9h.1M12 14h.1M16 13h.1",
    kind: "outline",
  },
  add: {
    key: "a",
    label: "Add to",
    hint: "Begin on a nucleus and drag: what you cover becomes part of it.",
    icon: "M4 12a8 6 0 1016 0 8 6 0 10-16 0M12 9v6M9 12h6",
    kind: "brush",
  },
  erase: {
    key: "e",
    label: "Erase",
    hint: "Drag over what is to go.",
    icon: "M4 16l9-10 7 6-7 8H8zM9 11l6 6",
    kind: "brush",
  },
  move: {
    key: "m",
    label: "Move",
    hint: "Drag a nucleus. Wheel: turn it.",
    icon: "M12 3v18M3 12h18M12 3l-2 2M12 3l2 2M12 21l-2-2M12 21l2-2M3 12l2-2M3 12l2 2M21 12l-2-2M21 12l-2 2",
    kind: "drag",
  },
  split: {
    key: "x",
    label: "Split",
    hint: "Draw a cut right through a nucleus.",
    icon: "M5 8c4-5 10-4 14 0s0 9-7 9S1 13 5 8zM14 3l-5 18",
    kind: "line",
  },
  merge: {
    key: "j",
    label: "Merge",
    hint: "Drag from one nucleus to another: they become one.",
    icon: "M3 12a5 4 0 1010 0 5 4 0 10-10 0M11 12a5 4 0 1010 0 5 4 0 10-10 0",
    kind: "line",
  },
  delete: {
    key: "d",
    label: "Delete",
    hint: "Click a nucleus, or drag around several.",
    icon: "M6 7h12l-1 13H7zM4 7h16M9 7V4h6v3",
    kind: "pick",
  },
  classify: {
    key: "c",
    label: "Class",
    hint: "Click a nucleus, or drag around several: they get the class that is chosen below the tools.",
    icon: "M4 12l8-8h8v8l-8 8zM16 8h.1",
    kind: "pick",
    needs: "classes",
  },
  lumen: {
    key: "l",
    label: "Lumen",
    hint: "Drag where nothing is: the inside of a gland or a vessel, a tear.",
    icon: "M4 12a8 7 0 1016 0 8 7 0 10-16 0M8 12a4 3 0 108 0 4 3 0 10-8 0",
    kind: "brush",
    needs: "tissue",
  },
  stroma: {
    key: "t",
    label: "Stroma",
    hint: "Drag along fibres: they run the way you draw.",
    icon: "M4 8c4-4 6 4 10 0s4 0 6 0M4 13c4-4 6 4 10 0s4 0 6 0M4 18c4-4 6 4 10 0s4 0 6 0",
    kind: "brush",
    needs: "tissue",
  },
  plain: {
    key: "p",
    label: "Plain",
    hint: "Drag over lumen, stroma or a gap: it becomes ordinary tissue.",
    icon: "M5 5h14v14H5zM5 19L19 5",
    kind: "brush",
    needs: "tissue",
  },
  pan: {
    key: "h",
    label: "Pan",
    hint: "Drag to move the picture. Wheel or two fingers: zoom.",
    icon: "M8 12V6a1.5 1.5 0 013 0v5V4a1.5 1.5 0 013 0v7V6a1.5 1.5 0 013 0v9c0 4-3 6-6 6s-5-3-7-7c1-2 3-1 4 0z",
    kind: "pan",
  },
};

/**
 * @typedef {object} Options
 * @property {number} radius px of the brush
 * @property {string} organ whose nuclei are invented; "" for the style's
 * @property {number} density
 * @property {number} seed of what is filled
 * @property {string} kind class of new nuclei; "" for none
 * @property {number} tissueRadius px of the brush for lumen and stroma
 * @property {number} fibres density of drawn stroma, -1 to 1
 */

/** The tools that a model knows how to follow. @param {{classes: string[], tissue: boolean}} facts */
export function toolsFor(facts) {
  const known = { classes: facts.classes.length > 0, tissue: facts.tissue };
  return Object.entries(TOOLS).filter(([, tool]) => !tool.needs || known[tool.needs]);
}

/**
 * What a finished gesture asks for; null for nothing.
 * @param {string} tool @param {Point[]} points in the picture @param {number} under id where it began
 * @param {Options} options
 * @returns {Record<string, any> | null}
 */
export function messageOf(tool, points, under, options) {
  const way = points.map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
  if (!way.length) return null;
  switch (tool) {
    case "brush":
      return { op: "draw", points: way, radius: options.radius, kind: options.kind };
    case "outline":
      return way.length < 3 ? null : { op: "draw", points: way, radius: 0, kind: options.kind };
    case "add":
      return under ? { op: "draw", points: way, radius: options.radius, into: under } : null;
    case "erase":
      return { op: "erase", points: way, radius: options.radius };
    case "fill":
      return way.length < 3
        ? null
        : { op: "fill", points: way, organ: options.organ, density: options.density, seed: options.seed, kind: options.kind };
    case "split":
      return way.length < 2 ? null : { op: "split", points: way };
    case "merge":
      return way.length < 2 ? null : { op: "merge", points: way };
    case "delete":
      if (isClick(points)) return under ? { op: "delete", ids: [under] } : null;
      return { op: "delete", points: way };
    case "classify":
      if (isClick(points)) return under ? { op: "classify", ids: [under], kind: options.kind } : null;
      return { op: "classify", points: way, kind: options.kind };
    case "lumen":
    case "stroma":
    case "plain":
      return { op: "tissue", what: tool, points: way, radius: options.tissueRadius, density: options.fibres };
    default:
      return null;
  }
}

const WITHOUT = "kidney"; // whose nuclei are invented where none are known of the style's organ

/**
 * Whose nuclei Fill and Stamp invent, and why if it is not what was asked for.
 * @param {string} asked an organ, or "" for the style's
 * @param {Record<string, number>} style parts by name, e.g. {"kidney/ffpe": 0.7, breast: 0.3}
 * @param {string[]} organs of which nuclei are known
 * @returns {{organ: string, note: string}}
 */
export function filledLike(asked, style, organs) {
  if (asked) return { organ: asked, note: "" };
  const largest = Object.entries(style).sort((one, other) => other[1] - one[1])[0]?.[0] ?? "";
  const organ = largest.split(/[/#]/)[0];
  if (organs.includes(organ)) return { organ, note: `Now ${organ}'s.` };
  const instead = organs.includes(WITHOUT) ? WITHOUT : (organs[0] ?? WITHOUT);
  const why = organ.startsWith("@") ? "A picture's style names no organ" : `No nuclei of ${organ} are known`;
  return { organ: instead, note: organ ? `${why}: ${instead}'s are taken.` : "" };
}

/** Whether a gesture stays in one place. @param {Point[]} points */
export function isClick(points) {
  const [x, y] = points[0];
  return points.every((point) => Math.hypot(point[0] - x, point[1] - y) < 3);
}

/** Why a gesture means nothing, in a sentence; empty where it needs none. @param {string} tool @param {Point[]} points */
export function whyNothing(tool, points) {
  if (tool === "add") return "Begin on the nucleus that is to grow.";
  if (tool === "delete" || tool === "classify" || tool === "move") return "No nucleus lies there.";
  if ((tool === "outline" || tool === "fill") && !isClick(points)) return "Drag all the way around.";
  if (tool === "outline" || tool === "fill") return "Press, drag around it, and let go.";
  return "";
}
