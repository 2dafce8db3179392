// All styles of the drawing, below it: painted one after another, shown as they come, ended at any time.

import { byId, make, toast } from "./dom.js";
import { shown } from "./panel.js";

export class Sheet {
  /**
   * @param {import("./files.js").Files} files
   * @param {(name: string) => void} wear the drawing is to be painted in a style
   */
  constructor(files, wear) {
    this.files = files;
    this.wear = wear;
    this.box = byId("sheet");
    /** @type {AbortController | null} */
    this.painting = null;
  }

  toggle() {
    if (this.box.hidden) this.open();
    else this.close();
  }

  close() {
    if (this.box.hidden) return;
    this.painting?.abort();
    this.box.hidden = true;
    byId("stage").focus();
  }

  /** Paint the drawing as it is now in every style. */
  async open() {
    this.painting?.abort();
    const painting = (this.painting = new AbortController());
    this.build();
    try {
      const { number, names } = await this.files.json("/sheet", { method: "POST", signal: painting.signal });
      this.bar.max = names.length;
      this.cards.append(...names.map((/** @type {string} */ name) => this.card(name)));
      for (const [place, card] of [...this.cards.children].entries()) {
        this.place.textContent = `${place} of ${names.length} styles painted`;
        const picture = await this.files.blob(`/sheet/${number}/${place}`, painting.signal);
        card.querySelector("img").src = URL.createObjectURL(picture);
        this.bar.value = place + 1;
      }
      this.end(`${names.length} styles, synthetic`);
      this.actions.prepend(make("button", { click: () => this.save(number) }, ["Save the sheet"]));
    } catch (error) {
      if (painting.signal.aborted) {
        if (this.painting === painting) this.end("stopped");
      } else {
        this.end("not painted to its end");
        toast(String(/** @type {Error} */ (error).message), true);
      }
    }
  }

  build() {
    for (const picture of this.box.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    this.place = make("span", { class: "quiet", role: "status" }, ["waits until the drawing is painted"]);
    this.bar = make("progress", { value: 0, max: 1, "aria-label": "Styles painted" });
    this.stop = make("button", { click: () => this.painting?.abort() }, ["Stop"]);
    this.actions = make("span", { class: "row" }, [this.stop]);
    this.cards = make("div", { class: "cards" });
    const close = make("button", { title: "Close (G or Esc)", click: () => this.close() }, ["Close"]);
    this.box.replaceChildren(
      make("header", {}, [make("h2", {}, ["All styles"]), this.bar, this.place, make("span", { class: "gap" }), this.actions, close]),
      this.cards,
    );
    this.box.hidden = false;
    close.focus();
  }

  /** @param {string} name */
  card(name) {
    const label = `Paint in the style of ${shown(name)}`;
    return make("button", { class: "card", title: label, "aria-label": label, click: () => this.wear(name) }, [
      make("img", { alt: "", width: 256, height: 256 }),
      make("span", {}, [shown(name)]),
    ]);
  }

  /** @param {string} sentence */
  end(sentence) {
    this.place.textContent = sentence;
    this.bar.remove();
    this.stop.replaceWith(make("button", { title: "The drawing as it is now in every style", click: () => this.open() }, ["Paint again"]));
  }

  /** @param {number} number */
  save(number) {
    this.files.save(`/sheet/${number}/all`, "styles_synthetic.png");
  }
}
