// The lists: tasks, workers and reservations.

import { createTask, createWorker, reservationButtons } from "./acts.js";
import { noWorkers, nothing } from "./board.js";
import { button, h, setClass, setCut, setText } from "./dom.js";
import { attributesLine, countdown, duration, number, shortSid } from "./format.js";
import { VirtualList } from "./list.js";
import { go } from "./route.js";
import { isLive, isOpen, store } from "./store.js";

const byName = new Intl.Collator("en", { numeric: true }).compare;

/** What is shown of attributes, made once: it can be found as it is read, and as JSON. */
const readable = (item) => (item ? `${(item.line ??= attributesLine(item.attributes))} ${item.attributes}` : "");

const cell = (type, tag = "div") => h(tag, { class: `cell ${type}`, role: "gridcell" });

function setPill(node, status) {
  setText(node, status);
  setClass(node, `pill ${status}`);
}

/** A list with chips to choose by, and a text to find by. */
class ListView {
  constructor({ title, filters, list, kind }) {
    this.title = title;
    this.kind = kind;
    this.filter = filters[0][0];
    this.list = list;
    this.search = h("input", {
      type: "search",
      class: "search",
      placeholder: "Filter",
      spellcheck: "false",
      aria: { label: `Filter ${title.toLowerCase()}` },
      on: {
        input: () => this.update(),
        keydown: (event) => {
          if (event.key === "Escape" && this.search.value) {
            event.stopPropagation();
            this.search.value = "";
            this.update();
          }
          if (event.key === "ArrowDown" || event.key === "Enter") {
            event.preventDefault();
            this.list.element.focus();
            this.list.select(0);
          }
        },
      },
    });
    this.chips = new Map(filters.map(([key, label]) => {
      const amount = h("span", { class: "amount number" });
      const chip = h("button", { type: "button", class: "chip", aria: { pressed: String(key === this.filter) }, on: { click: () => this.choose(key) } }, h("span", { text: label }), amount);
      return [key, { chip, amount }];
    }));
    this.element = h("div", { class: "list-view" }, h("div", { class: "toolbar" }, h("div", { class: "chips", role: "group", aria: { label: "Show" } }, [...this.chips.values()].map((each) => each.chip)), this.search), this.list.element);
  }

  choose(key) {
    this.filter = key;
    for (const [each, { chip }] of this.chips) chip.setAttribute("aria-pressed", String(each === key));
    this.list.element.scrollTop = 0;
    this.update();
  }

  find(text) {
    this.search.value = text;
    this.update();
  }

  update() {
    const wanted = this.search.value.trim().toLowerCase();
    const counts = new Map();
    const found = [];
    for (const item of this.all()) {
      const groups = this.groups(item);
      for (const key of groups) counts.set(key, (counts.get(key) ?? 0) + 1);
      if (groups.includes(this.filter) && (!wanted || this.text(item).toLowerCase().includes(wanted))) found.push(item);
    }
    for (const [key, { amount }] of this.chips) setText(amount, number(counts.get(key) ?? 0));
    found.sort(this.order);
    this.list.set(found);
    this.say(this.list.empty, wanted, counts);
  }

  say(node, wanted) {
    const key = `${wanted}|${this.filter}|${store.ready}`;
    if (node.dataset.says === key) return;
    node.dataset.says = key;
    if (!store.ready) node.replaceChildren(h("p", { class: "muted", text: "Loading…" }));
    else if (wanted) node.replaceChildren(h("h3", { text: "Nothing found" }), h("p", { class: "muted", text: `Nothing here matches “${wanted}”.` }), button("Clear the filter", () => this.find("")));
    else node.replaceChildren(...this.nothing().flat().filter(Boolean));
  }

  tick() {
    this.list.paint();
  }

  show(sid) {
    this.list.selected = sid;
    this.list.paint();
  }

  focus() {
    this.list.element.focus({ preventScroll: true });
  }
}

// --- Tasks --------------------------------------------------------------------------------------

