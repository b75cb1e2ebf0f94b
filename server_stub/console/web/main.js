// The page: who is let in, what is shown, and which key does what.

import { createTask, createWorker, setActivity, setReservation } from "./acts.js";
import { session, whenLoggedOut } from "./api.js";
import { Board } from "./board.js";
import { Details } from "./details.js";
import { dialog } from "./dialogs.js";
import { button, h, icon, setClass, setHidden, setText } from "./dom.js";
import { Faults } from "./faults.js";
import { Live } from "./live.js";
import { login } from "./login.js";
import { palette } from "./palette.js";
import { go, here, whenGone } from "./route.js";
import { Server, advance, toggleClock } from "./server.js";
import { store } from "./store.js";
import { Timeline } from "./timeline.js";
import { Reservations, Tasks, Workers } from "./views.js";

const PAINT = 200; // milliseconds between two updates of what is shown

const app = document.querySelector("#app");
const NAMES = { board: "Board", tasks: "Tasks", workers: "Workers", reservations: "Reservations", timeline: "Timeline", faults: "Faults", server: "Server" };
const EMPTY = "The server has no workspace. “taskrouter-stub reset” goes back to the seed; the REST API makes a new one.";
const STATES = { live: "Live", connecting: "Connecting", loading: "Loading", reconnecting: "Reconnecting", vacant: "No workspace", closed: "Closed" };
const KEYS = [
  ["/  or  Ctrl-K", "find or do anything"],
  ["1 … 7", "board, tasks, workers, reservations, timeline, faults, server"],
  ["j  k  ↓  ↑", "down and up in a list"],
  ["Enter", "open what is selected"],
  ["Escape", "close the panel or dialog"],
  ["f", "filter the list"],
  ["n", "new task"],
  ["a  r  w  c", "accept, reject, wrap up, complete: the selected reservation, or the task's or worker's in the panel"],
  ["p", "pause the timeline"],
  ["t", "light, dark, or as the system"],
  ["?", "these keys"],
];

