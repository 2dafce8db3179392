// The menus Open and Save, help, and the lines that repeat a picture.

import { byId, make, toast } from "./dom.js";
import { toolsFor } from "./tools.js";

/** A menu that opens below its button. @param {string} button @param {string} menu @param {() => (Node | string)[]} content */
export function menu(button, menu, content) {
  const opener = byId(button);
  const box = byId(menu);
  const close = () => {
    box.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  };
  opener.addEventListener("click", () => {
    const open = box.hidden;
    document.querySelectorAll(".menu").forEach((other) => ((/** @type {HTMLElement} */ (other)).hidden = true));
    box.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    box.replaceChildren(...content());
    box.style.left = `${Math.min(opener.getBoundingClientRect().left, window.innerWidth - 300)}px`;
    box.querySelector("button")?.focus();
  });
  box.addEventListener("click", close);
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const all = [...box.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      close();
      opener.focus();
    } else if (step) {
      event.preventDefault();
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    } else return;
    event.stopPropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    const target = /** @type {Node} */ (event.target);
    if (!box.contains(target) && !opener.contains(target)) close();
  });
}

/** @param {string} label @param {string} note @param {() => void} chosen */
export function entry(label, note, chosen) {
  return make("button", { role: "menuitem", click: chosen }, [label, ...(note ? [make("small", {}, [note])] : [])]);
}

/** @param {string} title @param {(Node | string)[]} content @param {string} [end] what the button that closes it says */
export function dialog(title, content, end = "Close") {
  const box = byId("dialog");
  const close = make("button", { class: end === "Close" ? "strong" : "", click: () => box.close() }, [end]);
  box.replaceChildren(make("h2", { id: "dialog-title" }, [title]), ...content, make("p", {}, [close]));
  if (!box.open) box.showModal();
  box.scrollTop = 0; // the button that gets the focus may lie below what can be seen
}

/** @param {{classes: string[], tissue: boolean}} facts */
export function help(facts) {
  const keys = toolsFor(facts).map(([, tool]) => [tool.key.toUpperCase(), `${tool.label}: ${tool.hint}`]);
  const more = [
    ["Ctrl Z", "Undo: drawing, style, seed, noise. Ctrl Shift Z or Ctrl Y: do again. Both without end."],
    ["[ ]", "Smaller or larger brush, or stamp."],
    ["1 2 3", "Side by side, overlay, outlines."],
    ["R", "Another texture."],
    ["G", "All styles of the drawing, below it; again: close."],
    [", .", "Turn the stamp, or the nucleus that was moved last."],
    ["0", "Whole picture. + and -: zoom."],
    ["Arrows", "Move the pen (Shift: far, Alt: a pixel). Space: pen down, pen up. Esc: not this stroke."],
    ["Ctrl S", "Save the picture."],
    ["?", "This help."],
  ];
  const table = (/** @type {string[][]} */ rows) =>
    make("table", {}, rows.map(([key, text]) => make("tr", {}, [make("th", { scope: "row" }, [make("kbd", {}, [key])]), make("td", {}, [text])])));
  dialog("How the studio works", [
    make("p", {}, ["Draw nuclei on the left: the tissue is painted on the right, around the stroke at once, and everywhere when the pen rests. Each stroke is a nucleus of its own. Where two meet, the one that was drawn first keeps the pixel."]),
    make("div", { class: "columns" }, [table(keys), table(more)]),
    make("p", {}, ["Drop a file anywhere: a mask (PNG, TIFF, GeoJSON) is opened; a picture becomes a style, or its nuclei are found. All that is drawn is saved at once in the folder sian-studio, and comes back when the studio is started there again."]),
    make("p", {}, ["All tissue here is synthetic: painted by a model, for research, not for diagnosis."]),
  ]);
}

/** @param {{command: string, python: string, note: string}} lines */
export function showLines(lines) {
  const part = (/** @type {string} */ name, /** @type {string} */ text) => [
    make("h3", {}, [name, " ", make("button", { click: () => copy(text) }, ["Copy"])]),
    make("pre", {}, [text]),
  ];
  dialog("The same picture without the studio", [
    make("p", {}, ["Save the mask first. ", lines.note]),
    ...part("Command line", lines.command),
    ...part("Python", lines.python),
  ]);
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser does not let this page copy; select the text and copy it.", true);
  }
}
