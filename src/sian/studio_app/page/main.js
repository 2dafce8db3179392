// The page: ties the drawing, the panel and the line to the server together.

import { Connection } from "./connection.js";
import { byId, choose, icon, make, radios, toast } from "./dom.js";
import { clamp, toScreen } from "./geometry.js";
import { dialog, entry, help, menu, showLines } from "./menus.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Stage } from "./stage.js";
import { TOOLS, messageOf, whyNothing } from "./tools.js";

const token = new URLSearchParams(location.search).get("token") ?? sessionStorage.getItem("token") ?? "";
sessionStorage.setItem("token", token);
const page = crypto.randomUUID(); // never kept: a duplicated tab copies its session storage, and must be another page

/** @type {import("./tools.js").Options} */
const options = { radius: 7, organ: "kidney", density: 1, seed: 1 };
/** @type {{organs: string[], examples: string[]}} */
let facts = { organs: [], examples: [] };
/** @type {Record<string, any>} */
let state = {};
/** @type {[number, number][][]} */
let outlines = [];
let outlineSeed = 0;
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
  toScreen: (/** @type {number} */ x, /** @type {number} */ y) => {
    const box = byId("stage").getBoundingClientRect();
    const point = toScreen(stage.view, [x, y]);
    return [point[0] + box.left, point[1] + box.top];
  },
};
/** @type {any} */ (window).sianStudio = measured; // what the browser tests and the benchmark read

