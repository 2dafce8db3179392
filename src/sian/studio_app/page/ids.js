// Pure: an id buffer as colours and outlines.

// Okabe and Ito's colours, which people with colour blindness tell apart, without black; R, G, B.
export const COLOURS = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];
const CHOSEN = [255, 255, 255];
const UNKNOWN = [150, 150, 150]; // nuclei whose class is not known
const STRIDE = 3; // neighbours in number are usually neighbours in space: they get colours far apart in the list

/** @param {number} id @returns {number[]} R, G, B */
export function colourOf(id) {
  return COLOURS[(id * STRIDE) % COLOURS.length];
}

/** The colour of a class by its number from 1; grey for 0, which is none. @param {number} number @returns {number[]} */
export function colourOfClass(number) {
  return number ? COLOURS[((number - 1) * STRIDE) % COLOURS.length] : UNKNOWN;
}

/**
 * Nuclei in colour, with a darker rim, R G B A.
 * @param {Int32Array} ids of the whole picture @param {number} width of it @param {number} height of it
 * @param {import("./geometry.js").Rect} rect to be coloured @param {number} chosen id that is emphasised, 0 for none
 * @param {(id: number) => number[]} colourBy R, G, B of a nucleus
 * @returns {Uint8ClampedArray}
 */
export function coloured(ids, width, height, rect, chosen = 0, colourBy = colourOf) {
  const pixels = new Uint8ClampedArray(rect.width * rect.height * 4);
  let place = 0;
  for (let y = rect.top; y < rect.top + rect.height; y++) {
    for (let x = rect.left; x < rect.left + rect.width; x++, place += 4) {
      const id = ids[y * width + x];
      if (!id) continue;
      const colour = id === chosen ? CHOSEN : colourBy(id);
      const rim = onRim(ids, width, height, x, y, id) ? 0.62 : 1;
      pixels[place] = colour[0] * rim;
      pixels[place + 1] = colour[1] * rim;
      pixels[place + 2] = colour[2] * rim;
      pixels[place + 3] = 255;
    }
  }
  return pixels;
}

/**
 * Outlines of nuclei alone, R G B A.
 * @param {Int32Array} ids @param {number} width @param {number} height
 * @param {import("./geometry.js").Rect} rect @param {number} chosen
 * @returns {Uint8ClampedArray}
 */
export function outlined(ids, width, height, rect, chosen = 0) {
  const pixels = new Uint8ClampedArray(rect.width * rect.height * 4);
  let place = 0;
  for (let y = rect.top; y < rect.top + rect.height; y++) {
    for (let x = rect.left; x < rect.left + rect.width; x++, place += 4) {
      const id = ids[y * width + x];
      if (!id || !onRim(ids, width, height, x, y, id)) continue;
      const colour = id === chosen ? [255, 255, 255] : [255, 222, 60];
      pixels.set([colour[0], colour[1], colour[2], 255], place);
    }
  }
  return pixels;
}

/**
 * Whether a pixel of a nucleus has a neighbour that isn't of it.
 * @param {Int32Array} ids @param {number} width @param {number} height @param {number} x @param {number} y @param {number} id
 */
export function onRim(ids, width, height, x, y, id) {
  const at = y * width + x;
  return (
    (x > 0 && ids[at - 1] !== id) ||
    (x < width - 1 && ids[at + 1] !== id) ||
    (y > 0 && ids[at - width] !== id) ||
    (y < height - 1 && ids[at + width] !== id)
  );
}

/**
 * The id at a place of the picture, 0 outside.
 * @param {Int32Array} ids @param {number} width @param {number} height @param {import("./geometry.js").Point} point
 */
export function idAt(ids, width, height, point) {
  const x = Math.floor(point[0]);
  const y = Math.floor(point[1]);
  return x >= 0 && y >= 0 && x < width && y < height ? ids[y * width + x] : 0;
}

/**
 * The middle of a nucleus' pixels, or null where there are none.
 * @param {Int32Array} ids @param {number} width @param {number} id
 * @returns {import("./geometry.js").Point | null}
 */
export function centreOf(ids, width, id) {
  let x = 0;
  let y = 0;
  let count = 0;
  for (let at = 0; at < ids.length; at++) {
    if (ids[at] !== id) continue;
    x += at % width;
    y += Math.floor(at / width);
    count++;
  }
  return count ? [x / count + 0.5, y / count + 0.5] : null;
}

/**
 * R G B to R G B A.
 * @param {Uint8Array} bytes
 */
export function opaque(bytes) {
  const pixels = new Uint8ClampedArray((bytes.length / 3) * 4);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    pixels[to] = bytes[from];
    pixels[to + 1] = bytes[from + 1];
    pixels[to + 2] = bytes[from + 2];
    pixels[to + 3] = 255;
  }
  return pixels;
}
