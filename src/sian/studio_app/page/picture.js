// What is shown: the id buffer, the tissue, and the nuclei in colour and in outline, each on a canvas of its own.

import { coloured, colourOf, colourOfClass, opaque, outlined } from "./ids.js";
import { CELL, fibres, shaded, VALUES } from "./tissue.js";

/** @param {number} width @param {number} height */
function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

export class Picture {
  constructor() {
    this.width = 1;
    this.height = 1;
    this.ids = new Int32Array(1);
    this.chosen = 0;
    this.tissue = canvasOf(1, 1);
    this.fills = canvasOf(1, 1);
    this.lines = canvasOf(1, 1);
    this.painted = false;
    /** @type {Map<number, number> | null} number of each nucleus' class; null where the model knows none */
    this.classes = null;
    this.cells = new Int8Array(0);
    this.cellSize = [0, 0]; // rows and columns
    this.between = canvasOf(1, 1); // the tissue map, a pixel a cell
    /** @type {[import("./geometry.js").Point, import("./geometry.js").Point][]} */
    this.fibres = [];
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.ids = new Int32Array(width * height);
    this.tissue = canvasOf(width, height);
    this.fills = canvasOf(width, height);
    this.lines = canvasOf(width, height);
    this.chosen = 0;
    this.painted = false;
  }

  /** The tissue is that of another drawing. */
  unpaint() {
    this.tissue = canvasOf(this.width, this.height);
    this.painted = false;
  }

  /**
   * Ids of a rectangle.
   * @param {import("./geometry.js").Rect} rect @param {Uint8Array} payload int32, little-endian
   */
  setIds(rect, payload) {
    const copy = payload.byteOffset % 4 ? payload.slice() : payload;
    const fresh = new Int32Array(copy.buffer, copy.byteOffset, rect.width * rect.height);
    for (let row = 0; row < rect.height; row++) {
      const line = fresh.subarray(row * rect.width, (row + 1) * rect.width);
      this.ids.set(line, (rect.top + row) * this.width + rect.left);
    }
    this.colour(rect);
  }

  /**
   * Classes of nuclei; to be told before their ids.
   * @param {Record<string, number> | undefined} numbers by id @param {boolean} all whether others are gone
   */
  setClasses(numbers, all) {
    if (!numbers) this.classes = null;
    else if (all || !this.classes) this.classes = new Map();
    for (const [id, number] of Object.entries(numbers ?? {})) this.classes?.set(Number(id), number);
  }

  /**
   * Cells of the tissue map.
   * @param {import("./geometry.js").Rect} rect in cells @param {Uint8Array} payload int8 @param {number[]} size rows, columns
   */
  setCells(rect, payload, size) {
    if (size[0] !== this.cellSize[0] || size[1] !== this.cellSize[1]) {
      this.cellSize = size;
      this.cells = new Int8Array(size[0] * size[1] * VALUES);
      this.between = canvasOf(size[1], size[0]);
    }
    const fresh = new Int8Array(payload.buffer, payload.byteOffset, payload.byteLength);
    for (let row = 0; row < rect.height; row++) {
      const line = fresh.subarray(row * rect.width * VALUES, (row + 1) * rect.width * VALUES);
      this.cells.set(line, ((rect.top + row) * size[1] + rect.left) * VALUES);
    }
    put(this.between, shaded(this.cells), { left: 0, top: 0, width: size[1], height: size[0] });
    this.fibres = fibres(this.cells, size[1]);
  }

  /** Draw the tissue map. @param {CanvasRenderingContext2D} context whose unit is a px of the picture */
  drawBetween(context) {
    if (!this.cells.length) return;
    context.save();
    context.beginPath();
    context.rect(0, 0, this.width, this.height);
    context.clip();
    context.imageSmoothingEnabled = true;
    context.drawImage(this.between, 0, 0, this.cellSize[1] * CELL, this.cellSize[0] * CELL);
    context.beginPath();
    for (const [from, to] of this.fibres) {
      context.moveTo(...from);
      context.lineTo(...to);
    }
    context.strokeStyle = "rgb(255 224 236 / 75%)";
    context.lineWidth = 1.5;
    context.stroke();
    context.restore();
  }

  /** @param {import("./geometry.js").Rect} rect whose neighbours' rims may change, too */
  colour(rect) {
    const left = Math.max(0, rect.left - 1);
    const top = Math.max(0, rect.top - 1);
    const wide = {
      left,
      top,
      width: Math.min(this.width, rect.left + rect.width + 1) - left,
      height: Math.min(this.height, rect.top + rect.height + 1) - top,
    };
    if (wide.width < 1 || wide.height < 1) return;
    const classes = this.classes;
    const colourBy = classes ? (/** @type {number} */ id) => colourOfClass(classes.get(id) ?? 0) : colourOf;
    put(this.fills, coloured(this.ids, this.width, this.height, wide, this.chosen, colourBy), wide);
    put(this.lines, outlined(this.ids, this.width, this.height, wide, this.chosen), wide);
  }

  /** @param {number} id of the nucleus that is emphasised */
  choose(id) {
    if (id === this.chosen) return;
    this.chosen = id;
    this.colour({ left: 0, top: 0, width: this.width, height: this.height });
  }

  /** @param {import("./geometry.js").Rect} rect @param {Uint8Array} payload R G B */
  setPixels(rect, payload) {
    put(this.tissue, opaque(payload), rect);
    this.painted = true;
  }
}

/** @param {HTMLCanvasElement} canvas @param {Uint8ClampedArray} pixels @param {import("./geometry.js").Rect} rect */
function put(canvas, pixels, rect) {
  const context = canvas.getContext("2d");
  context?.putImageData(new ImageData(/** @type {any} */ (pixels), rect.width, rect.height), rect.left, rect.top);
}
