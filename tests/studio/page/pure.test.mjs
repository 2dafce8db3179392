// The page's pure parts: `node --test tests/studio/page`.

import assert from "node:assert/strict";
import test from "node:test";

const page = new URL("../../../src/sian/studio_app/page/", import.meta.url);
const { fitted, pinch, placed, thinned, toPicture, toScreen, zoomed } = await import(new URL("geometry.js", page));
const { centreOf, coloured, colourOfClass, idAt, opaque, outlined, COLOURS } = await import(new URL("ids.js", page));
const { filledLike, isClick, messageOf, toolsFor, TOOLS } = await import(new URL("tools.js", page));
const { fibres, shaded } = await import(new URL("tissue.js", page));
const { noAnswer, statusOf } = await import(new URL("status.js", page));
const { kept, waitingStrokes } = await import(new URL("waiting.js", page));
const { unpacked } = await import(new URL("connection.js", page));

test("a fitted picture is whole and in the middle", () => {
  const view = fitted(200, 100, { left: 10, top: 20, width: 400, height: 400 });
  const [left, top] = toScreen(view, [0, 0]);
  const [right, bottom] = toScreen(view, [200, 100]);
  assert.ok(left >= 10 && right <= 410 && top >= 20 && bottom <= 420);
  assert.ok(Math.abs(left - 10 - (410 - right)) < 1e-9);
  assert.ok(Math.abs(top - 20 - (420 - bottom)) < 1e-9);
  assert.ok(Math.abs((right - left) / (bottom - top) - 2) < 1e-9);
});

test("zooming leaves the place under the pointer where it is", () => {
  const view = { scale: 1.5, x: 40, y: -20 };
  const before = toPicture(view, [123, 45]);
  const after = toPicture(zoomed(view, 2.5, [123, 45]), [123, 45]);
  assert.ok(Math.hypot(before[0] - after[0], before[1] - after[1]) < 1e-9);
  assert.equal(zoomed(view, 1e9, [0, 0]).scale, 40);
});

test("a thinned way keeps its ends and has no points too near", () => {
  const way = Array.from({ length: 100 }, (_, place) => [place / 10, 0]);
  const thin = thinned(way, 1);
  assert.deepEqual(thin[0], [0, 0]);
  assert.deepEqual(thin.at(-1), [9.9, 0]);
  for (let place = 1; place < thin.length - 1; place++) assert.ok(thin[place][0] - thin[place - 1][0] >= 1);
  assert.deepEqual(thinned([], 1), []);
});

test("a quarter turn goes clockwise on the screen", () => {
  const [[x, y]] = placed([[1, 0]], Math.PI / 2, 3, [10, 20]);
  assert.ok(Math.abs(x - 10) < 1e-9 && Math.abs(y - 23) < 1e-9);
});

test("two fingers", () => {
  assert.deepEqual(pinch([0, 0], [6, 8]), { apart: 10, centre: [3, 4] });
});

// prettier-ignore
const IDS = new Int32Array([
  0, 5, 5, 0,
  0, 5, 5, 0,
  0, 5, 5, 9,
  0, 0, 0, 9,
]);

test("ids, their places and middles", () => {
  assert.equal(idAt(IDS, 4, 4, [1.2, 0.9]), 5);
  assert.equal(idAt(IDS, 4, 4, [-0.1, 0]), 0);
  assert.equal(idAt(IDS, 4, 4, [4, 3]), 0);
  assert.deepEqual(centreOf(IDS, 4, 5), [2, 1.5]);
  assert.equal(centreOf(IDS, 4, 77), null);
});

test("colours are where nuclei are, and neighbours in number differ", () => {
  const rect = { left: 1, top: 1, width: 3, height: 3 };
  const pixels = coloured(IDS, 4, 4, rect);
  for (let y = 0; y < 3; y++) {
    for (let x = 0; x < 3; x++) assert.equal(pixels[(y * 3 + x) * 4 + 3] > 0, IDS[(y + 1) * 4 + x + 1] > 0);
  }
  assert.equal(new Set(COLOURS.map(String)).size, COLOURS.length);
});

test("outlines are rims alone", () => {
  const ids = new Int32Array(25).fill(0);
  for (let y = 0; y < 5; y++) for (let x = 1; x < 4; x++) ids[y * 5 + x] = 3;
  const pixels = outlined(ids, 5, 5, { left: 0, top: 0, width: 5, height: 5 });
  assert.equal(pixels[(2 * 5 + 2) * 4 + 3], 0);
  assert.equal(pixels[(2 * 5 + 1) * 4 + 3], 255);
  assert.equal(pixels[2 * 5 * 4 + 3], 0);
});

