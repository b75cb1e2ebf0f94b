// The server: its time, its state, and where it is.

import { field } from "./acts.js";
import { clock, local } from "./api.js";
import { attempt, confirm, copy, notice } from "./dialogs.js";
import { button, h, setHidden, setText } from "./dom.js";
import { count, dateTime } from "./format.js";
import { store } from "./store.js";

const STEPS = [[10, "10 s"], [30, "30 s"], [60, "1 min"], [300, "5 min"], [3600, "1 h"]];

export const advance = (seconds) => attempt(() => clock(store.workspace, { action: "advance", seconds }), `Time moved on by ${count(seconds, "second")}`);

export const toggleClock = () =>
  attempt(() => clock(store.workspace, { action: store.clock?.stopped ? "start" : "stop" }), store.clock?.stopped ? "Time goes on" : "Time stands still");

export class Server {
  constructor() {
    this.title = "Server";
    this.kind = "server";
    this.tools = [];
    this.time = h("div", { class: "big number" });
    this.timeNote = h("p", { class: "muted" });
    this.toggle = h("button", { type: "button", class: "button", on: { click: toggleClock } });
    this.seconds = h("input", { type: "number", min: "1", step: "any", value: "120", aria: { label: "Seconds" } });
    this.moves = h("div", { class: "actions start wrap" }, this.toggle, STEPS.map(([seconds, label]) => button(`+ ${label}`, () => advance(seconds))), h("span", { class: "inline" }, this.seconds, button("Advance", () => advance(Number(this.seconds.value)))));
    this.how = h("div", { class: "command", hidden: true }, h("code", { text: "taskrouter-stub serve" }), button("Copy the command", () => copy("taskrouter-stub serve", "Command copied"), { only: true, symbol: "copy", class: "button icon-only small" }));
    this.name = h("input", { type: "text", value: "before", maxlength: "64", spellcheck: "false" });
    this.snapshots = h("ul", { class: "plain cards" });
    this.facts = h("dl", { class: "facts" });
    this.element = h(
      "div",
      { class: "scroll page", tabindex: "0", aria: { label: "Server" } },
      h("section", { class: "card" }, h("h2", { text: "Time" }), this.time, this.timeNote, this.how, this.moves),
      h("section", { class: "card" }, h("h2", { text: "State" }), h("p", { class: "muted", text: "A snapshot keeps this workspace as it is, in the server's memory. Going back closes the workers' connections; they come back by themselves." }),
        h("div", { class: "inline" }, field("Name", this.name), button("Keep a snapshot", () => this.keep(), { class: "button primary" }), button("Reset to the seed", () => this.reset(), { class: "button danger" })),
        this.snapshots),
      h("section", { class: "card" }, h("h2", { text: "Where it is" }), this.facts),
    );
  }

  async keep() {
    const name = this.name.value.trim() || "before";
    // As the server has it: the browser would make another address of "..".
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return notice("A snapshot's name is letters, digits, “.”, “_” and “-”, and begins with a letter or digit", "bad");
    await attempt(() => local.post(store.workspace, `snapshots/${encodeURIComponent(name)}`), "The snapshot is kept");
    this.load();
  }

  async reset() {
    if (await confirm("Reset the workspace to its seed?", "Its tasks, reservations and events are lost, and what was changed about workers and queues.", "Reset")) await attempt(() => local.post(store.workspace, "reset"), "The workspace is as its seed made it");
  }

  async restore(name) {
    if (await confirm(`Go back to “${name}”?`, "What happened in this workspace since then is lost.", "Go back")) await attempt(() => local.post(store.workspace, `reset?Snapshot=${encodeURIComponent(name)}`), `The workspace is as it was in “${name}”`);
  }

  async load() {
    const workspace = store.workspace;
    if (!workspace) return;
    if (this.workspace !== workspace) this.snapshots.replaceChildren(); // those of another one
    this.workspace = workspace;
    let names;
    try {
      names = (await local.get(workspace, "snapshots")).snapshots;
    } catch {
      return; // the next visit tries again
    }
    if (this.workspace !== workspace) return;
    this.snapshots.replaceChildren(...names.map((name) => h("li", { class: "card-row" }, h("span", { class: "grow cut", text: name, title: name }), button("Go back to it", () => this.restore(name), { class: "button small" }), button("Delete", async () => {
      if (!(await confirm(`Delete the snapshot “${name}”?`, "It cannot be gone back to any more.", "Delete"))) return;
      await attempt(() => local.remove(workspace, `snapshots/${encodeURIComponent(name)}`), "The snapshot is gone");
      this.load();
    }, { class: "button small" }))));
  }

  update(_, changed) {
    if (changed?.has("all")) this.load(); // another workspace, or a server that was started anew
    const kind = store.clock?.kind;
    setHidden(this.moves, kind === "machine" || kind === undefined);
    setHidden(this.how, kind !== "machine");
    setHidden(this.toggle, kind !== "hand");
    setText(this.toggle, store.clock?.stopped ? "Let time go on" : "Stop time");
    setText(this.timeNote, {
      hand: store.clock?.stopped ? "Time stands still: nothing times out until it goes on or is moved." : "Time runs. Moving it on carries out every timeout on the way, each at its own moment. Tokens keep the machine's time.",
      standing: "This workspace's time stands still; only moving it on lets anything time out.",
      machine: "This server keeps the machine's time, which nobody moves. One that is started like this can be stopped and moved on; in tests, taskrouter.clock.advance does it:",
    }[kind] ?? "");
    const rows = [
      ["Workspace", store.config ? `${store.config.name} (${store.config.sid})` : "–"],
      ["Account", store.account ?? "–"],
      ["REST API", location.origin],
      ["Event bridge", `${location.origin}/v1/wschannels`],
      ["Websocket", `${location.origin.replace(/^http/, "ws")}/v1/wschannels`],
      ["Connections", store.sessions === undefined ? "–" : count(store.sessions, "worker connection")],
      ["Version", store.version ?? "–"],
      ["Secrets", "are never shown here: the server printed them where it was started"],
    ];
    const key = JSON.stringify(rows);
    if (key !== this.key) {
      this.key = key;
      this.facts.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { class: "wrap", text: value })]));
    }
    this.tick();
  }

  shown() {
    this.load();
    this.update();
  }

  tick() {
    setText(this.time, dateTime(store.now()));
  }
}
