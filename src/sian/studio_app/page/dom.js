// Small helpers to build the page.

/**
 * An element with attributes, properties (by functions and booleans) and children.
 * @param {string} tag @param {Record<string, any>} [given] @param {(Node | string)[]} [children]
 * @returns {any}
 */
export function make(tag, given = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page lacks #${id}`);
  return element;
}

/** A drawing of 24 x 24. @param {string} path */
export function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  for (const [name, value] of Object.entries({ d: path, fill: "none", stroke: "currentColor" })) line.setAttribute(name, value);
  line.setAttribute("stroke-width", "1.7");
  line.setAttribute("stroke-linecap", "round");
  line.setAttribute("stroke-linejoin", "round");
  svg.append(line);
  return svg;
}

/**
 * A short message that goes by itself, or stays until what it tells of has ended.
 * @param {string} sentence @param {boolean} [bad] @param {boolean} [stays]
 * @returns {(sentence: string, bad?: boolean) => void} says in its place how it ended
 */
export function toast(sentence, bad = false, stays = false) {
  const box = byId("toasts");
  const named = /^[^:]*\.\w+: /.test(sentence); // begins with a file's name
  const text = named ? sentence : sentence.charAt(0).toUpperCase() + sentence.slice(1);
  if (box.lastChild?.textContent === text) box.lastChild.remove();
  const note = make("div", { class: bad ? "toast bad" : "toast" }, [text]);
  note.addEventListener("click", () => note.remove());
  box.append(note);
  while (box.children.length > 3) box.firstChild.remove();
  if (!stays) setTimeout(() => note.remove(), bad ? 9000 : 6000);
  return (end, badEnd = false) => {
    note.remove();
    toast(end, badEnd);
  };
}

/**
 * Buttons of which one is chosen; arrow keys go from one to the next.
 * @param {HTMLElement} group @param {(value: string) => void} chosen
 */
export function radios(group, chosen) {
  const buttons = () => /** @type {HTMLElement[]} */ ([...group.querySelectorAll('[role="radio"]')]);
  group.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest?.('[role="radio"]');
    if (button instanceof HTMLElement) chosen(button.dataset.value ?? "");
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const all = buttons();
    const next = all[(all.indexOf(/** @type {HTMLElement} */ (document.activeElement)) + step + all.length) % all.length];
    next.focus();
    chosen(next.dataset.value ?? "");
  });
}

/** Show which of some radios is chosen. @param {HTMLElement} group @param {string} value */
export function choose(group, value) {
  const buttons = /** @type {HTMLElement[]} */ ([...group.querySelectorAll('[role="radio"]')]);
  const known = buttons.some((button) => button.dataset.value === value);
  buttons.forEach((button, place) => {
    const is = button.dataset.value === value;
    button.setAttribute("aria-checked", String(is));
    button.tabIndex = is || (!known && place === 0) ? 0 : -1;
  });
}
