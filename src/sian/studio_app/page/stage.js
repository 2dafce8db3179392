// The canvas: shows nuclei and tissue, and turns pointers, wheel and keys into gestures.

import { clamp, fitted, pinch, placed, thinned, toPicture, toScreen, zoomed } from "./geometry.js";
import { idAt } from "./ids.js";
import { drawHalf } from "./stagedrawing.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {"side" | "overlay" | "outlines"} Mode */

const POINTS_APART = 0.6; // px of the picture between the points of a gesture
const TITLE = 26; // px above the picture that its title takes
const KEY_STEP = 4; // px an arrow key moves the pen

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./picture.js").Picture} picture
   * @param {object} calls what happens to gestures
   * @param {(points: Point[], under: number) => void} calls.gesture
   * @param {(points: Point[], under: number) => void} calls.trying what the gesture is so far
   * @param {(down: boolean) => void} calls.pen
   * @param {() => void} calls.abandoned the gesture ends without meaning anything
   * @param {() => void} calls.stampTurned wheel or keys gave the stamp another size or angle
   * @param {(scale: number) => void} calls.zoomed CSS px for a px of the picture
   * @param {(nucleus: number, way: {dy: number, dx: number, angle: number}) => void} calls.transform
   * @param {(points: Point[]) => void} calls.stamp
   */
  constructor(canvas, picture, calls) {
    this.canvas = canvas;
    this.picture = picture;
    this.calls = calls;
    /** @type {Mode} */
    this.mode = "side";
    this.opacity = 0.45;
    this.tool = "brush";
    this.radius = 7;
    this.smooth = true;
    /** @type {Point[]} */
    this.stampOutline = [];
    this.stampAngle = 0;
    this.stampScale = 1;
    /** @type {import("./geometry.js").View} */
    this.view = { scale: 1, x: 0, y: 0 };
    /** @type {HTMLImageElement | ImageBitmap | null} */
    this.below = null;
    /** @type {Point[] | null} */
    this.way = null;
    this.under = 0;
    /** @type {Point | null} */
    this.pointer = null;
    this.onRight = false;
    /** @type {{id: number, from: Point, by: Point, angle: number} | null} */
    this.dragged = null;
    /** @type {Map<number, Point>} */
    this.fingers = new Map();
    /** @type {{apart: number, centre: Point} | null} */
    this.pinched = null;
    this.panning = false;
    this.space = false;
    this.waiting = false;
    this.spins = 0;
    /** @type {() => Record<string, any>[]} strokes that the server has not answered yet, the oldest first */
    this.unanswered = () => [];
    /** @type {{id: number, canvas: HTMLCanvasElement} | undefined} */
    this.shape = undefined;
    /** @type {(() => void)[]} */
    this.afterDrawing = [];
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  // --- what is seen -------------------------------------------------------------------------------------------

  /** The rectangle of one half of the canvas (or of all of it), in CSS px. @param {boolean} right */
  half(right) {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (this.mode !== "side") return { left: 0, top: 0, width, height };
    if (this.stacked()) return { left: 0, top: right ? height / 2 : 0, width, height: height / 2 };
    return { left: right ? width / 2 : 0, top: 0, width: width / 2, height };
  }

  /** Whether the halves lie one above the other, as on a tablet that is held upright; the style sheet asks the same. */
  stacked() {
    return this.canvas.clientHeight >= this.canvas.clientWidth;
  }

  fit() {
    const half = this.half(false);
    const title = this.mode === "side" ? TITLE : 0;
    this.view = fitted(this.picture.width, this.picture.height, { ...half, top: half.top + title, height: Math.max(1, half.height - title) });
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.fit();
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.mode = mode;
    this.fit();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawNow();
      this.calls.zoomed(this.view.scale);
      const calls = this.afterDrawing;
      this.afterDrawing = [];
      for (const call of calls) call();
    });
  }

  drawNow() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    for (const right of this.mode === "side" ? [false, true] : [false]) drawHalf(this, context, right);
  }

  /** The stamp's outline where the pen is. @returns {Point[]} */
  stampPoints() {
    if (!this.pointer) return [];
    return placed(this.stampOutline, this.stampAngle, this.stampScale, this.pointer);
  }

  // --- pointers -----------------------------------------------------------------------------------------------

  /** @param {{clientX: number, clientY: number}} event @returns {Point} on the canvas, in the left half's coordinates */
  screenPoint(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const half = this.half(this.onRight);
    return [x - half.left, event.clientY - box.top - half.top];
  }

  /** Whether it is on the tissue's half. @param {{clientX: number, clientY: number}} event */
  isRight(event) {
    const box = this.canvas.getBoundingClientRect();
    if (this.mode !== "side") return false;
    if (this.stacked()) return event.clientY - box.top > this.canvas.clientHeight / 2;
    return event.clientX - box.left > this.canvas.clientWidth / 2;
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.cancel(event));
    canvas.addEventListener("pointerleave", () => {
      if (!this.way) this.pointer = null;
      this.draw();
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (!this.fingers.size) this.onRight = this.isRight(event);
    const screen = this.screenPoint(event);
    this.fingers.set(event.pointerId, screen);
    if (this.fingers.size >= 2) {
      this.way = this.dragged = null;
      this.calls.abandoned();
      const [one, other] = [...this.fingers.values()];
      this.pinched = pinch(one, other);
      return;
    }
    this.panning = event.button === 1 || event.button === 2 || this.space || this.tool === "pan";
    this.pointer = toPicture(this.view, screen);
    if (this.panning) return;
    this.begin(this.pointer);
  }

  /** @param {Point} point where a gesture begins */
  begin(point) {
    const { ids, width, height } = this.picture;
    this.under = idAt(ids, width, height, point);
    this.calls.pen(true);
    if (this.tool === "move") {
      this.finishSpin();
      this.picture.choose(this.under);
      this.shape = undefined;
      if (this.under) this.dragged = { id: this.under, from: point, by: [0, 0], angle: 0 };
      else {
        this.calls.gesture([point], 0); // says that no nucleus lies there
        this.calls.pen(false);
      }
    } else this.way = [point];
    this.draw();
  }

  /** @param {PointerEvent} event */
  moved(event) {
    if (!this.fingers.size) this.onRight = this.isRight(event);
    const before = this.fingers.get(event.pointerId);
    const screen = this.screenPoint(event);
    if (before) this.fingers.set(event.pointerId, screen);
    if (this.pinched) {
      const [one, other] = [...this.fingers.values()];
      const now = pinch(one, other);
      this.view = zoomed(this.view, now.apart / Math.max(1, this.pinched.apart), now.centre);
      this.view.x += now.centre[0] - this.pinched.centre[0];
      this.view.y += now.centre[1] - this.pinched.centre[1];
      this.pinched = now;
    } else if (before && this.panning) {
      this.view.x += screen[0] - before[0];
      this.view.y += screen[1] - before[1];
    } else {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const part of all.length ? all : [event]) this.follow(toPicture(this.view, this.screenPoint(part)));
    }
    this.draw();
  }

  /** @param {Point} point where the pen is now */
  follow(point) {
    this.pointer = point;
    if (this.way) {
      this.way.push(point);
      if (this.tool !== "stamp") this.calls.trying(thinned(this.way, POINTS_APART), this.under);
    }
    if (this.dragged) this.dragged.by = [point[0] - this.dragged.from[0], point[1] - this.dragged.from[1]];
  }

  /** @param {PointerEvent} event */
  up(event) {
    const single = this.fingers.size === 1;
    this.fingers.delete(event.pointerId);
    if (!single || this.panning) {
      const [one, other] = [...this.fingers.values()];
      this.pinched = this.pinched && other ? pinch(one, other) : null;
      this.panning = this.panning && this.fingers.size > 0;
      return;
    }
    this.end();
  }

  /** A gesture ends where the pen is. */
  end() {
    const way = this.way;
    const dragged = this.dragged;
    this.way = this.dragged = null;
    if (way && this.tool === "stamp") {
      if (this.stampOutline.length) this.calls.stamp(this.stampPoints());
    } else if (way) this.calls.gesture(thinned(way, POINTS_APART), this.under);
    if (dragged && Math.hypot(...dragged.by) >= 0.5) {
      this.calls.transform(dragged.id, { dy: dragged.by[1], dx: dragged.by[0], angle: 0 });
    }
    this.calls.pen(false);
    this.draw();
  }

  /** @param {PointerEvent} event */
  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.pinched = this.way = this.dragged = null;
    this.calls.abandoned();
    this.draw();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    this.onRight = this.isRight(event);
    const step = Math.sign(event.deltaY || event.deltaX);
    if (this.tool === "stamp" && !event.ctrlKey) {
      if (event.shiftKey) this.stampAngle += (step * Math.PI) / 18;
      else this.stampScale = clamp(this.stampScale * 1.08 ** -step, 0.3, 3);
      this.calls.stampTurned();
    } else if (this.tool === "move" && this.picture.chosen && !event.ctrlKey) this.spin((step * Math.PI) / 24);
    else this.view = zoomed(this.view, 1.0015 ** -clamp(event.deltaY, -300, 300), this.screenPoint(event));
    this.draw();
  }

  /** Turn the chosen nucleus; it is told to the server when the wheel rests. @param {number} angle */
  spin(angle) {
    this.dragged ??= { id: this.picture.chosen, from: [0, 0], by: [0, 0], angle: 0 };
    this.dragged.angle += angle;
    clearTimeout(this.spins);
    this.spins = window.setTimeout(() => this.finishSpin(), 350);
    this.draw();
  }

  finishSpin() {
    clearTimeout(this.spins);
    const turned = this.dragged;
    if (!turned || !turned.angle || this.fingers.size) return;
    this.dragged = null;
    this.calls.transform(turned.id, { dy: 0, dx: 0, angle: turned.angle });
  }

  // --- keys ---------------------------------------------------------------------------------------------------

  /**
   * A key while the canvas has the focus; says whether it meant something.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const step = event.shiftKey ? 4 * KEY_STEP : event.altKey ? 1 : KEY_STEP;
      this.nudge([way[0] * step, way[1] * step]);
      return true;
    }
    if (event.key === " " && !event.repeat && this.tool !== "pan") {
      this.pointer ??= [this.picture.width / 2, this.picture.height / 2];
      if (this.way || this.dragged) this.end();
      else this.begin(this.pointer);
      return true;
    }
    if (event.key === "Escape" && (this.way || this.dragged)) {
      this.way = this.dragged = null;
      this.calls.abandoned();
      this.draw();
      return true;
    }
    if (event.key === "," || event.key === ".") {
      const step = event.key === "." ? 1 : -1;
      if (this.tool === "stamp") {
        this.stampAngle += (step * Math.PI) / 18;
        this.calls.stampTurned();
      } else if (this.tool === "move" && this.picture.chosen) this.spin((step * Math.PI) / 24);
      else return false;
      this.draw();
      return true;
    }
    return false;
  }

  /** @param {Point} by px of the picture */
  nudge(by) {
    if (this.tool === "pan") {
      this.view.x -= by[0] * 8;
      this.view.y -= by[1] * 8;
    } else {
      const start = this.pointer ?? [this.picture.width / 2, this.picture.height / 2];
      this.follow([clamp(start[0] + by[0], 0, this.picture.width), clamp(start[1] + by[1], 0, this.picture.height)]);
    }
    this.draw();
  }

  /** @param {number} factor */
  zoom(factor) {
    const half = this.half(false);
    const about = this.pointer ? toScreen(this.view, this.pointer) : /** @type {Point} */ ([half.width / 2, half.height / 2]);
    this.view = zoomed(this.view, factor, about);
    this.draw();
  }
}
