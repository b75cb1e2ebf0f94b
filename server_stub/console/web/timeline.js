// What happened, newest first: events, and what goes over the event bridge and the websockets.

import { nothing } from "./board.js";
import { button, h, icon, setClass, setCut, setHidden, setText } from "./dom.js";
import { attributesLine, clockTime, number, shortSid, withShortSids } from "./format.js";
import { VirtualList } from "./list.js";
import { go } from "./route.js";
import { store } from "./store.js";

const SOURCES = [["all", "Everything"], ["event", "Events"], ["frame", "Frames"], ["sent", "Sent to workers"], ["received", "Received"]];
const ARROWS = { event: "•", sent: "→", request: "←", answer: "→", connected: "+", disconnected: "–" };
const WORDS = { event: "event", sent: "sent to the worker", request: "request of the worker", answer: "answer to the worker", connected: "the worker connected", disconnected: "the worker disconnected" };

/** What happened, and to what: a task is known by its attributes, not by its SID. */
function about(line) {
  if (line.source !== "event") return line.data;
  const task = store.tasks.get(line.task);
  return task ? `${withShortSids(line.description)}  ·  ${attributesLine(task.attributes)}` : withShortSids(line.description);
}

export class Timeline {
  constructor() {
    this.title = "Timeline";
    this.kind = "timeline";
    this.source = "all";
    this.paused = false;
    this.list = new VirtualList({
      label: "Timeline",
      kind: "line",
      height: 34,
      tall: 54,
      columns: [["Time", "c-time number"], ["", "c-way"], ["What", "c-main"], ["Who", "c-worker"], ["About", "c-about"]],
      create: (row) => {
        const make = (type) => h("div", { class: `cell ${type}`, role: "gridcell" });
        const parts = { time: make("c-time number"), way: make("c-way"), main: make("c-main cut"), worker: make("c-worker cut"), about: make("c-about cut muted") };
        row.append(parts.time, parts.way, parts.main, parts.worker, parts.about);
        return parts;
      },
      fill: (parts, line) => {
        const way = line.source === "event" ? "event" : line.direction;
        setText(parts.time, clockTime(line.at, { milliseconds: true }));
        setText(parts.way, ARROWS[way]);
        setClass(parts.way, `cell c-way ${way}`);
        if (parts.way.title !== WORDS[way]) parts.way.title = WORDS[way];
        setCut(parts.main, line.type);
        setCut(parts.worker, line.worker ? (store.workers.get(line.worker)?.name ?? line.workerName ?? shortSid(line.worker)) : "");
        if (parts.line === line) return;
        parts.line = line;
        setCut(parts.about, about(line));
      },
      id: (line) => line.id,
      open: (line) => go("timeline", line.id),
    });
    this.search = h("input", { type: "search", class: "search", placeholder: "Filter", spellcheck: "false", aria: { label: "Filter the timeline" }, on: { input: () => this.update(true), keydown: (event) => { if (event.key === "ArrowDown") { event.preventDefault(); this.focus(); this.list.select(0); } } } });
    this.chips = SOURCES.map(([key, label]) => h("button", { type: "button", class: "chip", data: { key }, aria: { pressed: String(key === this.source) }, text: label, on: { click: () => this.choose(key) } }));
    this.pauseLabel = h("span", { text: "Pause" });
    this.pauseIcon = h("span", { class: "icon-box" }, icon("pause"));
    this.pauseButton = h("button", { type: "button", class: "button", title: "Hold the list still (p)", aria: { pressed: "false" }, on: { click: () => this.pause() } }, this.pauseIcon, this.pauseLabel);
    this.note = h("span", { class: "muted number note", hidden: true });
    this.tools = [this.note, this.pauseButton, button("Clear", () => this.clear())];
    this.element = h("div", { class: "list-view" }, h("div", { class: "toolbar" }, h("div", { class: "chips", role: "group", aria: { label: "Show" } }, this.chips), this.search), this.list.element);
    this.list.empty.replaceChildren(...nothing("Nothing happened yet", "Events appear as tasks and workers change. Frames appear while this page is open and a worker is connected.").filter(Boolean));
  }

  choose(key) {
    this.source = key;
    for (const chip of this.chips) chip.setAttribute("aria-pressed", String(chip.dataset.key === key));
    this.list.element.scrollTop = 0;
    this.update(true);
  }

  pause() {
    this.paused = !this.paused;
    this.pauseButton.setAttribute("aria-pressed", String(this.paused));
    setText(this.pauseLabel, this.paused ? "Go on" : "Pause");
    this.pauseIcon.replaceChildren(icon(this.paused ? "play" : "pause"));
    this.missed = store.events.length + store.frames.length;
    this.update(!this.paused);
  }

  clear() {
    store.events.length = 0;
    store.frames.length = 0;
    store.skipped = 0;
    this.update(true);
  }

  wants(line) {
    switch (this.source) {
      case "event":
      case "frame":
        return line.source === this.source;
      case "sent":
        return line.direction === "sent" || line.direction === "answer";
      case "received":
        return line.direction === "request";
      default:
        return true;
    }
  }

  update(force = false) {
    setHidden(this.note, !this.paused && !store.skipped);
    if (this.paused && !force) {
      setText(this.note, "paused");
      return;
    }
    if (store.skipped) setText(this.note, `${number(store.skipped)} skipped: too many at once`);
    const wanted = this.search.value.trim().toLowerCase();
    const task = (line) => store.tasks.get(line.task);
    const text = (line) => `${line.type} ${task(line) ? (task(line).line ??= attributesLine(task(line).attributes)) : ""} ${line.worker ?? ""} ${store.workers.get(line.worker)?.name ?? ""} ${line.description ?? ""} ${line.data ?? ""} ${line.resource ?? ""} ${line.task ?? ""}`.toLowerCase();
    const found = [];
    let [e, f] = [store.events.length - 1, store.frames.length - 1]; // both are in order: the newest are last
    while (e >= 0 || f >= 0) {
      const line = f < 0 || (e >= 0 && store.events[e].at >= store.frames[f].at) ? store.events[e--] : store.frames[f--];
      if (this.wants(line) && (!wanted || text(line).includes(wanted))) found.push(line);
    }
    // What somebody reads must not move away under their eyes.
    const { element, height } = this.list;
    const top = this.list.items[0] && element.scrollTop > height ? found.indexOf(this.list.items[0]) : 0;
    this.list.set(found);
    if (top > 0) element.scrollTop += top * height;
  }

  tick() {}

  show(id) {
    this.list.selected = id;
    this.list.paint();
  }

  find(text) {
    this.search.value = text;
    this.update(true);
  }

  focus() {
    this.list.element.focus({ preventScroll: true });
  }

  key(event) {
    if (event.key !== "p") return false;
    this.pause();
    return true;
  }
}
