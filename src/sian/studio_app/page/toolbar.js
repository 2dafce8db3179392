// The left side: the tools that the model can follow, and the options of the chosen one.

import { byId, choose, icon, make, radios } from "./dom.js";
import { clamp } from "./geometry.js";
import { colourOfClass } from "./ids.js";
import { filledLike, TOOLS, toolsFor } from "./tools.js";

/** @typedef {{organs: string[], examples: string[], classes: string[], tissue: boolean}} Facts */

const NUCLEUS_RADII = [1, 60]; // px
const TISSUE_RADII = [8, 120];
const DRAWS_NUCLEI = ["brush", "outline", "stamp", "fill", "classify"];

export class Toolbar {
  /**
   * @param {import("./stage.js").Stage} stage @param {import("./tools.js").Options} options
   * @param {object} calls
   * @param {() => void} calls.outline another outline to stamp is wanted
   * @param {() => void} calls.organ outlines of another organ are wanted
   * @param {() => void} calls.forget the tissue map is to go
   */
  constructor(stage, options, calls) {
    this.stage = stage;
    this.options = options;
    this.calls = calls;
    /** @type {Facts} */
    this.facts = { organs: [], examples: [], classes: [], tissue: false };
    /** @type {Record<string, number>} */
    this.style = {};
    radios(byId("tools"), (name) => this.setTool(name));
    this.showTools();
    this.setTool("brush");
  }

  /** @param {Facts} facts */
  know(facts) {
    this.facts = facts;
    if (!facts.classes.includes(this.options.kind)) this.options.kind = facts.classes[0] ?? "";
    this.showTools();
    this.setTool(this.stage.tool);
  }

  /** The drawing is painted in another style. @param {Record<string, number>} style */
  wear(style) {
    const before = this.filled().note;
    this.style = style;
    if (this.filled().note === before) return;
    this.calls.organ();
    if (this.invents()) this.showOptions();
  }

  /** Whose nuclei are invented. */
  organ() {
    return this.filled().organ;
  }

  filled() {
    return filledLike(this.options.organ, this.style, this.facts.organs);
  }

  /** Whether the chosen tool invents nuclei. */
  invents() {
    return TOOLS[this.stage.tool].kind === "stamp" || this.stage.tool === "fill";
  }

  showTools() {
    byId("tools").replaceChildren(
      ...toolsFor(this.facts).map(([name, tool]) =>
        make("button", { role: "radio", "data-value": name, title: `${tool.label} (${tool.key.toUpperCase()}): ${tool.hint}`, "aria-label": tool.label }, [
          icon(tool.icon),
          make("span", { class: "label" }, [tool.label]),
          make("kbd", { "aria-hidden": "true" }, [tool.key.toUpperCase()]),
        ]),
      ),
    );
  }

  /** @param {string} name */
  setTool(name) {
    const stage = this.stage;
    stage.tool = name;
    choose(byId("tools"), name);
    byId("hint").textContent = TOOLS[name].hint;
    byId("stage").style.cursor = name === "pan" ? "grab" : name === "move" ? "move" : "crosshair";
    if (name !== "move") stage.picture.choose(0);
    stage.radius = this.onTissue() ? this.options.tissueRadius : this.options.radius;
    if (name === "stamp" && !stage.stampOutline.length) this.calls.outline();
    this.showOptions();
    stage.draw();
  }

  /** The tool of a key, if the model can follow it. @param {string} key */
  toolOf(key) {
    return toolsFor(this.facts).find(([, tool]) => tool.key === key)?.[0];
  }

  onTissue() {
    return TOOLS[this.stage.tool].needs === "tissue";
  }

  /** The smallest and the largest radius of the chosen brush, px. */
  radii() {
    return this.onTissue() ? TISSUE_RADII : NUCLEUS_RADII;
  }

