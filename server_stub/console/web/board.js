// The board: how the workspace is, at a glance.

import { createTask, createWorker, reservationButtons } from "./acts.js";
import { copy } from "./dialogs.js";
import { button, h, setClass, setCut, setHidden, setText } from "./dom.js";
import { attributesLine, countdown, duration, number } from "./format.js";
import { go } from "./route.js";
import { isOpen, store } from "./store.js";

const QUEUES = 60;
const LINES = 8;

/** A command's words: a line ends between them, not at the hyphens in them. */
const words = (command) => command.split(" ").flatMap((word, index) => [index > 0 && " ", h("span", { class: "word", text: word })]);

/** Something to do where there is nothing to see, with a command to copy. */
export function nothing(title, text, command, ...more) {
  return [
    h("h3", { text: title }),
    h("p", { class: "muted", text }),
    command && h("div", { class: "command" }, h("code", {}, words(command)), button("Copy the command", () => copy(command, "Command copied"), { only: true, symbol: "copy", class: "button icon-only small" })),
    more,
  ];
}

/** What is said where there is no worker. */
export const noWorkers = () =>
  nothing("No workers yet", "Create one here, in a seed file, over the REST API, or from a terminal:", "taskrouter-stub worker create nina --activity Available", button("New worker", createWorker, { class: "button primary", symbol: "plus" }));

/** Rows that are made once and then written into. */
function pool(parent, make) {
  const rows = [];
  return (items, write) => {
    while (rows.length < items.length) {
      const row = make();
      rows.push(row);
      parent.append(row);
    }
    rows.forEach((row, index) => {
      setHidden(row, index >= items.length);
      if (index < items.length) write(row, items[index]);
    });
  };
}

const tile = (label) => {
  const value = h("div", { class: "tile-value number", text: "–" });
  const note = h("div", { class: "tile-note cut" });
  return { element: h("div", { class: "tile" }, h("div", { class: "tile-label", text: label }), value, note), value, note };
};

export class Board {
  constructor() {
    this.title = "Board";
    this.tiles = { waiting: tile("Waiting"), longest: tile("Longest wait"), offered: tile("Offered"), active: tile("In progress"), workers: tile("Workers available") };
    const queueRows = h("div", { class: "queue-rows", role: "rowgroup" });
    this.queues = pool(queueRows, () => {
      const cells = { name: h("a", { class: "cell link cut", role: "cell" }), waiting: h("div", { class: "cell number", role: "cell" }), longest: h("div", { class: "cell number", role: "cell" }), work: h("div", { class: "cell number", role: "cell" }), staff: h("div", { class: "cell number", role: "cell" }) };
      const row = h("div", { class: "queue-row", role: "row" }, Object.values(cells));
      row.cells = cells;
      return row;
    });
    this.queueList = queueRows;
    this.more = h("p", { class: "muted more", hidden: true });
    this.noQueues = h("div", { class: "empty", hidden: true }, nothing("No queues", "Tasks wait in queues, and a workflow leads them there. A seed file sets up both.", "taskrouter-stub serve --seed contact_center.yaml"));
    const offers = h("ul", { class: "plain cards" });
    this.offers = pool(offers, () => {
      const parts = { worker: h("a", { class: "link cut" }), task: h("a", { class: "link cut muted" }), due: h("span", { class: "number due" }), buttons: h("div", { class: "buttons" }) };
      const row = h("li", { class: "card-row" }, h("div", { class: "grow stack" }, parts.worker, parts.task), parts.due, parts.buttons);
      row.parts = parts;
      return row;
    });
    const longest = h("ul", { class: "plain cards" });
    this.longest = pool(longest, () => {
      const parts = { task: h("a", { class: "link cut" }), queue: h("span", { class: "cut muted" }), age: h("span", { class: "number" }) };
      const row = h("li", { class: "card-row" }, h("div", { class: "grow stack" }, parts.task, parts.queue), parts.age);
      row.parts = parts;
      return row;
    });
    [this.offerList, this.longestList] = [offers, longest];
    const activities = h("ul", { class: "plain cards" });
    this.activities = pool(activities, () => {
      const parts = { name: h("span", { class: "cut grow" }), bar: h("meter", { min: "0", max: "1" }), number: h("span", { class: "number" }) };
      const row = h("li", { class: "card-row" }, parts.name, parts.bar, parts.number);
      row.parts = parts;
      return row;
    });
    this.noOffers = h("div", { class: "empty small", hidden: true });
    this.noWaiting = h("div", { class: "empty small", hidden: true });
    this.noWorkers = h("div", { class: "empty small", hidden: true }, noWorkers());
    const card = (title, ...content) => h("section", { class: "card" }, h("h2", { text: title }), content);
    this.element = h(
      "div",
      { class: "board scroll", tabindex: "0", aria: { label: "Board" } },
      h("div", { class: "tiles" }, Object.values(this.tiles).map((each) => each.element)),
      h(
        "div",
        { class: "board-columns" },
        h("div", { class: "board-side" }, card("Queues",
          h("div", { class: "queue-table", role: "table", aria: { label: "Queues" } },
            h("div", { class: "queue-row head", role: "row" }, ["Queue", "Waiting", "Longest", "In work", "Staff"].map((name, index) => h("div", { class: `cell ${index ? "number" : ""}`, role: "columnheader", text: name, title: ["", "Tasks that wait for a worker", "The longest wait of those", "Reserved, assigned and wrapping", "Workers available, and those that match in any activity"][index] }))),
            queueRows),
          this.more, this.noQueues),
          card("Workers by activity", activities, this.noWorkers)),
        h("div", { class: "board-side" },
          card("Offers to answer", offers, this.noOffers),
          card("Waiting longest", longest, this.noWaiting)),
      ),
    );
    this.tools = [button("New task", createTask, { class: "button primary", symbol: "plus", title: "New task (n)" })];
  }

