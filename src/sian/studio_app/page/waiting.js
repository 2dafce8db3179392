// What was done while the server is away: it keeps in the page until the server answers.

/** @typedef {Record<string, any>} Message */

const NO_STEPS = ["outlines", "do"]; // neither changes the drawing, nor can it be undone
const EARLIER = { op: "" }; // a step that the server has done already
const REPLACE = ["new", "example", "tile"]; // another drawing comes

/** How many of the messages that wait are something that was done. @param {Message[]} messages */
export function kept(messages) {
  return messages.filter(({ op }) => !NO_STEPS.includes(op)).length;
}

/**
 * The strokes that are to be shown on the drawing as it is: those that were not taken back.
 * @param {Message[]} messages the oldest first @returns {Message[]}
 */
export function waitingStrokes(messages) {
  /** @type {Message[]} */
  const done = [];
  /** @type {Message[]} */
  const undone = [];
  for (const message of messages) {
    if (NO_STEPS.includes(message.op)) continue;
    if (message.op === "undo") undone.push(done.pop() ?? EARLIER);
    else if (message.op === "redo") done.push(...undone.splice(-1));
    else {
      done.push(message);
      undone.length = 0;
    }
  }
  const first = done.findIndex(({ op }) => REPLACE.includes(op));
  return done.slice(0, first < 0 ? done.length : first).filter(({ points }) => points?.length);
}