const picture = new Picture();
const stage = new Stage(byId("stage"), picture, {
  gesture: (points, under) => {
    const message = messageOf(stage.tool, points, under, options);
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
  transform: (nucleus, way) => say({ op: "transform", nucleus, ...way }),
  stamp: (points) => {
    say({ op: "draw", points, radius: 0 });
    nextOutline();
  },
});

const panel = new Panel(byId("panel"), {
  settings: (settings) => say({ op: "settings", ...settings }),
  cancel: () => say({ op: "do", what: "cancel" }),
  mode: (mode) => setMode(/** @type {import("./stage.js").Mode} */ (mode)),
  opacity: (opacity) => {
    stage.opacity = opacity;
    stage.draw();
  },
  thumbnail: async (name) => URL.createObjectURL(await blob(`/thumb?style=${encodeURIComponent(name)}`)),
  sheet: () => showSheet(),
  pickStyle: () => pickFile(".png,.tif,.tiff,.jpg,.jpeg,.webp", "style"),
});

const connection = new Connection(
  `ws://${location.host}/socket?token=${encodeURIComponent(token)}&page=${encodeURIComponent(page)}`,
  heard,
  (open) => {
    showStatus(open ? "" : "The studio does not answer; what you draw is kept and sent when it does.");
    if (open) askForFacts();
  },
);

// --- what the server says ---------------------------------------------------------------------------------------

/** @param {Record<string, any>} head @param {Uint8Array} payload */
function heard(head, payload) {
  if (head.type === "mask") takeMask(head, payload);
  else if (head.type === "pixels") takePixels(head, payload);
  else if (head.type === "state") takeState(head);
  else if (head.type === "done") takeDone(head);
  else if (head.type === "refused") {
    strokes.delete(head.n);
    toast(head.sentence, true);
  } else if (head.type === "remark") toast(head.sentence, head.bad);
  else if (head.type === "sheet") showLastSheet();
}

/** @param {Record<string, any>} head @param {Uint8Array} payload */
function takeMask(head, payload) {
  const [height, width] = head.size;
  if (head.resized && (width !== picture.width || height !== picture.height)) {
    picture.resize(width, height);
    stage.fit();
  }
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
  byId("name").textContent = `${head.name} · ${head.width} × ${head.height} px · ${head.nuclei} ${head.nuclei === 1 ? "nucleus" : "nuclei"}`;
  byId("undo").disabled = !head.undo;
  byId("redo").disabled = !head.redo;
  byId("synthetic").textContent = `Synthetic tissue, not for diagnosis · ${head.licence}`;
  showBelow(head);
  showTiles(head);
  byId("empty").hidden = head.nuclei > 0 || head.undo > 0;
  showStatus("");
}

let belowOf = ""; // of which drawing the picture below was loaded

/** Load the real picture that the drawing lies on. @param {Record<string, any>} head */
async function showBelow(head) {
  const wanted = head.below ? `${head.name} ${head.width} ${head.height}` : "";
  if (wanted === belowOf) return;
  belowOf = wanted;
  stage.below = null;
  byId("titles").firstElementChild.textContent = wanted ? "Real picture, nuclei outlined" : "Nuclei";
  byId("titles").lastElementChild.textContent = wanted ? "Painted again (synthetic)" : "Tissue (synthetic)";
  if (wanted) {
    const found = await createImageBitmap(await blob("/below.png"));
    if (belowOf !== wanted) return; // another drawing was opened meanwhile
    stage.below = found;
  }
  stage.draw();
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
  if (head.outlines) {
    outlines = head.outlines;
    nextOutline();
  }
  if (head.sentence) toast(head.sentence);
  if (head.added) toast(`${head.added} invented nuclei.`);
}

/** @param {Record<string, any>} head */
function rectOf(head) {
  return { left: head.left, top: head.top, width: head.width, height: head.height };
}

/** Where things stand, or what is wrong. @param {string} trouble */
function showStatus(trouble) {
  const status = byId("status");
  status.classList.toggle("bad", !!trouble);
  status.textContent = trouble || (state.settled === state.revision ? "painted" : "painting ...");
}

// --- what is said to the server -----------------------------------------------------------------------------------

/** @param {Record<string, any>} message */
function say(message) {
  const number = connection.say(message);
  if (message.op !== "settings") strokes.set(number, { ended: performance.now(), revision: null });
}

/** @param {string} sentence */
function tell(sentence) {
  if (sentence) toast(sentence);
}

/** @param {string} address @param {RequestInit} [request] */
async function ask(address, request = {}) {
  const answer = await fetch(address, { ...request, headers: { "X-Token": token } });
  if (answer.ok) return answer;
  const text = await answer.text();
  let sentence = text;
  try {
    sentence = JSON.parse(text).sentence ?? text;
  } catch {
    // it is a sentence already
  }
  throw new Error(sentence);
}

/** @param {string} address */
async function blob(address) {
  return (await ask(address)).blob();
}

async function askForFacts() {
  facts = await (await ask("/facts")).json();
  showOptions();
}

function nextOutline() {
  const next = outlines.shift();
  if (next) stage.stampOutline = next;
  if (!outlines.length) connection.say({ op: "outlines", organ: options.organ, seed: outlineSeed++ });
  stage.draw();
}

// --- tools ------------------------------------------------------------------------------------------------------

function showTools() {
  const box = byId("tools");
  box.replaceChildren(
    ...Object.entries(TOOLS).map(([name, tool]) =>
      make("button", { role: "radio", "data-value": name, title: `${tool.label} (${tool.key.toUpperCase()}): ${tool.hint}`, "aria-label": tool.label }, [
        icon(tool.icon),
        make("span", { class: "label" }, [tool.label]),
        make("kbd", { "aria-hidden": "true" }, [tool.key.toUpperCase()]),
      ]),
    ),
  );
  radios(box, setTool);
}

/** @param {string} name */
function setTool(name) {
  stage.tool = name;
  choose(byId("tools"), name);
  byId("hint").textContent = TOOLS[name].hint;
  byId("stage").style.cursor = name === "pan" ? "grab" : name === "move" ? "move" : "crosshair";
  if (name !== "move") picture.choose(0);
  if (name === "stamp" && !stage.stampOutline.length) nextOutline();
  showOptions();
  stage.draw();
}

function showOptions() {
  const kind = TOOLS[stage.tool].kind;
  /** @type {Node[]} */
  const rows = [];
  if (kind === "brush") rows.push(...slider("Radius", 1, 60, 0.5, options.radius, " px", setRadius));
  if (kind === "stamp") rows.push(...slider("Size", 30, 300, 5, Math.round(stage.stampScale * 100), " %", (value) => (stage.stampScale = value / 100)));
  if (stage.tool === "fill") rows.push(...slider("Density", 20, 300, 10, options.density * 100, " %", (value) => (options.density = value / 100)));
  if (kind === "stamp" || stage.tool === "fill") rows.push(organSelect());
  byId("options").replaceChildren(...rows);
}

/**
 * @param {string} name @param {number} low @param {number} high @param {number} step @param {number} value
 * @param {string} unit @param {(value: number) => void} changed
 */
function slider(name, low, high, step, value, unit, changed) {
  const id = `option-${name.toLowerCase()}`;
  const label = make("label", { for: id }, [`${name}: ${value}${unit}`]);
  const range = make("input", { type: "range", id, min: low, max: high, step, value });
  range.addEventListener("input", () => {
    label.textContent = `${name}: ${range.value}${unit}`;
    changed(Number(range.value));
    stage.draw();
  });
  return [label, range];
}

function organSelect() {
  const select = make("select", { "aria-label": "Invented nuclei like those of", title: "Invented nuclei like those of" });
  select.append(...facts.organs.map((name) => make("option", { value: name }, [`like ${name}'s`])));
  select.value = options.organ;
  select.addEventListener("change", () => {
    options.organ = select.value;
    outlines = [];
    if (stage.tool === "stamp") nextOutline();
  });
  return select;
}

/** @param {number} radius */
function setRadius(radius) {
  options.radius = stage.radius = clamp(radius, 1, 60);
}

/** @param {import("./stage.js").Mode} mode */
function setMode(mode) {
  byId("titles").hidden = mode !== "side";
  stage.setMode(mode);
}

// --- files --------------------------------------------------------------------------------------------------------

/** @param {string} accepted @param {string} purpose */
function pickFile(accepted, purpose) {
  const input = byId("file");
  input.accept = accepted;
  input.onchange = () => {
    if (input.files.length) send(input.files[0], purpose);
    input.value = "";
  };
  input.click();
}

/** @param {File} file @param {string} purpose "style", "nuclei", or "" to ask */
async function send(file, purpose) {
  try {
    const address = `/open?name=${encodeURIComponent(file.name)}&as=${purpose}`;
    const answer = await (await ask(address, { method: "POST", body: file })).json();
    if (answer.kind === "picture" && !purpose) askPurpose(file);
  } catch (error) {
    toast(String(/** @type {Error} */ (error).message), true);
  }
}

/** @param {File} file */
function askPurpose(file) {
  const box = byId("dialog");
  const chosen = (/** @type {string} */ purpose) => () => {
    box.close();
    send(file, purpose);
  };
  dialog(`${file.name} is a picture`, [
    make("p", {}, [make("button", { class: "strong", click: chosen("style") }, ["Paint in its style"])]),
    make("p", {}, [make("button", { click: chosen("nuclei") }, ["Find its nuclei, and draw on"])]),
  ]);
}

/** @param {string} what */
async function download(what) {
  toast(what === "image" && !measured.settled() ? "Saving when the picture is painted to its end ..." : "Saving ...");
  try {
    const answer = await ask(`/save/${what}`);
    const name = decodeURIComponent((answer.headers.get("content-disposition") ?? "").split("''")[1] ?? what);
    const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    toast(String(/** @type {Error} */ (error).message), true);
  }
}

async function copyPicture() {
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob("/save/image") })]);
    toast("The picture is in the clipboard; it is synthetic: say so where you paste it.");
  } catch (error) {
    toast(`The browser does not let this page copy a picture (${/** @type {Error} */ (error).message}); save it instead.`, true);
  }
}