export class Tasks extends ListView {
  constructor() {
    const list = new VirtualList({
      label: "Tasks",
      kind: "task",
      columns: [["Status", "c-status"], ["Attributes", "c-main"], ["Queue", "c-queue"], ["Channel", "c-channel"], ["Worker", "c-worker"], ["Priority", "c-priority number"], ["Age", "c-age number"]],
      create: (row) => {
        const parts = { status: h("span", { class: "pill" }), main: cell("c-main cut"), queue: cell("c-queue cut"), channel: cell("c-channel cut"), worker: cell("c-worker cut"), priority: cell("c-priority number"), age: cell("c-age number") };
        const status = cell("c-status");
        status.append(parts.status);
        row.append(status, parts.main, parts.queue, parts.channel, parts.worker, parts.priority, parts.age);
        return parts;
      },
      fill: (parts, task) => {
        setPill(parts.status, task.status);
        if (parts.attributes !== task.attributes) {
          parts.attributes = task.attributes;
          setCut(parts.main, attributesLine(task.attributes));
        }
        setCut(parts.queue, store.queueName(task.queue));
        setCut(parts.channel, store.channelName(task.channel));
        setCut(parts.worker, store.held(task.sid).map((each) => each.workerName).join(", "));
        setText(parts.priority, String(task.priority));
        setText(parts.age, duration((isOpen(task) ? store.now() : task.updated) - task.created));
      },
      id: (task) => task.sid,
      open: (task) => go("tasks", task.sid),
    });
    super({ title: "Tasks", kind: "tasks", list, filters: [["open", "Open"], ["pending", "Waiting"], ["reserved", "Reserved"], ["assigned", "Assigned"], ["wrapping", "Wrapping"], ["ended", "Ended"]] });
    this.order = (a, b) => (this.filter === "ended" ? b.updated - a.updated : a.number - b.number);
    this.tools = [button("New task", createTask, { class: "button primary", symbol: "plus", title: "New task (n)" })];
  }

  all = () => store.tasks.values();

  groups = (task) => (isOpen(task) ? ["open", task.status] : ["ended"]);

  text = (task) => `${task.sid} ${readable(task)} ${store.queueName(task.queue)} ${store.channelName(task.channel)} ${store.held(task.sid).map((each) => each.workerName).join(" ")}`;

  nothing = () =>
    this.filter === "open" || this.filter === "pending"
      ? nothing(this.filter === "open" ? "No open tasks" : "Nobody waits", "Create one here with n, or from a terminal:", "taskrouter-stub task create topic=cards", button("New task", createTask, { class: "button primary", symbol: "plus" }))
      : nothing("None", this.filter === "ended" ? "Tasks that end are shown for five minutes, unless the server is told otherwise with --retention." : `No task is ${this.filter} now.`);
}

// --- Workers ------------------------------------------------------------------------------------

export class Workers extends ListView {
  constructor() {
    const list = new VirtualList({
      label: "Workers",
      kind: "worker",
      columns: [["Worker", "c-main"], ["Activity", "c-activity"], ["Since", "c-age number"], ["Load", "c-load"], ["Attributes", "c-attributes"]],
      create: (row) => {
        const parts = { dot: h("span", { class: "dot" }), name: h("span", { class: "cut" }), activity: h("span", { class: "pill" }), age: cell("c-age number"), load: cell("c-load cut"), more: cell("c-attributes cut muted") };
        const [main, activity] = [cell("c-main"), cell("c-activity")];
        main.append(parts.dot, parts.name);
        activity.append(parts.activity);
        row.append(main, activity, parts.age, parts.load, parts.more);
        return parts;
      },
      fill: (parts, worker) => {
        const activity = store.activity(worker.activity);
        setClass(parts.dot, worker.sessions ? "dot on" : "dot");
        const connected = worker.sessions ? "connected" : "not connected";
        if (parts.dot.title !== connected) parts.dot.title = connected;
        setCut(parts.name, worker.name);
        setCut(parts.activity, activity.name);
        setClass(parts.activity, `pill cut ${activity.available ? "available" : "unavailable"}`);
        setText(parts.age, duration(store.now() - worker.since));
        const busy = worker.channels.filter((each) => each.active);
        setCut(parts.load, busy.length ? busy.map((each) => `${store.channelName(each.sid)} ${each.active}/${each.capacity}`).join("  ") : "idle");
        setClass(parts.load, busy.length ? "cell c-load cut" : "cell c-load cut muted");
        if (parts.attributes !== worker.attributes) {
          parts.attributes = worker.attributes;
          setCut(parts.more, attributesLine(worker.attributes));
        }
      },
      id: (worker) => worker.sid,
      open: (worker) => go("workers", worker.sid),
    });
    super({ title: "Workers", kind: "workers", list, filters: [["all", "All"], ["available", "Available"], ["busy", "Busy"], ["connected", "Connected"], ["away", "Unavailable"]] });
    this.order = (a, b) => byName(a.name, b.name);
    this.tools = [button("New worker", createWorker, { class: "button primary", symbol: "plus" })];
  }

