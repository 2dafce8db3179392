// The right side: view, style, texture, and what is being done.

import { choose, make, radios, toast } from "./dom.js";

/**
 * @typedef {object} Calls
 * @property {(settings: Record<string, any>) => void} settings
 * @property {(mode: string) => void} mode
 * @property {(opacity: number) => void} opacity
 * @property {(name: string) => Promise<string>} thumbnail address of a style's picture
 * @property {() => void} sheet
 * @property {() => void} cancel
 * @property {() => void} pickStyle
 */

const THUMBNAILS_AT_ONCE = 2;

export class Panel {
  /** @param {HTMLElement} root @param {Calls} calls */
  constructor(root, calls) {
    this.calls = calls;
    /** @type {Record<string, any>} */
    this.state = {};
    /** @type {string[]} */
    this.names = [];
    /** @type {Map<string, string>} */
    this.pictures = new Map();
    /** @type {string[]} */
    this.wanted = [];
    this.loading = 0;
    this.worn = ""; // the chip that was chosen last
    root.append(this.viewSection(), this.styleSection(), this.textureSection(), this.jobSection());
  }

  viewSection() {
    const modes = [
      ["side", "Side by side"],
      ["overlay", "Overlay"],
      ["outlines", "Outlines"],
    ];
    this.modes = make(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "View" },
      modes.map(([value, label]) => make("button", { role: "radio", "data-value": value }, [label])),
    );
    radios(this.modes, (mode) => this.setMode(mode));
    this.opacity = make("input", { type: "range", min: 0, max: 100, value: 45, id: "opacity", input: () => this.calls.opacity(Number(this.opacity.value) / 100) });
    this.opacityRow = make("div", { class: "row" }, [make("label", { for: "opacity" }, ["Nuclei"]), this.opacity]);
    this.opacityRow.hidden = true;
    choose(this.modes, "side");
    return make("section", {}, [make("h2", {}, ["View"]), this.modes, this.opacityRow]);
  }

  /** @param {string} mode */
  setMode(mode) {
    choose(this.modes, mode);
    this.opacityRow.hidden = mode !== "overlay";
    this.calls.mode(mode);
  }

  styleSection() {
    this.chips = make("div", { class: "chips", role: "radiogroup", "aria-label": "Style" });
    radios(this.chips, (name) => this.wear(name));
    this.other = make("select", { id: "other", "aria-label": "Second style", change: () => this.mix() });
    this.part = make("input", { type: "range", min: 0, max: 100, step: 5, value: 0, "aria-label": "Part of the second style", input: () => this.showPart(), change: () => this.mix() });
    this.partOut = make("output", {}, ["0 %"]);
    this.note = make("p", { class: "note" });
    const add = make("button", { click: () => this.calls.pickStyle() }, ["From a picture ..."]);
    add.title = "A picture whose style is taken, or a style's file (JSON)";
    const all = make("button", { title: "The drawing in every style, below it (G)", click: () => this.calls.sheet() }, ["All styles"]);
    return make("section", {}, [
      make("h2", {}, ["Style"]),
      this.chips,
      make("div", { class: "row" }, [add, all]),
      make("div", { class: "row" }, [make("label", { for: "other" }, ["Mix with"]), this.other]),
      make("div", { class: "row" }, [this.part, this.partOut]),
      this.note,
    ]);
  }

  textureSection() {
    this.seed = make("input", { type: "number", min: 0, max: 2 ** 31, id: "seed", value: 0, change: () => this.setSeed(Number(this.seed.value)) });
    const dice = make("button", { title: "Another texture (R)", click: () => this.dice() }, ["Dice"]);
    this.noise = make("input", { type: "range", min: 0, max: 2, step: 0.05, value: 1, id: "noise", change: () => this.calls.settings({ noise: Number(this.noise.value) }), input: () => this.showNoise() });
    this.noiseOut = make("output", {}, ["1.00"]);
    return make("section", {}, [
      make("h2", {}, ["Texture"]),
      make("div", { class: "row" }, [make("label", { for: "seed" }, ["Seed"]), this.seed, dice]),
      make("div", { class: "row" }, [make("label", { for: "noise" }, ["Noise"]), this.noise, this.noiseOut]),
    ]);
  }

  jobSection() {
    this.jobName = make("p", { class: "note" });
    this.bar = make("progress", { "aria-label": "Progress" });
    const stop = make("button", { click: () => this.calls.cancel() }, ["Stop"]);
    this.job = make("section", { class: "job" }, [make("h2", {}, ["Being done"]), this.jobName, this.bar, stop]);
    this.job.hidden = true;
    return this.job;
  }

  dice() {
    this.setSeed(Math.floor(Math.random() * 10000));
  }

  /** @param {number} seed */
  setSeed(seed) {
    if (!Number.isInteger(seed) || seed < 0 || seed > 2 ** 31) {
      toast("A seed is a whole number from 0 to 2,147,483,648.", true);
      this.seed.value = this.state.seed;
      return;
    }
    this.calls.settings({ seed });
  }

  showPart() {
    this.partOut.textContent = `${this.part.value} %`;
  }

  showNoise() {
    this.noiseOut.textContent = Number(this.noise.value).toFixed(2);
  }

  /** @param {string} name */
  wear(name) {
    this.part.value = "0";
    this.showPart();
    this.calls.settings({ style: { [name]: 1 } });
  }

  mix() {
    const part = Number(this.part.value) / 100;
    const first = this.main();
    const second = this.other.value;
    this.showPart();
    if (!first || !second || second === first) return;
    const style = part <= 0 ? { [first]: 1 } : part >= 1 ? { [second]: 1 } : { [first]: round(1 - part), [second]: round(part) };
    this.calls.settings({ style });
  }

  /** The first of the styles that are mixed. */
  main() {
    const parts = Object.keys(this.state.style ?? {});
    return parts.find((name) => name !== this.other.value) ?? parts[0];
  }

  /** @param {Record<string, any>} state */
  show(state) {
    this.state = state;
    this.showChips(state.styles);
    const parts = Object.entries(state.style);
    choose(this.chips, parts[0][0]);
    this.reveal(parts[0][0]);
    if (document.activeElement !== this.part) {
      if (parts.length > 1) this.other.value = parts[1][0];
      this.part.value = parts.length > 1 ? String(Math.round(100 * Number(parts[1][1]))) : "0";
      this.showPart();
    }
    if (document.activeElement !== this.seed) this.seed.value = state.seed;
    if (document.activeElement !== this.noise) this.noise.value = state.noise;
    this.showNoise();
    const note = state.styles.find((/** @type {any} */ style) => style.name === parts[0][0])?.note ?? "";
    this.note.textContent = note;
    this.note.hidden = !note;
    this.showJob(state.job);
  }

  /** Scroll to the chip that is chosen now, if it is another one. @param {string} name */
  reveal(name) {
    if (name === this.worn) return;
    this.worn = name;
    const chip = this.chips.querySelector(`[data-value="${CSS.escape(name)}"]`);
    if (!chip) return;
    const [inner, outer] = [chip.getBoundingClientRect(), this.chips.getBoundingClientRect()];
    if (inner.top < outer.top) this.chips.scrollTop -= outer.top - inner.top + 4;
    else if (inner.bottom > outer.bottom) this.chips.scrollTop += inner.bottom - outer.bottom + 4;
  }

  /** @param {{name: string, step: string, done: number, total: number, waiting: number} | null} job */
  showJob(job) {
    this.job.hidden = !job;
    if (!job) return;
    const place = job.total ? ` ${job.done} of ${job.total}` : "";
    this.jobName.textContent = job.name + (job.step ? `; ${job.step}${place}` : "") + (job.waiting ? ` (${job.waiting} waiting)` : "");
    if (job.total) {
      this.bar.max = job.total;
      this.bar.value = job.done;
    } else this.bar.removeAttribute("value");
  }

  /** @param {{name: string, note: string}[]} styles */
  showChips(styles) {
    const names = styles.map((style) => style.name);
    if (names.join("\n") === this.names.join("\n")) return;
    for (const gone of this.names) if (!names.includes(gone)) this.pictures.delete(gone); // the name may come again
    this.names = names;
    this.worn = "";
    this.chips.replaceChildren(...names.map((name) => this.chip(name)));
    const kept = this.other.value;
    this.other.replaceChildren(...names.map((name) => make("option", { value: name }, [shown(name)])));
    if (names.includes(kept)) this.other.value = kept;
    else if (names.length > 1) this.other.value = names[1];
    this.loadMissing();
  }

  /** @param {string} name */
  chip(name) {
    const picture = make("img", { alt: "", width: 96, height: 96 });
    const known = this.pictures.get(name);
    if (known) picture.src = known;
    return make("button", { class: "chip", role: "radio", "data-value": name, title: shown(name), "aria-label": shown(name) }, [
      picture,
      make("span", { class: "label" }, [shown(name)]),
    ]);
  }

  /** Load all thumbnails that are missing, also those that a server that went away did not send. */
  loadMissing() {
    this.wanted = this.names.filter((name) => !this.pictures.has(name));
    this.load();
  }

  /** Load what is wanted, a few at once: painting the drawing comes first. */
  load() {
    while (this.loading < THUMBNAILS_AT_ONCE && this.wanted.length) {
      const name = /** @type {string} */ (this.wanted.shift());
      this.loading++;
      this.calls
        .thumbnail(name)
        .then((address) => {
          this.pictures.set(name, address);
          const chip = this.chips.querySelector(`[data-value="${CSS.escape(name)}"] img`);
          if (chip instanceof HTMLImageElement) chip.src = address;
        })
        .catch(() => {})
        .finally(() => {
          this.loading--;
          this.load();
        });
    }
  }
}

/** A style's name for people. @param {string} name */
export function shown(name) {
  return name.replace(/^@/, "").replace("/", ", ");
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