test("R G B becomes R G B A", () => {
  assert.deepEqual([...opaque(new Uint8Array([1, 2, 3, 4, 5, 6]))], [1, 2, 3, 255, 4, 5, 6, 255]);
});

test("each tool has a key of its own", () => {
  const keys = Object.values(TOOLS).map((tool) => tool.key);
  assert.equal(new Set(keys).size, keys.length);
});

test("a model is offered the tools that it can follow", () => {
  const names = (/** @type {any} */ facts) => toolsFor(facts).map(([name]) => name);
  const none = names({ classes: [], tissue: false });
  assert.ok(!none.some((name) => ["classify", "lumen", "stroma", "plain"].includes(name)));
  assert.deepEqual(names({ classes: ["dead"], tissue: false }).filter((name) => !none.includes(name)), ["classify"]);
  assert.equal(names({ classes: [], tissue: true }).length, none.length + 3);
});

test("colours tell classes apart, and no class is grey", () => {
  assert.equal(new Set([0, 1, 2, 3, 4, 5, 6, 7].map((number) => String(colourOfClass(number)))).size, 8);
  const pixels = coloured(IDS, 4, 4, { left: 0, top: 0, width: 4, height: 4 }, 0, () => [10, 20, 30]);
  const seen = [...pixels].filter((value, at) => at % 4 === 2 && pixels[at + 1] > 0);
  assert.ok(seen.every((value) => value === 30 || value === Math.round(30 * 0.62)));
});

test("lumen is light, ordinary tissue is clear, and fibres lie along their angle", () => {
  const cells = new Int8Array([127, 127, 0, 0, 0, 127, 0, 0, 0, 0, 127, 0, 60, 0, 100, 0, 0, 0, 0, 0]);
  const pixels = shaded(cells);
  assert.ok(pixels[0] > 230 && pixels[3] > 200);
  assert.deepEqual([pixels[7], pixels[15]], [0, 0]);
  assert.ok(pixels[11] > 0 && pixels[9] < 130);
  const lines = fibres(cells, 2);
  assert.equal(lines.length, 1);
  const [[x0, y0], [x1, y1]] = lines[0];
  assert.deepEqual([(x0 + x1) / 2, (y0 + y1) / 2], [8, 24]);
  assert.ok(Math.abs(Math.atan2(y1 - y0, x1 - x0) - Math.PI / 4) < 0.01);
});

const OPTIONS = { radius: 7, organ: "liver", density: 1.5, seed: 4, kind: "dead", tissueRadius: 24, fibres: -0.5 };
const WAY = [[1.004, 2], [30, 2], [30, 40]];

test("gestures become messages", () => {
  assert.deepEqual(messageOf("brush", WAY, 0, OPTIONS), { op: "draw", points: [[1, 2], [30, 2], [30, 40]], radius: 7, kind: "dead" });
  assert.equal(messageOf("outline", WAY, 0, OPTIONS).radius, 0);
  assert.equal(messageOf("outline", WAY.slice(0, 2), 0, OPTIONS), null);
  assert.equal(messageOf("add", WAY, 6, OPTIONS).into, 6);
  assert.equal(messageOf("add", WAY, 0, OPTIONS), null);
  assert.equal(messageOf("fill", WAY, 0, OPTIONS).organ, "liver");
  assert.deepEqual(messageOf("delete", [[5, 5], [6, 5]], 8, OPTIONS), { op: "delete", ids: [8] });
  assert.equal(messageOf("delete", WAY, 8, OPTIONS).points.length, 3);
  assert.deepEqual(messageOf("classify", [[5, 5]], 8, OPTIONS), { op: "classify", ids: [8], kind: "dead" });
  assert.equal(messageOf("classify", [[5, 5]], 0, OPTIONS), null);
  const stroma = messageOf("stroma", WAY, 0, OPTIONS);
  assert.deepEqual([stroma.op, stroma.what, stroma.radius, stroma.density], ["tissue", "stroma", 24, -0.5]);
  assert.equal(messageOf("brush", [], 0, OPTIONS), null);
  assert.ok(isClick([[5, 5], [6, 6]]) && !isClick(WAY));
});

