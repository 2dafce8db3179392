// Pure: a tissue map as colours and as short lines along its fibres.

export const CELL = 16; // px of the picture for one cell of the map
export const VALUES = 5; // numbers of a cell: whether it says anything, empty, density, fibres twice; 127 stands for 1
const FULL = 127;
const LUMEN = [238, 242, 246];
const DENSE = [196, 110, 146];
const PALE = [236, 206, 216];
const SHORTEST = 0.12; // of a direction that is drawn

/**
 * Cells as R G B A: lumen is light, dense tissue dark pink, pale tissue light pink; ordinary tissue is clear.
 * @param {Int8Array} cells @returns {Uint8ClampedArray}
 */
export function shaded(cells) {
  const pixels = new Uint8ClampedArray((cells.length / VALUES) * 4);
  for (let from = 0, to = 0; from < cells.length; from += VALUES, to += 4) {
    if (!cells[from]) continue;
    const empty = cells[from + 1] / FULL;
    const density = cells[from + 2] / FULL;
    const tissue = density < 0 ? PALE : DENSE;
    const cover = Math.min(1, empty + Math.abs(density) * 0.6);
    const lumen = cover ? empty / cover : 0;
    for (let channel = 0; channel < 3; channel++) {
      pixels[to + channel] = Math.min(1, lumen) * LUMEN[channel] + Math.max(0, 1 - lumen) * tissue[channel];
    }
    pixels[to + 3] = 215 * cover;
  }
  return pixels;
}

/**
 * Lines along the fibres, in px of the picture.
 * @param {Int8Array} cells @param {number} columns of the map
 * @returns {[import("./geometry.js").Point, import("./geometry.js").Point][]}
 */
export function fibres(cells, columns) {
  /** @type {[import("./geometry.js").Point, import("./geometry.js").Point][]} */
  const found = [];
  for (let cell = 0; cell * VALUES < cells.length; cell++) {
    const [cosine, sine] = [cells[cell * VALUES + 3] / FULL, cells[cell * VALUES + 4] / FULL];
    const length = Math.hypot(cosine, sine);
    if (!cells[cell * VALUES] || length < SHORTEST) continue;
    const angle = Math.atan2(sine, cosine) / 2;
    const half = CELL * 0.45;
    const x = ((cell % columns) + 0.5) * CELL;
    const y = (Math.floor(cell / columns) + 0.5) * CELL;
    const by = [half * Math.cos(angle), half * Math.sin(angle)];
    found.push([
      [x - by[0], y - by[1]],
      [x + by[0], y + by[1]],
    ]);
  }
  return found;
}
