// What goes to the server and comes from it as files: uploads, pictures, what is saved.

import { byId, make, toast } from "./dom.js";
import { dialog } from "./menus.js";

export class Files {
  /** @param {string} token @param {() => boolean} settled whether the picture is painted to its end */
  constructor(token, settled) {
    this.token = token;
    this.settled = settled;
    this.listen();
  }

  /** @param {string} address @param {RequestInit} [request] */
  async ask(address, request = {}) {
    const answer = await fetch(address, { ...request, headers: { "X-Token": this.token } }).catch((error) => {
      throw request.signal?.aborted ? error : new Error("The studio does not answer; try again when it does.");
    });
    if (answer.ok) return answer;
    const text = await answer.text();
    let sentence = text;
    try {
      sentence = JSON.parse(text).sentence ?? text;
    } catch {
      // it is a sentence already
    }
    throw new Error(sentence);
  }

  /** @param {string} address @param {AbortSignal} [signal] */
  async blob(address, signal) {
    return (await this.ask(address, { signal })).blob();
  }

  /** @param {string} address @param {RequestInit} [request] */
  async json(address, request) {
    return (await this.ask(address, request)).json();
  }

  /** @param {string} accepted @param {string} purpose */
  pick(accepted, purpose) {
    const input = byId("file");
    input.accept = accepted;
    input.onchange = () => {
      if (input.files.length) this.send(input.files[0], purpose);
      input.value = "";
    };
    input.click();
  }

  /** @param {File} file @param {string} purpose "style", "nuclei", or "" to ask */
  async send(file, purpose) {
    try {
      const address = `/open?name=${encodeURIComponent(file.name)}&as=${purpose}`;
      const answer = await (await this.ask(address, { method: "POST", body: file })).json();
      if (answer.kind === "picture" && !purpose) this.askPurpose(file);
    } catch (error) {
      toast(String(/** @type {Error} */ (error).message), true);
    }
  }

  /** @param {File} file */
  askPurpose(file) {
    const box = byId("dialog");
    const chosen = (/** @type {string} */ purpose) => () => {
      box.close();
      this.send(file, purpose);
    };
    const ways = [
      make("p", {}, [make("button", { class: "strong", click: chosen("style") }, ["Paint in its style"])]),
      make("p", {}, [make("button", { click: chosen("nuclei") }, ["Open it, and find its nuclei"])]),
    ];
    dialog(`${file.name} is a picture`, ways, "Cancel");
  }

  /** @param {string} what */
  download(what) {
    return this.save(`/save/${what}`, what, what === "image");
  }

  /**
   * Have the browser save what the server gives; the page says when that is done.
   * @param {string} address @param {string} known the file's name where the server gives none
   * @param {boolean} [painted] whether the server waits until the picture is painted to its end
   */
  async save(address, known, painted = false) {
    await this.saving(painted, async () => {
      const answer = await this.ask(address);
      const name = decodeURIComponent((answer.headers.get("content-disposition") ?? "").split("''")[1] ?? known);
      const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      return `Saved: ${name} is where your browser puts downloads.`;
    });
  }

  /**
   * Say that something is being saved, then that it is, or why it is not.
   * @param {boolean} painted @param {() => Promise<string>} work gives the last sentence
   */
  async saving(painted, work) {
    const end = toast(painted && !this.settled() ? "Saving when the picture is painted to its end ..." : "Saving ...", false, true);
    try {
      end(await work());
    } catch (error) {
      end(`Not saved: ${/** @type {Error} */ (error).message}`, true);
    }
  }

  async copyPicture() {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": this.blob("/save/image") })]);
      toast("The picture is in the clipboard; it is synthetic: say so where you paste it.");
    } catch (error) {
      toast(`The browser does not let this page copy a picture (${/** @type {Error} */ (error).message}); save it instead.`, true);
    }
  }

  async keepItem() {
    await this.saving(true, async () => `Saved: ${(await this.json("/keep", { method: "POST" })).sentence}.`);
  }

  /** What a training has changed. @param {string} sentence */
  async showLastSheet(sentence) {
    const address = URL.createObjectURL(await this.blob("/last-sheet.png"));
    dialog("Before and after", [make("p", {}, [sentence]), make("img", { src: address, alt: "The middle of the picture before and after training" })]);
  }

  /** Files that are dropped anywhere on the page. */
  listen() {
    const sign = byId("drop");
    let inside = 0;
    window.addEventListener("dragenter", () => {
      inside++;
      sign.hidden = false;
      sign.firstElementChild.textContent = "Drop a mask, a picture or a style here";
    });
    window.addEventListener("dragleave", () => {
      inside--;
      sign.hidden = inside > 0;
    });
    window.addEventListener("dragover", (event) => event.preventDefault());
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      inside = 0;
      sign.hidden = true;
      for (const file of event.dataTransfer?.files ?? []) this.send(file, "");
    });
  }
}
