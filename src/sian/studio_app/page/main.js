// The page: ties the drawing, the panel and the line to the server together.

import { Connection } from "./connection.js";
import { byId, make, toast } from "./dom.js";
import { Files } from "./files.js";
import { toScreen } from "./geometry.js";
import { entry, help, menu, showLines } from "./menus.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Sheet } from "./sheet.js";
import { Stage } from "./stage.js";
import { noAnswer, statusOf } from "./status.js";
import { Toolbar } from "./toolbar.js";
import { filledLike, messageOf, whyNothing } from "./tools.js";
import { kept, waitingStrokes } from "./waiting.js";

const token = new URLSearchParams(location.search).get("token") ?? sessionStorage.getItem("token") ?? "";
sessionStorage.setItem("token", token);
const page = crypto.randomUUID(); // never kept: a duplicated tab copies its session storage, and must be another page

/** @type {import("./tools.js").Options} */
const options = { radius: 7, organ: "", density: 1, seed: 1, kind: "", tissueRadius: 24, fibres: 0.5 };
/** @type {Record<string, any>} */
let state = {};
/** @type {[number, number][][]} */
let outlines = [];
let outlineSeed = 0;
let connected = false;
const TRY_EVERY = 120; // ms between two paintings of a stroke that is not yet at its end
let triedAt = 0;
let awaited = false; // a try was sent whose pixels have not come
/** @type {Map<number, {ended: number, revision: number | null}>} */
const strokes = new Map(); // that wait for their pixels
const measured = {
  /** @type {number[]} ms from the end of a stroke to its pixels on the screen */
  latencies: [],
  painted: 0,
  settled: () => !!state.revision && state.settled === state.revision,
  get picture() {
    return picture;
  },
  state: () => state,
  stage: () => stage,
  unanswered: () => connection.unanswered.length,
  toScreen: (/** @type {number} */ x, /** @type {number} */ y) => {
    const box = byId("stage").getBoundingClientRect();
    const point = toScreen(stage.view, [x, y]);
    return [point[0] + box.left, point[1] + box.top];
  },
};
/** @type {any} */ (window).sianStudio = measured; // what the browser tests and the benchmark read

const picture = new Picture();
/** @type {Stage} */
const stage = new Stage(byId("stage"), picture, {
  gesture: (points, under) => {
    const message = messageOf(stage.tool, points, under, { ...options, organ: toolbar.organ() });
    awaited = false;
    if (!message) connection.mention({ op: "try" });
    if (!message) return tell(whyNothing(stage.tool, points));
    if (message.op === "fill") options.seed++;
    say(message);
  },
  trying: (points, under) => {
    if (performance.now() - triedAt < TRY_EVERY || awaited) return;
    const gesture = messageOf(stage.tool, points, under, options);
    if (!gesture || (gesture.op !== "draw" && gesture.op !== "erase")) return;
    triedAt = performance.now();
    awaited = true;
    connection.mention({ op: "try", gesture });
  },
  pen: (down) => connection.mention({ op: "pen", down }),
  abandoned: () => {
    connection.mention({ op: "try" });
    connection.mention({ op: "pen", down: false });
    awaited = false;
  },
  stampTurned: () => toolbar.showOptions(),
  zoomed: (scale) => {
    byId("zoom").textContent = `${Math.round(100 * scale)} %`;
  },
  transform: (nucleus, way) => say({ op: "transform", nucleus, ...way }),
  stamp: (points) => {
    say({ op: "draw", points, radius: 0 });
    nextOutline();
  },
});

const files = new Files(token, () => measured.settled());

/** @param {string} name */
const wear = (name) => say({ op: "settings", style: { [name]: 1 } });
const sheet = new Sheet(files, wear);

const toolbar = new Toolbar(stage, options, {
  outline: () => nextOutline(),
  organ: () => {
    outlines = [];
    if (stage.tool === "stamp") nextOutline();
  },
  forget: () => say({ op: "tissue", what: "forget" }),
});

const panel = new Panel(byId("panel"), {
  settings: (settings) => say({ op: "settings", ...settings }),
  cancel: () => say({ op: "do", what: "cancel" }),
  mode: (mode) => setMode(/** @type {import("./stage.js").Mode} */ (mode)),
  opacity: (opacity) => {
    stage.opacity = opacity;
    stage.draw();
  },
  thumbnail: async (name) => URL.createObjectURL(await files.blob(`/thumb?style=${encodeURIComponent(name)}`)),
  sheet: () => sheet.toggle(),
  pickStyle: () => files.pick(".png,.tif,.tiff,.jpg,.jpeg,.webp,.json", "style"),
});

const connection = new Connection(
  `ws://${location.host}/socket?token=${encodeURIComponent(token)}&page=${encodeURIComponent(page)}`,
  heard,
  (open) => {
    connected = open;
    belowOf = "?"; // a server that was started again counts its pictures anew
    showStatus();
    if (!open) return;
    askForFacts();
    panel.loadMissing();
  },
);