class Page {
  constructor() {
    this.views = { board: new Board(), tasks: new Tasks(), workers: new Workers(), reservations: new Reservations(), timeline: new Timeline(), faults: new Faults(), server: new Server() };
    this.details = new Details({ close: () => this.close() });
    this.dirty = new Set();
    this.live = new Live({ changed: (kinds) => this.changed(kinds), stated: (...state) => this.stated(...state), refused: (error) => enter(error.message) });
    this.nav = new Map();
    for (const [index, view] of Object.keys(NAMES).entries()) {
      const amount = h("span", { class: "amount number" });
      const item = h("a", { class: "nav-item", href: `#/${view}`, title: `${NAMES[view]} (${index + 1})`, aria: { label: NAMES[view] } }, icon(view), h("span", { class: "nav-name", text: NAMES[view] }), amount);
      this.nav.set(view, { item, amount });
    }
    this.workspaces = h("select", { class: "workspaces", hidden: true, aria: { label: "Workspace" }, on: { change: (event) => this.choose(event.target.value) } });
    this.workspace = h("div", { class: "workspace cut" });
    this.state = h("span", { class: "state-text", text: "Connecting" });
    this.connection = h("div", { class: "connection connecting", role: "status" }, h("span", { class: "state-dot" }), this.state);
    this.clockBadge = h("a", { class: "badge", href: "#/server", hidden: true, text: "Time stands still" });
    this.theme = h("button", { type: "button", class: "button icon-only", on: { click: () => this.turnTheme() } });
    this.title = h("h1", {});
    this.tools = h("div", { class: "tools" });
    this.place = h("div", { class: "place" });
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.element = h(
      "div",
      { class: "shell" },
      h("header", { class: "side" },
        h("div", { class: "brand" }, h("img", { src: "/console/icon.svg", alt: "", width: "26", height: "26" }), h("div", { class: "brand-text" }, h("strong", { text: "TaskRouter" }), h("span", { class: "muted", text: "local" }))),
        h("div", { class: "choose" }, this.workspaces, this.workspace),
        h("nav", { aria: { label: "Views" } }, [...this.nav.values()].map((each) => each.item)),
        h("div", { class: "side-end" }, this.connection, h("div", { class: "side-tools" },
          button("Find or do anything", () => this.palette(), { only: true, symbol: "search", class: "button icon-only", title: "Find or do anything (/ or Ctrl-K)" }),
          this.theme,
          button("Keys", () => this.help(), { only: true, symbol: "help", class: "button icon-only", title: "Keys (?)" }),
          button("Leave", () => this.leave(), { only: true, symbol: "logout", class: "button icon-only", title: "Leave the console" })))),
      h("main", { class: "main" }, h("div", { class: "topbar" }, this.title, this.clockBadge, this.tools), this.banner, this.place),
      this.details.element,
    );
    this.showTheme();
    addEventListener("hashchange", () => location.hash !== this.routed && this.route());
    whenGone(() => this.route());
    addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => !document.hidden && this.paint());
    setInterval(() => this.tick(), 1000);
  }

  start() {
    app.replaceChildren(this.element);
    this.route();
    let workspace;
    try {
      workspace = sessionStorage.getItem("taskrouter-console-workspace");
    } catch {
      // The server's first one is shown.
    }
    this.live.start(workspace);
  }

  // --- What is shown ------------------------------------------------------------------------

  route() {
    this.routed = location.hash;
    const { view, kind, sid } = here();
    const next = this.views[view];
    if (this.view !== next) {
      this.view = next;
      document.title = `${next.title} · TaskRouter console`;
      setText(this.title, next.title);
      this.tools.replaceChildren(...next.tools);
      this.place.replaceChildren(next.element);
      for (const [name, { item }] of this.nav) {
        if (name === view) item.setAttribute("aria-current", "page");
        else item.removeAttribute("aria-current");
      }
      if (store.ready) next.update(true);
      next.shown?.();
      next.focus?.();
    }
    next.show?.(sid);
    this.details.show(kind, sid);
    if (sid && matchMedia("(max-width: 719px)").matches) this.details.element.focus({ preventScroll: true });
  }

  close() {
    const { view, sid } = here();
    if (!sid) return;
    go(view);
    this.views[view].focus?.();
  }

  changed(kinds) {
    for (const kind of kinds) this.dirty.add(kind);
    if (this.painting || document.hidden) return;
    const wait = Math.max(0, PAINT - (performance.now() - (this.paintedAt ?? 0)));
    this.painting = setTimeout(() => requestAnimationFrame(() => this.paint()), wait);
  }

  paint() {
    clearTimeout(this.painting);
    this.painting = undefined;
    this.paintedAt = performance.now();
    const changed = this.dirty;
    this.dirty = new Set();
    if (!changed.size || !store.config) return;
    this.frame(changed);
    if (!store.ready) return; // one update when everything is here, rather than one for each piece
    const about = { timeline: ["timeline", "all"], faults: ["workers", "all"], server: ["server", "config", "all"] }[this.view.kind];
    if (!about || about.some((kind) => changed.has(kind))) this.view.update(false, changed);
    if ([...changed].some((kind) => kind !== "timeline" && kind !== "server")) this.details.update(changed);
  }

  frame(changed) {
    if (changed.has("server") || changed.has("config") || changed.has("all")) {
      const several = (store.workspaces?.length ?? 0) > 1;
      setHidden(this.workspaces, !several);
      setHidden(this.workspace, several);
      setText(this.workspace, store.config.name);
      this.workspace.title = store.config.name;
      const key = JSON.stringify([store.workspaces, store.workspace]);
      if (key !== this.workspacesKey) {
        this.workspacesKey = key;
        this.workspaces.replaceChildren(...(store.workspaces ?? []).map(([sid, name]) => h("option", { value: sid, text: name, selected: sid === store.workspace })));
      }
      setHidden(this.clockBadge, !store.clock?.stopped);
    }
    let [open, pending] = [0, 0];
    if (store.ready) {
      for (const each of store.tasks.values()) if (each.status !== "completed" && each.status !== "canceled") open += 1;
      for (const each of store.reservations.values()) if (each.status === "pending") pending += 1;
      setText(this.nav.get("tasks").amount, open ? String(open) : "");
      setText(this.nav.get("workers").amount, store.workers.size ? String(store.workers.size) : "");
      setText(this.nav.get("reservations").amount, pending ? String(pending) : "");
    }
    setHidden(this.banner, !store.unseen);
    if (store.unseen) setText(this.banner, `${store.unseen} older tasks are not listed: there are too many.`);
  }

  tick() {
    if (document.hidden || !store.ready) return;
    this.view?.tick();
    this.details.tick();
  }

  stated(state, detail) {
    setText(this.state, STATES[state]);
    setClass(this.connection, `connection ${state}`);
    this.connection.title = detail || { live: "Connected: changes are shown as they happen", reconnecting: "The server does not answer; trying again" }[state] || STATES[state];
    document.body.classList.toggle("stale", state === "reconnecting" || state === "vacant");
    if (state === "vacant") {
      setText(this.banner, EMPTY);
      setHidden(this.banner, false);
    } else if (this.banner.textContent === EMPTY) setHidden(this.banner, true);
  }

  choose(workspace) {
    try {
      sessionStorage.setItem("taskrouter-console-workspace", workspace);
    } catch {
      // It is chosen for now.
    }
    go(here().view);
    store.ready = false;
    this.live.start(workspace);
  }

  // --- Theme --------------------------------------------------------------------------------

  turnTheme() {
    const order = ["auto", "light", "dark"];
    const next = order[(order.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("taskrouter-console-theme", next);
    } catch {
      // It holds until the page is closed.
    }
    this.showTheme();
  }

  showTheme() {
    const theme = document.documentElement.dataset.theme ?? "auto";
    this.theme.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[theme]));
    const says = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" }[theme];
    this.theme.setAttribute("aria-label", says);
    this.theme.title = `${says} (t)`;
  }

  // --- Keys ---------------------------------------------------------------------------------

  commands() {
    const views = Object.entries(NAMES).map(([view, name], index) => ({ text: `Go to ${name.toLowerCase()}`, keys: String(index + 1), run: () => go(view) }));
    const { kind, sid } = here();
    const worker = kind === "workers" && store.workers.get(sid);
    const activities = worker ? [...store.activities.values()].filter((each) => each.sid !== worker.activity).map((each) => ({ text: `Move ${worker.name} to ${each.name}`, run: () => setActivity(worker, each.sid) })) : [];
    const time = store.clock?.kind === "machine" ? [] : [
      ...(store.clock?.kind === "hand" ? [{ text: store.clock.stopped ? "Let time go on" : "Stop time", run: toggleClock }] : []),
      ...[[30, "30 seconds"], [120, "2 minutes"]].map(([seconds, label]) => ({ text: `Advance the clock by ${label}`, run: () => advance(seconds) })),
    ];
    return [
      { text: "New task", keys: "n", run: createTask },
      { text: "New worker", run: createWorker },
      ...activities,
      ...views,
      ...time,
      { text: "Pause or go on with the timeline", keys: "p", run: () => { go("timeline"); this.views.timeline.pause(); } },
      { text: "Change the theme", keys: "t", run: () => this.turnTheme() },
      { text: "Show the keys", keys: "?", run: () => this.help() },
      { text: "Leave the console", run: () => this.leave() },
    ];
  }

  palette() {
    palette(this.commands());
  }

  help() {
    dialog({ title: "Keys" }, (close) => [h("dl", { class: "keys" }, KEYS.map(([keys, what]) => [h("dt", {}, h("kbd", { text: keys })), h("dd", { text: what })])), h("div", { class: "actions" }, button("Close", () => close(), { class: "button primary", autofocus: true }))]);
  }

  /** What the keys a, r, w and c are about: the reservation in the panel, or the only one that it could be. */
  reservation(status) {
    const { kind, sid } = here();
    const chosen = sid ?? (this.view.kind === "reservations" ? this.view.list.selected : null);
    if (!chosen) return null;
    const from = { accepted: ["pending"], rejected: ["pending"], wrapping: ["accepted"], completed: ["accepted", "wrapping"] }[status];
    const held = chosen.startsWith("WR") ? [store.reservations.get(chosen)] : ["tasks", "workers"].includes(kind) ? store.held(chosen) : [];
    const fit = held.filter((each) => each && from.includes(each.status));
    return fit.length === 1 ? fit[0] : null;
  }

  key(event) {
    if (!this.element.isConnected) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      this.palette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (event.target.matches("input, textarea")) event.target.blur();
      this.close();
      return;
    }
    if (event.target.matches("input, textarea, select")) return;
    const views = Object.keys(NAMES);
    const act = { a: "accepted", r: "rejected", w: "wrapping", c: "completed" }[event.key];
    if (event.key === "/") this.palette();
    else if (event.key === "?") this.help();
    else if (event.key === "n") createTask();
    else if (event.key === "t") this.turnTheme();
    else if (event.key === "f" && this.view.search) this.view.search.focus();
    else if (event.key >= "1" && event.key <= String(views.length)) go(views[Number(event.key) - 1]);
    else if (act) {
      const item = this.reservation(act);
      if (!item) return;
      setReservation(item, act);
    } else {
      this.view.key?.(event);
      return;
    }
    event.preventDefault();
  }

  async leave() {
    this.live.stop();
    await session.end().catch(() => {});
    enter("You have left the console.");
  }
}

// --- The door -------------------------------------------------------------------------------------

let page;

function enter(problem) {
  page?.live.stop();
  app.replaceChildren(login(problem, begin));
  app.querySelector("input")?.focus();
}

function begin() {
  page ??= new Page();
  page.start();
}

async function open() {
  whenLoggedOut(() => enter("The session is over, or the server was started anew with other credentials: open its new link."));
  const key = /^#key=([\w-]+)$/.exec(location.hash)?.[1];
  if (key) {
    history.replaceState(null, "", location.pathname); // the key is in no history, and not to be seen
    try {
      await session.begin({ key });
      begin();
    } catch (error) {
      enter(error.message);
    }
    return;
  }
  try {
    await session.check();
    begin();
  } catch (error) {
    enter(error.status === 401 ? "" : error.message);
  }
}

addEventListener("hashchange", () => location.hash.startsWith("#key=") && open());
open();