test("a binary message is its head and its payload", () => {
  const head = new TextEncoder().encode('{"type":"mask"}');
  const bytes = new Uint8Array(4 + head.length + 3);
  new DataView(bytes.buffer).setUint32(0, head.length, true);
  bytes.set(head, 4);
  bytes.set([7, 8, 9], 4 + head.length);
  const found = unpacked(bytes.buffer);
  assert.deepEqual(found.head, { type: "mask" });
  assert.deepEqual([...found.payload], [7, 8, 9]);
});

test("what was not answered is said again, and what was done is not", async () => {
  class Line {
    static sockets = [];
    constructor() {
      this.sent = [];
      Line.sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
  }
  globalThis.WebSocket = Line;
  const { Connection } = await import(new URL("connection.js", page));
  const line = new Connection("ws://x", () => {}, () => {});
  Line.sockets[0].onmessage({ data: '{"type":"welcome","seen":0}' });
  const first = line.say({ op: "undo" });
  const second = line.say({ op: "redo" });
  line.receive(JSON.stringify({ type: "done", n: first }));
  line.say({ op: "undo" });
  assert.deepEqual(line.unanswered.map((message) => message.op), ["redo", "undo"]);
  line.open();
  Line.sockets[1].onmessage({ data: JSON.stringify({ type: "welcome", seen: second }) });
  assert.deepEqual(Line.sockets[1].sent.map((message) => message.op), ["undo"]);
});

test("nothing is claimed before the server has told anything", () => {
  assert.equal(statusOf({}, false), "loading ...");
  assert.equal(statusOf({}, true), "loading ...");
  assert.equal(statusOf({ revision: 1, settled: 0, nuclei: 3 }, true), "painting ...");
  assert.equal(statusOf({ revision: 2, settled: 2, nuclei: 0, below: false }, true), "ready to draw");
  assert.equal(statusOf({ revision: 2, settled: 2, nuclei: 1, below: false }, true), "painted");
  assert.equal(statusOf({ revision: 2, settled: 2, nuclei: 1, below: false }, false), "no connection");
});

test("what is filled in is named, also where nothing is known of the style's organ", () => {
  const organs = ["bladder", "breast", "kidney"];
  assert.deepEqual(filledLike("", { breast: 1 }, organs), { organ: "breast", note: "Now breast's." });
  assert.equal(filledLike("", { "breast/ffpe": 0.3, "bladder/frozen": 0.7 }, organs).organ, "bladder");
  assert.equal(filledLike("", { "breast#3": 1 }, organs).organ, "breast");
  assert.deepEqual(filledLike("bladder", { breast: 1 }, organs), { organ: "bladder", note: "" });
  const brain = filledLike("", { brain: 1 }, organs);
  assert.equal(brain.organ, "kidney");
  assert.match(brain.note, /No nuclei of brain are known: kidney's/);
  assert.match(filledLike("", { "@slide": 1 }, organs).note, /kidney's/);
  assert.ok(!filledLike("", { "@slide": 1 }, organs).note.includes("@"));
});

test("what waits for the server is shown as it will be", () => {
  const stroke = (x) => ({ op: "draw", points: [[x, 1]], radius: 7 });
  const [one, two, three] = [stroke(1), stroke(2), stroke(3)];
  const [undo, redo] = [{ op: "undo" }, { op: "redo" }];
  assert.deepEqual(waitingStrokes([one, two]), [one, two]);
  assert.deepEqual(waitingStrokes([one, two, undo]), [one]);
  assert.deepEqual(waitingStrokes([one, two, undo, redo]), [one, two]);
  assert.deepEqual(waitingStrokes([one, two, undo, three, redo]), [one, three]);
  assert.deepEqual(waitingStrokes([undo, one, undo, undo, redo]), []);
  assert.deepEqual(waitingStrokes([undo, one, undo, undo, redo, redo]), [one]);
  assert.deepEqual(waitingStrokes([one, { op: "settings", seed: 2 }, undo]), [one]);
  assert.deepEqual(waitingStrokes([one, { op: "new", width: 64, height: 64 }, two]), [one]); // two lies on the new one
  assert.deepEqual(waitingStrokes([{ op: "outlines" }, { op: "tissue", what: "forget", points: [] }]), []);
  assert.equal(kept([one, undo, { op: "outlines" }]), 2);
});

test("a server that is away is told with what waits", () => {
  assert.match(noAnswer(0), /answers again\. If/);
  assert.match(noAnswer(1), / 1 step waits\. /);
  assert.match(noAnswer(12), / 12 steps wait\. /);
});
