// Faults: rules that stand, and what is done at once.

import { field, injectFault } from "./acts.js";
import { local } from "./api.js";
import { nothing } from "./board.js";
import { attempt, confirm, notice } from "./dialogs.js";
import { button, h, once, setHidden } from "./dom.js";
import { clockTime } from "./format.js";
import { store } from "./store.js";

// What each needs beside whom and when, see docs/faults.md.
const RULES = [
  ["drop", "Drop frames", "frames"],
  ["duplicate", "Send frames twice", "frames"],
  ["reorder", "Swap frames", "frames"],
  ["delay", "Delay frames", "frames", "delay"],
  ["cut_before", "Cut the connection before a frame", "frames"],
  ["cut_after", "Cut the connection after a frame", "frames"],
  ["half_open", "Fall silent at a frame", "frames"],
  ["slow_init", "Delay the first frame", "init", "delay"],
  ["mute_heartbeats", "Send no heartbeats", "heartbeats"],
  ["refuse_websocket", "Refuse websockets", "websockets", "status"],
  ["reset_websocket", "Reset websockets", "websockets"],
  ["refuse_request", "Refuse requests", "requests", "status"],
  ["cut_request_before", "Lose requests", "requests"],
  ["cut_request_after", "Lose answers", "requests"],
  ["delay_request", "Delay requests", "requests", "delay"],
];
const ACTIONS = [
  ["cut", "Cut connections"],
  ["half_open", "Fall silent"],
  ["expire_token", "Expire tokens"],
  ["displace", "Displace"],
  ["restart", "Ask to come back (1012)"],
];
const LOG = 30;

export class Faults {
  constructor() {
    this.title = "Faults";
    this.kind = "faults";
    this.removeAll = button("Remove all", () => this.clear(), { disabled: true });
    this.tools = [this.removeAll];
    this.rule = h("select", { on: { change: () => this.shape() } }, RULES.map(([value, text]) => h("option", { value, text })));
    const text = (placeholder, props = {}) => h("input", { type: "text", placeholder, spellcheck: "false", autocomplete: "off", ...props });
    this.worker = text("every worker", { list: "worker-names" });
    this.names = h("datalist", { id: "worker-names" });
    this.event = text("all, or reservation.*");
    this.path = text("every path, or */Reservations/*");
    this.method = h("select", {}, [["", "any"], ["GET", "GET"], ["POST", "POST"]].map(([value, label]) => h("option", { value, text: label })));
    const amount = (placeholder, props = {}) => h("input", { type: "number", placeholder, min: "0", ...props });
    this.times = amount("until removed", { min: "1" });
    this.share = amount("all of them", { min: "1", max: "100" });
    this.seconds = amount("", { value: "2", step: "any" });
    this.status = amount("", { value: "503", min: "400", max: "599" });
    this.problem = h("p", { class: "problem grow", role: "status" });
    this.extra = { event: field("Frames", this.event), path: field("Path", this.path), method: field("Method", this.method), delay: field("Seconds", this.seconds), status: field("HTTP status", this.status) };
    this.target = text("every worker", { list: "worker-names", aria: { label: "Whose sessions" } });
    this.rules = h("ul", { class: "plain cards" });
    this.log = h("ol", { class: "history" });
    this.element = h(
      "div",
      { class: "scroll page", tabindex: "0", aria: { label: "Faults" } },
      this.names,
      h("section", { class: "card" }, h("h2", { text: "New rule" }), h("p", { class: "muted", text: "It stands until it is used up or removed, and is for the clients: the console itself is spared." }),
        h("div", { class: "fields" }, field("What happens", this.rule), field("To whom", this.worker), Object.values(this.extra), field("How often", this.times), field("Share, percent", this.share)),
        h("div", { class: "actions start top" }, button("Add the rule", once(() => this.add()), { class: "button primary", symbol: "plus" }), this.problem)),
      h("section", { class: "card" }, h("h2", { text: "At once" }), h("p", { class: "muted", text: "Done to the connections that are there now." }),
        h("div", { class: "fields" }, field("To whom", this.target)), h("div", { class: "actions start wrap" }, ACTIONS.map(([action, label]) => button(label, () => this.act(action, label))))),
      h("section", { class: "card" }, h("h2", { text: "Rules" }), this.rules),
      h("section", { class: "card" }, h("h2", { text: "What was injected" }), this.log),
    );
    this.shape();
  }

  shape() {
    const [, , about, needs] = RULES.find(([value]) => value === this.rule.value);
    const wants = { event: about === "frames", path: about === "requests", method: about === "requests", delay: needs === "delay", status: needs === "status" };
    for (const [name, node] of Object.entries(this.extra)) setHidden(node, !wants[name]);
    this.wants = wants;
  }