stage.unanswered = () => waitingStrokes(connection.unanswered);

// --- what the server says ---------------------------------------------------------------------------------------

/** @param {Record<string, any>} head @param {Uint8Array} payload */
function heard(head, payload) {
  if (head.type === "mask") takeMask(head, payload);
  else if (head.type === "tissue") {
    picture.setCells(rectOf(head), payload, head.size);
    stage.draw();
  } else if (head.type === "pixels") takePixels(head, payload);
  else if (head.type === "state") takeState(head);
  else if (head.type === "done") takeDone(head);
  else if (head.type === "refused") {
    strokes.delete(head.n);
    stage.draw();
    toast(head.sentence, true);
  } else if (head.type === "remark") toast(head.sentence, head.bad);
  else if (head.type === "sheet") files.showLastSheet(head.sentence);
}

/** @param {Record<string, any>} head @param {Uint8Array} payload */
function takeMask(head, payload) {
  const [height, width] = head.size;
  if (head.resized && (width !== picture.width || height !== picture.height)) {
    picture.resize(width, height);
    stage.fit();
  } else if (head.resized) picture.unpaint();
  picture.setClasses(head.classes, head.resized);
  picture.setIds(rectOf(head), payload);
  stage.shape = undefined;
  stage.draw();
}

/** @param {Record<string, any>} head @param {Uint8Array} payload */
function takePixels(head, payload) {
  if (head.left + head.width > picture.width || head.top + head.height > picture.height) return;
  picture.setPixels(rectOf(head), payload);
  measured.painted++;
  awaited = false;
  for (const [number, stroke] of strokes) {
    if (stroke.revision === null || head.revision < stroke.revision) continue;
    strokes.delete(number);
    stage.afterDrawing.push(() => measured.latencies.push(performance.now() - stroke.ended));
  }
  stage.draw();
}

/** @param {Record<string, any>} head */
function takeState(head) {
  state = head;
  panel.show(head);
  const without = head.unclassed ? `, ${head.unclassed} without a class` : "";
  byId("name").textContent = `${head.name} · ${head.width} × ${head.height} px · ${head.nuclei} ${head.nuclei === 1 ? "nucleus" : "nuclei"}${without}`;
  byId("undo").disabled = !head.undo;
  byId("redo").disabled = !head.redo;
  byId("synthetic").textContent = `Synthetic tissue, not for diagnosis · ${head.licence}`;
  showBelow(head);
  showTiles(head);
  byId("empty").hidden = head.nuclei > 0 || head.undo > 0;
  toolbar.wear(head.style);
  showStatus();
}

let belowOf = ""; // of which drawing the picture below was loaded

/** Load the real picture that the drawing lies on. @param {Record<string, any>} head */
async function showBelow(head) {
  const wanted = head.below ? `${head.below} ${head.name}` : "";
  if (wanted === belowOf) return;
  belowOf = wanted;
  stage.below = null;
  byId("titles").firstElementChild.textContent = wanted ? "Real picture, nuclei outlined" : "Nuclei";
  byId("titles").lastElementChild.textContent = wanted ? "Painted again (synthetic)" : "Tissue (synthetic)";
  stage.draw();
  if (!wanted) return;
  try {
    const found = await createImageBitmap(await files.blob("/below.png"));
    if (belowOf !== wanted) return; // another drawing was opened meanwhile
    stage.below = found;
    stage.draw();
  } catch {
    if (belowOf === wanted) belowOf = ""; // the server went away, or the drawing is another one: the next state says
  }
}

/** @param {Record<string, any>} head */
function showTiles(head) {
  const bar = byId("tiles");
  bar.hidden = !head.tiles && !head.below;
  byId("tile-place").textContent = head.tiles ? `Tile ${head.tiles.place} of ${head.tiles.count}` : "";
  for (const id of ["tile-before", "tile-next", "tile-keep", "tile-tune"]) byId(id).hidden = !head.tiles;
  byId("tile-keep").disabled = !head.item;
}

/** @param {Record<string, any>} head */
function takeDone(head) {
  const stroke = strokes.get(head.n);
  if (stroke && head.revision) stroke.revision = head.revision;
  stage.draw();
  if (head.outlines) {
    outlines = head.outlines;
    nextOutline();
  }
  if (head.sentence) toast(head.sentence);
  if (head.added) toast(`${head.added} invented nuclei like ${head.organ}'s.`);
}

/** @param {Record<string, any>} head */
function rectOf(head) {
  return { left: head.left, top: head.top, width: head.width, height: head.height };
}

/** Where things stand, and what is wrong. */
function showStatus() {
  const trouble = !connected && !!state.revision;
  byId("status").classList.toggle("bad", trouble);
  byId("status").textContent = statusOf(state, connected);
  byId("trouble").hidden = !trouble;
  byId("trouble").textContent = trouble ? noAnswer(kept(connection.unanswered)) : "";
}

// --- what is said to the server -----------------------------------------------------------------------------------

