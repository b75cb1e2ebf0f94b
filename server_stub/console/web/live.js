// The connection to what happens: comes back by itself, and says how it is.

import { stream } from "./api.js";
import { store } from "./store.js";

const SILENCE = 12_000; // the server speaks at least every four seconds
const WAITS = [250, 500, 1000, 2000, 4000];

export class Live {
  /** `changed` gets the kinds of things that a message changed, `stated` the state in words. */
  constructor({ changed, stated, refused }) {
    this.changed = changed;
    this.stated = stated;
    this.refused = refused;
    this.state = "connecting";
    this.messages = 0;
    this.stopped = true;
    this.rounds = 0; // a run that still waits when the next one starts is not the one that counts
  }

  start(workspace) {
    this.workspace = workspace;
    if (!this.stopped) {
      this.again = true;
      this.abort?.abort();
      return;
    }
    this.stopped = false;
    this.run(++this.rounds);
  }

  stop() {
    this.stopped = true;
    this.abort?.abort();
  }

  say(state, detail = "") {
    this.state = state;
    this.stated(state, detail);
  }

  async run(round) {
    let failures = 0;
    let none = false; // the server has no workspace at all
    const ended = () => this.stopped || round !== this.rounds;
    while (!ended()) {
      this.again = false;
      const abort = new AbortController();
      this.abort = abort;
      let watchdog;
      const heard = () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE);
      };
      this.say(none ? "vacant" : failures ? "reconnecting" : "connecting");
      none = false;
      heard();
      try {
        await stream(this.workspace, (message) => {
          heard();
          failures = 0;
          this.take(message);
        }, abort.signal);
      } catch (error) {
        if (ended()) return;
        if (error.status === 401 || error.status === 403) {
          this.stopped = true;
          this.say("closed");
          this.refused(error);
        } else if (error.status === 404) {
          none = !this.workspace;
          this.workspace = null; // it was deleted: the server's first one is shown
        } else if (error.status) this.detail = error.message;
      } finally {
        clearTimeout(watchdog);
      }
      if (ended()) return;
      if (this.again) continue;
      this.say(none ? "vacant" : "reconnecting", this.detail ?? "");
      this.detail = undefined;
      await new Promise((done) => setTimeout(done, WAITS[Math.min(failures++, WAITS.length - 1)]));
    }
  }

  take(message) {
    this.messages += 1;
    document.documentElement.dataset.messages = String(this.messages); // for those who measure
    if (message.t === "gone") {
      this.workspace = null;
      return;
    }
    const changed = store.take(message);
    if (message.t === "begin") {
      this.workspace = store.workspace;
      this.say("loading");
    }
    if (message.t === "ready") this.say("live");
    this.changed(changed);
  }
}