  who(given) {
    const text = given.value.trim();
    if (!text) return undefined;
    const found = [...store.workers.values()].find((each) => each.sid === text || each.name.toLowerCase() === text.toLowerCase());
    if (!found) throw new Error(`There is no worker “${text}” in this workspace.`);
    return found.sid;
  }

  async add() {
    const body = { fault: this.rule.value };
    try {
      body.worker_sid = this.who(this.worker);
      if (this.wants.event && this.event.value.trim()) body.event_type = this.event.value.trim();
      if (this.wants.path && this.path.value.trim()) body.path = this.path.value.trim();
      if (this.wants.method && this.method.value) body.method = this.method.value;
      if (this.wants.delay) body.delay = Number(this.seconds.value);
      if (this.wants.status) body.status = Number(this.status.value);
      if (this.times.value) body.times = Number(this.times.value);
      if (this.share.value) body.share = Number(this.share.value) / 100;
      await local.post(store.workspace, "faults", body);
      this.problem.textContent = "";
      notice("The rule stands");
    } catch (error) {
      this.problem.textContent = error.message;
    }
    this.load();
  }

  async act(action, label) {
    let worker;
    try {
      worker = this.who(this.target);
    } catch (error) {
      notice(error.message, "bad");
      return;
    }
    const whom = worker ? store.workers.get(worker).name : "every worker of this workspace";
    if (!(await confirm(`${label}?`, `This is done to ${whom}, now.`, label))) return;
    const done = await injectFault({ action, worker_sid: worker });
    if (done) notice(done.sessions.length ? `It hit ${done.sessions.length} of the connections` : "Nobody of these is connected");
    this.load();
  }

  async clear() {
    if (!(await confirm("Remove all rules?", "Those of this workspace, also those that tests have added.", "Remove all"))) return;
    await attempt(() => local.remove(store.workspace, "faults"), "No rule stands");
    this.load();
  }

  async load() {
    if (!store.workspace || this.loading) return;
    this.loading = true;
    try {
      const [{ rules }, { log }] = await Promise.all([local.get(store.workspace, "faults"), local.get(store.workspace, "faults/log")]);
      this.write(rules, log);
    } catch {
      // The connection's state is shown elsewhere; the next round tries again.
    } finally {
      this.loading = false;
    }
  }

  write(rules, log) {
    const key = JSON.stringify([rules, log.at(-1)]);
    if (key === this.key) return;
    this.key = key;
    const standing = rules.filter((each) => !each.finished);
    this.removeAll.disabled = !standing.length;
    this.rules.replaceChildren(...(standing.length
      ? standing.map((each) => h("li", { class: "card-row" }, h("div", { class: "grow stack" }, h("strong", { text: RULES.find(([value]) => value === each.rule.fault)?.[1] ?? each.rule.fault }), h("span", { class: "muted wrap", text: this.about(each.rule) })), h("span", { class: "number", text: `${each.hits} of ${each.matched}`, title: "hits, of those that matched" }), button("Remove", () => attempt(() => local.remove(store.workspace, `faults/${each.id}`), "The rule is gone").then(() => this.load()), { class: "button small" })))
      : [h("li", { class: "empty small" }, nothing("No faults", "Everything works as it should. Add a rule above, or in a test with server.faults.").filter(Boolean))]));
    this.log.replaceChildren(...(log.length
      ? log.slice(-LOG).reverse().map((each) => h("li", {}, h("time", { class: "number", text: clockTime(each.at) }), h("span", { text: each.rule?.fault ?? each.action?.action ?? "fault" }), h("span", { class: "muted", text: this.name(each.worker_sid) })))
      : [h("li", { class: "muted", text: "Nothing yet." })]));
  }

  name(sid) {
    return sid ? (store.workers.get(sid)?.name ?? sid) : "";
  }

  about(rule) {
    return Object.entries(rule)
      .filter(([key]) => key !== "fault" && key !== "workspace_sid")
      .map(([key, value]) => (key === "worker_sid" ? `to ${this.name(value)}` : `${key}: ${value}`))
      .join("  ·  ") || "every one, in this workspace";
  }

  update(_, changed) {
    if (!changed || changed.has("workers") || changed.has("all")) {
      const names = [...store.workers.values()].slice(0, 200).map((each) => each.name);
      if (this.listed !== names.join("\n")) {
        this.listed = names.join("\n");
        this.names.replaceChildren(...names.map((value) => h("option", { value })));
      }
    }
  }

  shown() {
    this.key = null;
    this.load();
  }

  tick() {
    this.load();
  }
}