  all = () => store.workers.values();

  groups(worker) {
    const groups = ["all", store.activity(worker.activity).available ? "available" : "away"];
    if (store.byWorker.has(worker.sid)) groups.push("busy");
    if (worker.sessions) groups.push("connected");
    return groups;
  }

  text = (worker) => `${worker.sid} ${worker.name} ${readable(worker)} ${store.activity(worker.activity).name}`;

  nothing = () =>
    this.filter === "all"
      ? noWorkers()
      : nothing("None", { available: "Nobody is in an available activity. Open a worker to change its activity.", busy: "Nobody has work now.", connected: "No worker is connected. A terminal becomes one with a token:", away: "Everybody is available." }[this.filter], this.filter === "connected" ? 'eval "$(taskrouter-stub token NAME --env)"; taskrouter-worker listen' : undefined);
}

// --- Reservations -------------------------------------------------------------------------------

export class Reservations extends ListView {
  constructor() {
    const list = new VirtualList({
      label: "Reservations",
      kind: "reservation",
      height: 46,
      tall: 96,
      columns: [["Status", "c-status"], ["Worker", "c-worker"], ["Task", "c-main"], ["Queue", "c-queue"], ["Time", "c-age number"], ["On behalf", "c-acts"]],
      create: (row) => {
        const parts = { status: h("span", { class: "pill" }), worker: cell("c-worker cut"), main: cell("c-main cut"), queue: cell("c-queue cut"), age: cell("c-age number"), acts: cell("c-acts buttons") };
        const status = cell("c-status");
        status.append(parts.status);
        row.append(status, parts.worker, parts.main, parts.queue, parts.age, parts.acts);
        return parts;
      },
      fill: (parts, item) => {
        setPill(parts.status, item.status);
        setCut(parts.worker, item.workerName);
        setCut(parts.main, attributesLine(store.tasks.get(item.task)?.attributes ?? shortSid(item.task)));
        setCut(parts.queue, store.queueName(item.queue));
        const pending = item.status === "pending";
        setText(parts.age, pending ? countdown(item.deadline - store.now()) : duration((isLive(item) ? store.now() : item.updated) - item.created));
        setClass(parts.age, pending ? "cell c-age number due" : "cell c-age number");
        const key = `${item.sid} ${item.status}`;
        if (parts.key !== key) {
          parts.key = key;
          parts.acts.replaceChildren(...reservationButtons(item, { small: true }));
        }
      },
      id: (item) => item.sid,
      open: (item) => go("reservations", item.sid),
    });
    super({ title: "Reservations", kind: "reservations", list, filters: [["live", "Live"], ["pending", "To answer"], ["accepted", "Accepted"], ["wrapping", "Wrapping"], ["ended", "Ended lately"]] });
    this.order = (a, b) => (this.filter === "ended" ? b.updated - a.updated : this.filter === "pending" ? a.deadline - b.deadline : a.number - b.number);
    this.tools = [];
  }

  all = () => store.reservations.values();

  groups = (item) => (isLive(item) ? ["live", item.status] : ["ended"]);

  text = (item) => `${item.sid} ${item.workerName} ${item.worker} ${item.task} ${readable(store.tasks.get(item.task))} ${store.queueName(item.queue)}`;

  nothing = () =>
    this.filter === "ended"
      ? nothing("None yet", "Reservations that end while this page is open are kept here; those of a task are in its panel.")
      : nothing("No reservations", "A reservation offers a task to an available worker. Create a task with n, and see that a worker who suits it is available.");
}