/** @param {Record<string, any>} message */
function say(message) {
  const number = connection.say(message);
  showStatus();
  stage.draw(); // while the server is away nothing else shows what was taken back
  if (message.op !== "settings") strokes.set(number, { ended: performance.now(), revision: null });
}

/** @param {string} sentence */
function tell(sentence) {
  if (sentence) toast(sentence);
}

async function askForFacts() {
  toolbar.know(await (await files.ask("/facts")).json());
}

/** Stamp another outline; more are asked for when the last is taken. */
function nextOutline() {
  const next = outlines.shift();
  if (next) stage.stampOutline = next;
  if (!outlines.length) connection.say({ op: "outlines", organ: toolbar.organ(), seed: outlineSeed++ });
  stage.draw();
}

/** @param {import("./stage.js").Mode} mode */
function setMode(mode) {
  byId("titles").hidden = mode !== "side";
  stage.setMode(mode);
}

// --- menus ------------------------------------------------------------------------------------------------------

function listenToMenus() {
  menu("open", "open-menu", () => [
    entry(toolbar.facts.tissue ? "Mask, picture or tissue map ..." : "Mask or picture ...", "PNG, TIFF, GeoJSON; or drop it anywhere", () => files.pick("", "")),
    make("hr"),
    ...toolbar.facts.examples.map((name) => entry(`Example: ${name}`, "", () => say({ op: "example", name }))),
    make("hr"),
    ...[256, 512, 1000].map((side) => entry(`Empty, ${side} × ${side} px`, "", () => say({ op: "new", width: side, height: side }))),
  ]);
  menu("save", "save-menu", () => [
    entry("Picture (PNG)", "says inside that it is synthetic", () => files.download("image")),
    entry("Mask (16-bit PNG)", "one id a nucleus", () => files.download("mask")),
    entry("Outlines (GeoJSON)", "for QuPath", () => files.download("outlines")),
    ...(toolbar.facts.classes.length ? [entry("Classes (JSON)", "of the nuclei; keep it beside the mask", () => files.download("classes"))] : []),
    ...(toolbar.facts.tissue ? [entry("Tissue map (.npy)", "for --tissue on the command line", () => files.download("tissue"))] : []),
    entry("Style (JSON)", "for --style on the command line", () => files.download("style")),
    make("hr"),
    entry("Into the data set", "sian-studio/dataset: picture and mask", () => files.keepItem()),
    entry("Copy the picture", "", () => files.copyPicture()),
    entry("Command line and Python ...", "that make the same picture", async () => showLines(await (await files.ask("/lines")).json())),
  ]);
  for (const button of document.querySelectorAll("#empty button")) {
    button.addEventListener("click", () => say({ op: "example", name: /** @type {HTMLElement} */ (button).dataset.example }));
  }
}

// --- keys and looks -----------------------------------------------------------------------------------------------

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (byId("dialog").open || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName)) return;
  if (event.ctrlKey || event.metaKey) {
    const key = event.key.toLowerCase();
    if (key === "z") say({ op: event.shiftKey ? "redo" : "undo" });
    else if (key === "y") say({ op: "redo" });
    else if (key === "s") files.download("image");
    else return;
    event.preventDefault();
    return;
  }
  if (target === byId("stage") && stage.key(event)) return event.preventDefault();
  if (target.closest("[role=radiogroup]") && event.key === " ") return;
  plainKey(event.key.toLowerCase());
}

/** @param {string} key */
function plainKey(key) {
  const tool = toolbar.toolOf(key);
  if (tool) toolbar.setTool(tool);
  else if (key === "?") help(toolbar.facts);
  else if (key === "r") panel.dice();
  else if (key === "g") sheet.toggle();
  else if (key === "escape") sheet.close();
  else if (key === "n" && stage.tool === "stamp") nextOutline();
  else if (key === "0") stage.fit();
  else if (key === "+" || key === "=") stage.zoom(1.25);
  else if (key === "-") stage.zoom(0.8);
  else if (key === "1" || key === "2" || key === "3") panel.setMode(["side", "overlay", "outlines"][Number(key) - 1]);
  else if (key === "[" || key === "]") toolbar.resize(key === "]" ? 1.15 : 1 / 1.15);
}

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  stage.draw();
}

listenToMenus();
document.addEventListener("keydown", onKey);
byId("tile-before").addEventListener("click", () => say({ op: "tile", step: -1 }));
byId("tile-next").addEventListener("click", () => say({ op: "tile", step: 1 }));
byId("tile-keep").addEventListener("click", () => say({ op: "do", what: "keep tile" }));
byId("tile-compare").addEventListener("click", () => say({ op: "do", what: "compare" }));
byId("tile-tune").addEventListener("click", () => say({ op: "do", what: "finetune" }));
byId("tile-adapt").addEventListener("click", () => say({ op: "do", what: "adapt" }));
byId("undo").addEventListener("click", () => say({ op: "undo" }));
byId("redo").addEventListener("click", () => say({ op: "redo" }));
byId("help").addEventListener("click", () => help(toolbar.facts));
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
setTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