async function keepItem() {
  try {
    toast((await (await ask("/keep", { method: "POST" })).json()).sentence);
  } catch (error) {
    toast(String(/** @type {Error} */ (error).message), true);
  }
}

async function showSheet() {
  const wait = make("p", {}, ["Painting this drawing in every style; go on drawing meanwhile, if you like."]);
  dialog("All styles of this drawing", [wait]);
  try {
    const address = URL.createObjectURL(await blob("/sheet.png"));
    wait.replaceChildren(make("a", { href: address, download: "styles_synthetic.png" }, ["Save the sheet"]), " (synthetic)");
    wait.after(make("img", { src: address, alt: `The middle of the drawing in ${state.styles.length} styles` }));
  } catch (error) {
    wait.textContent = String(/** @type {Error} */ (error).message);
  }
}

async function showLastSheet() {
  const address = URL.createObjectURL(await blob("/last-sheet.png"));
  dialog("Before and after", [make("img", { src: address, alt: "The middle of the drawing, painted by the model as it was and as it is" })]);
}

function listenToMenus() {
  menu("open", "open-menu", () => [
    entry("Mask or picture ...", "PNG, TIFF, GeoJSON; or drop it anywhere", () => pickFile("", "")),
    make("hr"),
    ...facts.examples.map((name) => entry(`Example: ${name}`, "", () => say({ op: "example", name }))),
    make("hr"),
    ...[256, 512, 1000].map((side) => entry(`Empty, ${side} × ${side} px`, "", () => say({ op: "new", width: side, height: side }))),
  ]);
  menu("save", "save-menu", () => [
    entry("Picture (PNG)", "says inside that it is synthetic", () => download("image")),
    entry("Mask (16-bit PNG)", "one id a nucleus", () => download("mask")),
    entry("Outlines (GeoJSON)", "for QuPath", () => download("outlines")),
    entry("Style (JSON)", "for --style of every command", () => download("style")),
    make("hr"),
    entry("Into the data set", "sian-studio/dataset: picture and mask", keepItem),
    entry("Copy the picture", "", copyPicture),
    entry("Command line and Python ...", "that make the same picture", async () => showLines(await (await ask("/lines")).json())),
  ]);
  for (const button of document.querySelectorAll("#empty button")) {
    button.addEventListener("click", () => say({ op: "example", name: /** @type {HTMLElement} */ (button).dataset.example }));
  }
}

