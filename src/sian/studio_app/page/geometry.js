// Pure geometry: where things are on the screen and in the picture. Coordinates are x, y; pixel j covers [j, j + 1).

/** @typedef {[number, number]} Point */
/** @typedef {{scale: number, x: number, y: number}} View  screen px a picture px, and the picture's corner on the screen */
/** @typedef {{left: number, top: number, width: number, height: number}} Rect */

export const SMALLEST_SCALE = 0.05;
export const LARGEST_SCALE = 40;

/**
 * The view that shows a whole picture in the middle of a rectangle of the screen.
 * @param {number} width @param {number} height @param {Rect} into
 * @returns {View}
 */
export function fitted(width, height, into) {
  const scale = clamp(Math.min(into.width / width, into.height / height) * 0.96, SMALLEST_SCALE, LARGEST_SCALE);
  return {
    scale,
    x: into.left + (into.width - width * scale) / 2,
    y: into.top + (into.height - height * scale) / 2,
  };
}

/**
 * The view after zooming by a factor about a point of the screen, which stays where it is.
 * @param {View} view @param {number} factor @param {Point} about
 * @returns {View}
 */
export function zoomed(view, factor, about) {
  const scale = clamp(view.scale * factor, SMALLEST_SCALE, LARGEST_SCALE);
  const real = scale / view.scale;
  return { scale, x: about[0] - (about[0] - view.x) * real, y: about[1] - (about[1] - view.y) * real };
}

/** @param {View} view @param {Point} point of the screen @returns {Point} */
export function toPicture(view, point) {
  return [(point[0] - view.x) / view.scale, (point[1] - view.y) / view.scale];
}

/** @param {View} view @param {Point} point of the picture @returns {Point} */
export function toScreen(view, point) {
  return [point[0] * view.scale + view.x, point[1] * view.scale + view.y];
}

/** @param {number} value @param {number} low @param {number} high */
export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/**
 * A way without points nearer than `least` to the one before; the last one stays.
 * @param {Point[]} points @param {number} least
 * @returns {Point[]}
 */
export function thinned(points, least) {
  /** @type {Point[]} */
  const kept = [];
  for (const point of points) {
    const last = kept[kept.length - 1];
    if (!last || Math.hypot(point[0] - last[0], point[1] - last[1]) >= least) kept.push(point);
  }
  const end = points[points.length - 1];
  if (end && kept[kept.length - 1] !== end) kept.push(end);
  return kept;
}

/**
 * An outline that is turned, scaled and moved.
 * @param {Point[]} outline around 0, 0 @param {number} angle radians, clockwise on the screen
 * @param {number} scale @param {Point} centre
 * @returns {Point[]}
 */
export function placed(outline, angle, scale, centre) {
  const cosine = Math.cos(angle) * scale;
  const sine = Math.sin(angle) * scale;
  return outline.map(([x, y]) => [centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y]);
}

/** @param {Point[]} points @returns {Point} */
export function middle(points) {
  const sum = points.reduce((all, [x, y]) => [all[0] + x, all[1] + y], [0, 0]);
  return [sum[0] / Math.max(1, points.length), sum[1] / Math.max(1, points.length)];
}

/** Distance and middle of two fingers. @param {Point} one @param {Point} other @returns {{apart: number, centre: Point}} */
export function pinch(one, other) {
  return { apart: Math.hypot(one[0] - other[0], one[1] - other[1]), centre: middle([one, other]) };
}