  update() {
    const { all, queues } = store.totals();
    this.totals = all;
    const workers = [...store.workers.values()];
    const available = workers.filter((each) => store.activity(each.activity).available).length;
    setText(this.tiles.waiting.value, number(all.pending));
    setText(this.tiles.offered.value, number(all.reserved));
    setCut(this.tiles.offered.note, "await an answer");
    setText(this.tiles.active.value, number(all.assigned));
    setCut(this.tiles.active.note, all.wrapping ? `and ${number(all.wrapping)} wrapping up` : "assigned to workers");
    setText(this.tiles.workers.value, number(available));
    setCut(this.tiles.workers.note, `of ${number(workers.length)}`);
    setCut(this.tiles.waiting.note, `of ${number(all.pending + all.reserved + all.assigned + all.wrapping)} open tasks`);

    const sorted = [...store.queues.values()].sort((a, b) => queues.get(b.sid).pending - queues.get(a.sid).pending || (a.name < b.name ? -1 : 1));
    this.listed = sorted.slice(0, QUEUES).map((queue) => ({ queue, counts: queues.get(queue.sid) }));
    this.queues(this.listed, ({ cells }, { queue, counts }) => {
      setCut(cells.name, queue.name);
      cells.name.href = `#/board/${queue.sid}`;
      setText(cells.waiting, number(counts.pending));
      setClass(cells.waiting, counts.pending ? "cell number strong" : "cell number muted");
      setText(cells.work, number(counts.reserved + counts.assigned + counts.wrapping));
      setText(cells.staff, `${number(queue.available)}/${number(queue.eligible)}`);
      setClass(cells.staff, queue.available ? "cell number" : "cell number warn");
    });
    setHidden(this.more, sorted.length <= QUEUES);
    setText(this.more, `and ${sorted.length - QUEUES} more with fewer tasks: press / to find them`);
    setHidden(this.noQueues, sorted.length > 0);

    const pending = [...store.reservations.values()].filter((each) => each.status === "pending").sort((a, b) => a.deadline - b.deadline);
    this.due = pending.slice(0, LINES);
    this.offers(this.due, ({ parts }, item) => {
      setCut(parts.worker, item.workerName);
      parts.worker.href = `#/reservations/${item.sid}`;
      setCut(parts.task, attributesLine(store.tasks.get(item.task)?.attributes ?? ""));
      parts.task.href = `#/tasks/${item.task}`;
      if (parts.buttons.dataset.of !== item.sid) {
        parts.buttons.dataset.of = item.sid;
        parts.buttons.replaceChildren(...reservationButtons(item, { small: true }));
      }
    });
    setHidden(this.noOffers, pending.length > 0);
    if (!pending.length) this.say(this.noOffers, available ? "No offer waits for an answer." : "Nobody is available, so nothing is offered. Open a worker to change its activity.");

    const waiting = [];
    for (const each of store.tasks.values()) if (each.status === "pending") waiting.push(each);
    waiting.sort((a, b) => a.created - b.created);
    this.oldest = waiting.slice(0, LINES);
    this.longest(this.oldest, ({ parts }, task) => {
      setCut(parts.task, attributesLine(task.attributes));
      parts.task.href = `#/tasks/${task.sid}`;
      setCut(parts.queue, store.queueName(task.queue));
    });
    setHidden(this.noWaiting, waiting.length > 0);
    if (!waiting.length) this.say(this.noWaiting, [...store.tasks.values()].some(isOpen) ? "Nobody waits: every open task has a worker." : "There are no open tasks. Press n to create one.");

    const counts = new Map();
    for (const each of workers) counts.set(each.activity, (counts.get(each.activity) ?? 0) + 1);
    this.activities(workers.length ? [...store.activities.values()] : [], ({ parts }, activity) => {
      const there = counts.get(activity.sid) ?? 0;
      setCut(parts.name, activity.name);
      parts.bar.value = workers.length ? there / workers.length : 0;
      setText(parts.number, number(there));
    });
    setHidden(this.noWorkers, workers.length > 0);
    this.tick();
  }

  say(node, text) {
    if (node.textContent !== text) node.replaceChildren(h("p", { class: "muted", text }));
  }

  tick() {
    const now = store.now();
    const longest = this.totals?.longest;
    setText(this.tiles.longest.value, longest ? duration(now - longest.created) : "–");
    setCut(this.tiles.longest.note, longest ? `in ${store.queueName(longest.queue)}` : "nobody waits");
    (this.listed ?? []).forEach(({ counts }, index) => {
      const cell = this.queueList.children[index].cells.longest;
      setText(cell, counts.longest ? duration(now - counts.longest.created) : "–");
      setClass(cell, counts.longest ? "cell number" : "cell number muted");
    });
    (this.due ?? []).forEach((item, index) => setText(this.offerList.children[index].parts.due, countdown(item.deadline - now)));
    (this.oldest ?? []).forEach((task, index) => setText(this.longestList.children[index].parts.age, duration(now - task.created)));
  }

  key(event) {
    if (event.key === "Enter" && event.target === this.element && this.listed?.length) go("board", this.listed[0].queue.sid);
  }
}
