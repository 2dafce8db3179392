// How the canvas looks: nuclei or tissue, and the gesture that is being made.

import { centreOf } from "./ids.js";
import { TOOLS } from "./tools.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./stage.js").Stage} Stage */

const DRAWN = "rgb(86 180 233 / 75%)";

/** @type {Record<string, string>} */
const STROKES = { erase: "rgb(255 255 255 / 65%)", plain: "rgb(255 255 255 / 45%)", lumen: "rgb(238 242 246 / 60%)", stroma: "rgb(196 110 146 / 55%)" };

const UNPAINTED = "#cccccc"; // no glass: nothing was painted there yet

/**
 * One half of the canvas, or all of it.
 * @param {Stage} stage @param {CanvasRenderingContext2D} context @param {boolean} right
 */
export function drawHalf(stage, context, right) {
  const half = stage.half(right);
  const { width, height } = stage.picture;
  const tissue = stage.mode !== "side" || right;
  context.save();
  context.beginPath();
  context.rect(half.left, half.top, half.width, half.height);
  context.clip();
  context.translate(half.left + stage.view.x, half.top + stage.view.y);
  context.scale(stage.view.scale, stage.view.scale);
  context.imageSmoothingEnabled = stage.view.scale < 3;
  context.fillStyle = tissue ? UNPAINTED : "#17181a";
  if (width > 1) context.fillRect(0, 0, width, height); // else the server told of no drawing yet
  if (tissue && stage.picture.painted) context.drawImage(stage.picture.tissue, 0, 0);
  if (!tissue && stage.below) context.drawImage(stage.below, 0, 0);
  if (!tissue && !stage.below) stage.picture.drawBetween(context); // a real picture shows its tissue itself
  if (!tissue) context.drawImage(stage.below ? stage.picture.lines : stage.picture.fills, 0, 0);
  if (stage.mode === "overlay") {
    context.globalAlpha = stage.opacity;
    context.drawImage(stage.picture.fills, 0, 0);
    context.globalAlpha = 1;
  }
  if (stage.mode === "outlines") context.drawImage(stage.picture.lines, 0, 0);
  drawUnanswered(stage, context);
  drawGesture(stage, context);
  context.restore();
  if (right) {
    context.fillStyle = getComputedStyle(stage.canvas).getPropertyValue("--line");
    if (stage.stacked()) context.fillRect(0, half.top - 0.5, half.width, 1);
    else context.fillRect(half.left - 0.5, 0, 1, half.height);
  }
}

/** Strokes that wait for the server, so that none seems lost while it is away. @param {Stage} stage @param {CanvasRenderingContext2D} context */
function drawUnanswered(stage, context) {
  context.lineCap = context.lineJoin = "round";
  for (const { op, what, points, radius } of stage.unanswered()) {
    tracePath(context, points, !radius && op !== "split" && op !== "merge");
    if (radius) {
      context.strokeStyle = STROKES[what ?? op] ?? DRAWN;
      context.lineWidth = 2 * radius;
      context.stroke();
    } else if (op === "draw") {
      context.fillStyle = DRAWN;
      context.fill();
    } else strokeTwice(context, 1.5 / stage.view.scale);
  }
}

/** The stroke that is being drawn, and the pen. @param {Stage} stage @param {CanvasRenderingContext2D} context */
function drawGesture(stage, context) {
  const kind = TOOLS[stage.tool].kind;
  const thin = 1.5 / stage.view.scale;
  context.lineCap = context.lineJoin = "round";
  if (stage.dragged) drawDragged(stage, context);
  if (stage.way) {
    tracePath(context, stage.way, kind === "outline" || kind === "pick");
    if (kind === "brush") {
      context.strokeStyle = STROKES[stage.tool] ?? DRAWN;
      context.lineWidth = 2 * stage.radius;
      context.stroke();
    } else strokeTwice(context, thin);
  }
  if (!stage.pointer || stage.fingers.size > 1) return;
  context.beginPath();
  if (kind === "brush") context.arc(stage.pointer[0], stage.pointer[1], stage.radius, 0, 2 * Math.PI);
  else if (kind === "stamp") tracePath(context, stage.stampPoints(), true);
  else return;
  strokeTwice(context, thin);
}

/** A line that is seen on light and on dark. @param {CanvasRenderingContext2D} context @param {number} thin */
function strokeTwice(context, thin) {
  context.strokeStyle = "rgb(0 0 0 / 70%)";
  context.lineWidth = 2.4 * thin;
  context.stroke();
  context.strokeStyle = "#ffffff";
  context.lineWidth = thin;
  context.stroke();
}

/** @param {Stage} stage @param {CanvasRenderingContext2D} context */
function drawDragged(stage, context) {
  if (!stage.dragged) return;
  const { id, by, angle } = stage.dragged;
  const centre = centreOf(stage.picture.ids, stage.picture.width, id);
  if (!centre) return;
  context.save();
  context.translate(centre[0] + by[0], centre[1] + by[1]);
  context.rotate(angle);
  context.translate(-centre[0], -centre[1]);
  context.globalAlpha = 0.85;
  context.drawImage(shapeOf(stage, id), 0, 0);
  context.restore();
}

/** One nucleus alone on a canvas. @param {Stage} stage @param {number} id */
function shapeOf(stage, id) {
  if (stage.shape?.id === id) return stage.shape.canvas;
  const canvas = document.createElement("canvas");
  const { width, height, ids } = stage.picture;
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  for (let at = 0; at < ids.length; at++) if (ids[at] === id) pixels.data.set([86, 180, 233, 255], at * 4);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  stage.shape = { id, canvas };
  return canvas;
}

/** A line through points, which may be a single one. @param {CanvasRenderingContext2D} context @param {Point[]} points @param {boolean} closed */
function tracePath(context, points, closed) {
  context.beginPath();
  points.forEach(([x, y], place) => (place ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
  if (closed) context.closePath();
}