function listenToDrops() {
  const sign = byId("drop");
  let inside = 0;
  window.addEventListener("dragenter", () => {
    inside++;
    sign.hidden = false;
    sign.firstElementChild.textContent = "A mask is opened; a picture becomes a style, or nuclei";
  });
  window.addEventListener("dragleave", () => {
    inside--;
    sign.hidden = inside > 0;
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    sign.hidden = true;
    for (const file of event.dataTransfer?.files ?? []) send(file, "");
  });
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
    else if (key === "s") download("image");
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
  const tool = Object.entries(TOOLS).find(([, known]) => known.key === key);
  if (tool) setTool(tool[0]);
  else if (key === "?") help();
  else if (key === "r") panel.dice();
  else if (key === "n" && stage.tool === "stamp") nextOutline();
  else if (key === "0") stage.fit();
  else if (key === "+" || key === "=") stage.zoom(1.25);
  else if (key === "-") stage.zoom(0.8);
  else if (key === "1" || key === "2" || key === "3") panel.setMode(["side", "overlay", "outlines"][Number(key) - 1]);
  else if (key === "[" || key === "]") {
    const factor = key === "]" ? 1.15 : 1 / 1.15;
    if (stage.tool === "stamp") stage.stampScale = clamp(stage.stampScale * factor, 0.3, 3);
    else setRadius(Math.round(options.radius * factor * 2) / 2 || 1);
    showOptions();
    stage.draw();
  }
}

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  stage.draw();
}

showTools();
setTool("brush");
listenToMenus();
listenToDrops();
document.addEventListener("keydown", onKey);
byId("tile-before").addEventListener("click", () => say({ op: "tile", step: -1 }));
byId("tile-next").addEventListener("click", () => say({ op: "tile", step: 1 }));
byId("tile-keep").addEventListener("click", () => say({ op: "do", what: "keep tile" }));
byId("tile-compare").addEventListener("click", () => say({ op: "do", what: "compare" }));
byId("tile-tune").addEventListener("click", () => say({ op: "do", what: "finetune" }));
byId("undo").addEventListener("click", () => say({ op: "undo" }));
byId("redo").addEventListener("click", () => say({ op: "redo" }));
byId("help").addEventListener("click", help);
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
setTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
