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

/** What to say while the server does not answer. */
export const NO_ANSWER =
  "The studio does not answer. Keep this page open: what you draw is kept here and sent when it answers again. If it was ended, start sian studio again in the same folder.";