  showOptions() {
    const { stage, options } = this;
    const kind = TOOLS[stage.tool].kind;
    /** @type {Node[]} */
    const rows = [];
    const [least, most] = this.radii();
    if (kind === "brush") rows.push(...this.slider("Radius", least, most, 0.5, stage.radius, " px", (value) => this.setRadius(value)));
    if (kind === "stamp") rows.push(...this.slider("Size", 30, 300, 5, Math.round(stage.stampScale * 100), " %", (value) => (stage.stampScale = value / 100)));
    if (kind === "stamp") rows.push(...this.slider("Angle", -180, 180, 5, degrees(stage.stampAngle), "°", (value) => (stage.stampAngle = (value * Math.PI) / 180)));
    if (stage.tool === "fill") rows.push(...this.slider("Density", 20, 300, 10, options.density * 100, " %", (value) => (options.density = value / 100)));
    if (stage.tool === "stroma") rows.push(...this.slider("Density", -100, 100, 10, options.fibres * 100, " %", (value) => (options.fibres = value / 100)));
    if (this.onTissue()) rows.push(make("button", { title: "Say nothing of the tissue between the nuclei; undo brings the map back", click: () => this.calls.forget() }, ["Forget the map"]));
    if (this.invents()) rows.push(...this.organSelect());
    if (this.facts.classes.length && DRAWS_NUCLEI.includes(stage.tool)) rows.push(this.kinds());
    byId("options").replaceChildren(...rows);
  }

  /** The brush a step larger or smaller. @param {number} factor */
  resize(factor) {
    const stage = this.stage;
    if (stage.tool === "stamp") stage.stampScale = clamp(stage.stampScale * factor, 0.3, 3);
    else this.setRadius(Math.round(stage.radius * factor * 2) / 2 || 1);
    this.showOptions();
    stage.draw();
  }

  /** @param {number} radius */
  setRadius(radius) {
    const [least, most] = this.radii();
    this.stage.radius = clamp(radius, least, most);
    if (this.onTissue()) this.options.tissueRadius = this.stage.radius;
    else this.options.radius = this.stage.radius;
  }

  /**
   * @param {string} name @param {number} low @param {number} high @param {number} step @param {number} value
   * @param {string} unit @param {(value: number) => void} changed
   */
  slider(name, low, high, step, value, unit, changed) {
    const id = `option-${name.toLowerCase()}`;
    const label = make("label", { for: id }, [`${name}: ${value}${unit}`]);
    const range = make("input", { type: "range", id, min: low, max: high, step, value });
    range.addEventListener("input", () => {
      label.textContent = `${name}: ${range.value}${unit}`;
      changed(Number(range.value));
      this.stage.draw();
    });
    return [label, range];
  }

  organSelect() {
    const label = make("label", { for: "option-organ" }, ["Nuclei like those of"]);
    const select = make("select", { id: "option-organ", title: "Size, form and density of invented nuclei are those of this organ" });
    select.append(make("option", { value: "" }, ["the style"]), ...this.facts.organs.map((name) => make("option", { value: name }, [name])));
    select.value = this.options.organ;
    select.addEventListener("change", () => {
      this.options.organ = select.value;
      this.calls.organ();
      this.showOptions();
      byId("option-organ").focus();
    });
    const { note } = this.filled();
    return [label, select, ...(note ? [make("p", { class: "note", id: "option-note" }, [note])] : [])];
  }

  /** The classes that nuclei can have, with their colours. */
  kinds() {
    const group = make("div", { class: "kinds", role: "radiogroup", "aria-label": "Class of nuclei" });
    const names = [...this.facts.classes, ""];
    for (const name of names) {
      const sign = make("span", { class: "sign", "aria-hidden": "true" });
      sign.style.background = `rgb(${colourOfClass(name ? this.facts.classes.indexOf(name) + 1 : 0).join(" ")})`;
      group.append(make("button", { role: "radio", "data-value": name, title: name || "no class" }, [sign, name || "no class"]));
    }
    radios(group, (name) => {
      this.options.kind = name;
      choose(group, name);
    });
    choose(group, this.options.kind);
    return group;
  }
}

/** An angle as the slider shows it, -180 to 180. @param {number} radians */
function degrees(radians) {
  const whole = Math.round((radians * 180) / Math.PI);
  return ((((whole + 180) % 360) + 360) % 360) - 180;
}
