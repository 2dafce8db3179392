// What is shown: the id buffer, the tissue, and the nuclei in colour and in outline, each on a canvas of its own.

import { coloured, opaque, outlined } from "./ids.js";

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
    put(this.fills, coloured(this.ids, this.width, this.height, wide, this.chosen), wide);
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
