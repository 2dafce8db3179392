// What the corner of the page says of the picture.

/**
 * Where the picture stands, in a word or two.
 * @param {Record<string, any>} state as the server told it; empty before it told anything
 * @param {boolean} connected whether the server answers
 */
export function statusOf(state, connected) {
  if (!connected) return state.revision ? "no connection" : "loading ...";
  if (!state.revision) return "loading ...";
  if (state.settled !== state.revision) return "painting ...";
  return state.nuclei || state.below ? "painted" : "ready to draw";
}

/** What to say while the server does not answer. @param {number} kept how many things were done meanwhile */
export function noAnswer(kept) {
  const steps = kept ? ` ${kept} ${kept === 1 ? "step waits" : "steps wait"}.` : "";
  return `The studio does not answer. Keep this page open: what you draw is kept here and sent when it answers again.${steps} If it has ended, start it again in the same folder: sian studio, or sian studio DATASET.`;
}
