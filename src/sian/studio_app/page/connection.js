// The line to the server: what was said and not yet answered is said again after a break, and nothing is done twice.

/** @typedef {Record<string, any>} Head */

/**
 * A binary message: the length of a JSON head, the head, the payload.
 * @param {ArrayBuffer} buffer
 * @returns {{head: Head, payload: Uint8Array}}
 */
export function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { head, payload: new Uint8Array(buffer, 4 + length) };
}

const FIRST_WAIT = 300; // ms before the line is tried again; doubled each time
const LONGEST_WAIT = 4000;

export class Connection {
  /**
   * @param {string} url of the socket
   * @param {(head: Head, payload: Uint8Array) => void} heard
   * @param {(open: boolean) => void} changed
   */
  constructor(url, heard, changed) {
    this.url = url;
    this.heard = heard;
    this.changed = changed;
    this.next = Date.now(); // larger than all numbers of this page before it was loaded again
    /** @type {Head[]} */
    this.unanswered = [];
    this.wait = FIRST_WAIT;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.open();
  }

  open() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      this.socket = null;
      this.changed(false);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
    };
    this.opening = socket;
  }

  /** @param {string | ArrayBuffer} data */
  receive(data) {
    if (typeof data !== "string") {
      const { head, payload } = unpacked(data);
      this.heard(head, payload);
      return;
    }
    const head = JSON.parse(data);
    if (head.type === "welcome") this.welcome(head.seen);
    if (head.type === "done" || head.type === "refused") {
      this.unanswered = this.unanswered.filter((message) => message.n !== head.n);
    }
    this.heard(head, new Uint8Array(0));
  }

  /** @param {number} seen the number of this page's last message that was done */
  welcome(seen) {
    this.socket = this.opening || null;
    this.wait = FIRST_WAIT;
    this.unanswered = this.unanswered.filter((message) => message.n > seen);
    for (const message of this.unanswered) this.socket?.send(JSON.stringify(message));
    this.changed(true);
  }

  /**
   * Say something that must not be lost; returns its number.
   * @param {Head} message
   */
  say(message) {
    const numbered = { ...message, n: this.next++ };
    this.unanswered.push(numbered);
    this.socket?.send(JSON.stringify(numbered));
    return numbered.n;
  }

  /**
   * Say something that only matters now.
   * @param {Head} message
   */
  mention(message) {
    this.socket?.send(JSON.stringify(message));
  }
}
