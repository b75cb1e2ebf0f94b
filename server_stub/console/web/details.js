// The panel beside the lists: one task, worker, reservation, queue, event or frame, with its history.

import { deleteTask, endTask, reservationButtons, setActivity } from "./acts.js";
import { local, rest } from "./api.js";
import { copy } from "./dialogs.js";
import { button, h, once, setText, ticking } from "./dom.js";
import { explanation } from "./explanation.js";
import { attributesLine, clockTime, count, countdown, dateTime, duration, pretty, shortSid } from "./format.js";
import { isLive, isOpen, store } from "./store.js";

export const pill = (status) => h("span", { class: `pill ${status}`, text: status });

export const link = (kind, sid, text) => h("a", { class: "link", href: `#/${kind}/${sid}`, text: text ?? shortSid(sid), title: text ?? sid });

const sidLine = (sid) =>
  h("div", { class: "sid" }, h("code", { text: sid, title: sid }), button("Copy the SID", () => copy(sid, "SID copied"), { only: true, symbol: "copy", class: "button icon-only small" }));

const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => [h("dt", { text: name }), h("dd", {}, value)]));

const section = (title, ...content) => h("section", { class: "part" }, h("h3", { text: title }), content);

const json = (text) => h("pre", { class: "json", tabindex: "0", text: pretty(text) });

/** What a panel shows of what happened to something: the latest fifty events. */
async function history(query) {
  const { events } = await rest.get(store.workspace, "Events", { Minutes: 43200, PageSize: 50, ...query });
  if (!events.length) return h("p", { class: "muted", text: "Nothing was recorded." });
  return h("ol", { class: "history" }, events.map((each) =>
    h("li", {}, h("time", { class: "number", text: clockTime(each.event_date_ms / 1000) }), h("a", { class: "link", href: `#/timeline/${each.sid}`, text: each.event_type, title: each.description })),
  ));
}

const reservationLine = (item) =>
  h(
    "li",
    { class: "held" },
    h("div", { class: "held-line" }, pill(item.status), link("workers", item.worker, item.workerName), item.status === "pending" && ticking(() => countdown(item.deadline - store.now()), "number due")),
    h("div", { class: "buttons" }, reservationButtons(item, { small: true })),
  );

// --- One of each kind ---------------------------------------------------------------------------

function taskPanel(sid) {
  const task = store.tasks.get(sid);
  if (!task) return null;
  const held = store.held(sid);
  const known = [...store.reservations.values()].filter((each) => each.task === sid && !isLive(each));
  return {
    title: "Task",
    key: JSON.stringify([task, held, known.length]),
    top: [h("div", { class: "headline" }, pill(task.status), h("span", { class: "number", text: `priority ${task.priority}` })), sidLine(sid)],
    body: [
      isOpen(task) && h(
        "div",
        { class: "buttons" },
        task.status === "assigned" && button("Wrap up", once(() => endTask(task, "wrapping"))),
        ["assigned", "wrapping"].includes(task.status) && button("Complete", once(() => endTask(task, "completed")), { class: "button primary" }),
        ["pending", "reserved"].includes(task.status) && button("Cancel", () => endTask(task, "canceled")),
        button("Delete", () => deleteTask(task)),
      ),
      held.length > 0 && section("Reservations", h("ul", { class: "plain" }, held.map(reservationLine))),
      facts([
        ["Queue", task.queue ? link("queues", task.queue, store.queueName(task.queue)) : "none"],
        ["Workflow", task.workflow ? (store.workflows.get(task.workflow)?.name ?? "deleted") : "none"],
        ["Channel", store.channelName(task.channel)],
        ["Age", isOpen(task) ? ticking(() => duration(store.now() - task.created)) : duration(task.updated - task.created)],
        task.entered && task.status === "pending" && ["In its queue", ticking(() => duration(store.now() - task.entered))],
        ["Created", dateTime(task.created)],
        task.reason && ["Reason", task.reason],
      ]),
      known.length > 0 && section("Earlier reservations", h("ul", { class: "plain" }, known.map(reservationLine))),
    ],
    later: [
      ["Attributes", async () => json((await rest.get(store.workspace, `Tasks/${sid}`)).attributes)],
      ["Why it is where it is", async () => explanation(await local.explain(store.workspace, sid, { Limit: 50 })), isOpen(task) && ["workers", "reservations", "config"]],
      ["History", () => history({ TaskSid: sid })],
    ],
  };
}

function workerPanel(sid) {
  const worker = store.workers.get(sid);
  if (!worker) return null;
  const held = store.held(sid);
  const activity = store.activity(worker.activity);
  const select = h(
    "select",
    { class: "activity", aria: { label: `Activity of ${worker.name}` }, on: { change: async (event) => { if (!(await setActivity(worker, event.target.value))) event.target.value = store.workers.get(sid)?.activity ?? worker.activity; } } },
    [true, false].map((available) => h("optgroup", { label: available ? "Available" : "Unavailable" }, [...store.activities.values()].filter((each) => each.available === available).map((each) => h("option", { value: each.sid, text: each.name, selected: each.sid === worker.activity })))),
  );
  return {
    title: worker.name,
    key: JSON.stringify([worker, held, store.config.activities]),
    top: [
      h("div", { class: "headline" }, h("span", { class: `pill ${activity.available ? "available" : "unavailable"}`, text: activity.name }), h("span", { class: "muted", text: worker.sessions ? count(worker.sessions, "connection") : "not connected" })),
      sidLine(sid),
    ],
    body: [
      h("label", { class: "field" }, h("span", { class: "label", text: "Activity" }), select),
      section("Reservations", held.length
        ? h("ul", { class: "plain" }, held.map((item) => h("li", { class: "held" },
          h("div", { class: "held-line" }, pill(item.status), link("tasks", item.task, attributesLine(store.tasks.get(item.task)?.attributes ?? "")), item.status === "pending" && ticking(() => countdown(item.deadline - store.now()), "number due")),
          h("div", { class: "buttons" }, reservationButtons(item, { small: true })))))
        : h("p", { class: "muted", text: activity.available ? "None. The next task that suits this worker will be offered." : "None: in this activity no task is offered." })),
      section("Channels", h("ul", { class: "loads" }, worker.channels.map((channel) => h("li", {},
        h("span", { class: "load-name", text: store.channelName(channel.sid) }),
        h("meter", { min: "0", max: String(Math.max(1, channel.capacity)), value: Math.min(channel.active, channel.capacity), aria: { label: `${channel.active} of ${channel.capacity}` } }),
        h("span", { class: "number", text: `${channel.active}/${channel.capacity}${channel.available ? "" : " off"}` }))))),
      facts([["In this activity", ticking(() => duration(store.now() - worker.since))]]),
    ],
    later: [
      ["Attributes", async () => json((await rest.get(store.workspace, `Workers/${sid}`)).attributes)],
      ["Last reservations", async () => {
        const { reservations } = await rest.get(store.workspace, `Workers/${sid}/Reservations`, { PageSize: 20 });
        if (!reservations.length) return h("p", { class: "muted", text: "None that is still known." });
        return h("ul", { class: "plain" }, reservations.map((each) => h("li", { class: "held-line" }, pill(each.reservation_status), link("tasks", each.task_sid))));
      }],
      ["History", () => history({ WorkerSid: sid })],
    ],
  };
}

function reservationPanel(sid) {
  const item = store.reservations.get(sid);
  if (!item) return null;
  const task = store.tasks.get(item.task);
  return {
    title: "Reservation",
    key: JSON.stringify([item, task]),
    top: [h("div", { class: "headline" }, pill(item.status), item.status === "pending" && ticking(() => `${countdown(item.deadline - store.now())} left`, "number due")), sidLine(sid)],
    body: [
      h("div", { class: "buttons" }, reservationButtons(item)),
      facts([
        ["Worker", link("workers", item.worker, item.workerName)],
        ["Task", link("tasks", item.task, task ? attributesLine(task.attributes) : shortSid(item.task))],
        ["Queue", item.queue ? link("queues", item.queue, store.queueName(item.queue)) : "none"],
        ["Timeout", count(item.timeout, "second")],
        ["Created", dateTime(item.created)],
        ["Changed", dateTime(item.updated)],
      ]),
    ],
    later: [["History", () => history({ ReservationSid: sid })]],
  };
}

function queuePanel(sid) {
  const queue = store.queues.get(sid);
  if (!queue) return null;
  const waiting = [...store.tasks.values()].filter((each) => each.queue === sid && each.status === "pending").sort((a, b) => a.created - b.created);
  return {
    title: queue.name,
    key: JSON.stringify([queue, waiting.length, waiting.slice(0, 20).map((each) => each.sid)]),
    top: [h("div", { class: "headline" }, h("span", { class: "number", text: `${waiting.length} waiting` }), h("span", { class: "muted", text: `${queue.available} of ${count(queue.eligible, "worker")} available` })), sidLine(sid)],
    body: [
      facts([["Workers wanted", h("code", { class: "wrap", text: queue.target || "nobody" })], ["Order", queue.order]]),
      section("Waiting longest", waiting.length
        ? h("ol", { class: "history" }, waiting.slice(0, 20).map((each) => h("li", {}, ticking(() => duration(store.now() - each.created)), link("tasks", each.sid, attributesLine(each.attributes)))))
        : h("p", { class: "muted", text: "Nobody waits here." })),
    ],
    later: [["The last hour", async () => {
      const { cumulative } = await rest.get(store.workspace, `TaskQueues/${sid}/Statistics`, { Minutes: 60 });
      return facts([
        ["Tasks entered", String(cumulative.tasks_entered)],
        ["Reservations", String(cumulative.reservations_created)],
        ["Accepted", String(cumulative.reservations_accepted)],
        ["Rejected", String(cumulative.reservations_rejected)],
        ["Timed out", String(cumulative.reservations_timed_out)],
        ["Tasks canceled", String(cumulative.tasks_canceled)],
        ["Wait until accepted", `${duration(cumulative.wait_duration_until_accepted.avg)} on average, ${duration(cumulative.wait_duration_until_accepted.max)} at most`],
      ]);
    }]],
  };
}

function linePanel(id) {
  const frame = store.frames.find((each) => each.id === id);
  if (frame) {
    return {
      title: frame.type,
      key: id,
      top: [h("div", { class: "headline" }, h("span", { class: "pill", text: frame.direction }), h("span", { class: "number", text: clockTime(frame.at, { milliseconds: true }) }))],
      body: [
        facts([["Worker", frame.worker ? link("workers", frame.worker, store.workers.get(frame.worker)?.name) : "–"], frame.session && ["Connection", `number ${frame.session}`]]),
        section("Content", json(frame.data || "empty")),
      ],
      later: [],
    };
  }
  if (!id.startsWith("EV")) return null;
  return {
    title: "Event",
    key: id,
    top: [sidLine(id)],
    body: [],
    later: [["What happened", async () => {
      const each = await rest.get(store.workspace, `Events/${id}`);
      const data = Object.entries(each.event_data);
      return [
        h("p", { text: each.description }),
        facts([["Type", each.event_type], ["When", dateTime(each.event_date_ms / 1000)], ["Caused by", each.actor_type],
          ...data.map(([key, value]) => [key, key.includes("attributes") ? json(value) : /^W[TK]/.test(value) ? link(value.startsWith("WT") ? "tasks" : "workers", value, value) : h("span", { class: "wrap", text: value })])]),
      ];
    }]],
  };
}

const PANELS = { tasks: taskPanel, workers: workerPanel, reservations: reservationPanel, queues: queuePanel, board: queuePanel, timeline: linePanel };
const GONE = { tasks: "This task is gone: it was deleted, or it ended and its time here is over.", workers: "This worker is gone.", reservations: "This reservation is not known any more.", queues: "This queue is gone.", timeline: "This line is not kept any more." };

/** Write children anew, but for a list that somebody is choosing from: it must not vanish under their hands. */
function rewrite(body, children) {
  const select = document.activeElement?.tagName === "SELECT" && body.contains(document.activeElement) ? document.activeElement : null;
  const at = select ? children.findIndex((each) => each.querySelector("select")) : -1;
  const next = children[at]?.querySelector("select");
  const choices = (list) => JSON.stringify([...list.options].map((each) => [each.value, each.text]));
  if (!next || select.ariaLabel !== next.ariaLabel || choices(select) !== choices(next)) {
    body.replaceChildren(...children);
    return;
  }
  const kept = [...body.children].find((each) => each.contains(select));
  for (const each of [...body.children]) if (each !== kept) each.remove();
  kept.before(...children.slice(0, at));
  kept.after(...children.slice(at + 1));
  if (select.value !== next.value) select.value = next.value;
}

export class Details {
  constructor({ close }) {
    this.title = h("h2", { class: "cut" });
    this.top = h("div", { class: "details-top" });
    this.body = h("div", { class: "details-body" });
    this.element = h(
      "aside",
      { class: "details", hidden: true, tabindex: "-1", aria: { label: "Details" } },
      h("header", {}, this.title, button("Close", close, { only: true, symbol: "close", class: "button icon-only", title: "Close (Escape)" })),
      this.top,
      this.body,
    );
  }

  show(kind, sid) {
    const other = this.kind !== kind || this.sid !== sid;
    [this.kind, this.sid] = [kind, sid];
    if (other) {
      this.parts = null;
      this.key = null;
      this.body.scrollTop = 0;
    }
    this.element.hidden = !sid;
    document.body.classList.toggle("detailed", Boolean(sid));
    this.update();
  }

  /** Write what changed. Parts that come from requests stay until something changed that they are about. */
  update(changed) {
    if (!this.sid || !store.config) return;
    const panel = (PANELS[this.kind] ?? (() => null))(this.sid);
    if (!panel) {
      if (store.ready && this.key !== "gone") {
        this.key = "gone";
        setText(this.title, "Gone");
        this.top.replaceChildren(sidLine(this.sid));
        this.body.replaceChildren(h("p", { class: "muted", text: GONE[this.kind] ?? "There is no such thing." }));
      }
      return;
    }
    if (panel.key === this.key) {
      this.refresh(panel.later, changed);
      return;
    }
    this.key = panel.key;
    setText(this.title, panel.title);
    this.title.title = panel.title;
    this.top.replaceChildren(...panel.top);
    const parts = this.parts ?? new Map(panel.later.map(([name]) => [name, h("div", { class: "later", text: "…" })]));
    const focused = this.element.contains(document.activeElement) ? document.activeElement.textContent : null;
    rewrite(this.body, [...panel.body.flat().filter(Boolean), ...panel.later.map(([name]) => section(name, parts.get(name)))]);
    if (focused && !this.element.contains(document.activeElement)) this.element.focus();
    this.parts = parts;
    this.fetch(panel.later, parts);
  }

  fetch(later, parts) {
    clearTimeout(this.fetching);
    // At most two rounds of requests a second, however fast the object changes.
    const wait = Math.max(0, 500 - (performance.now() - (this.fetchedAt ?? -1000)));
    this.fetching = setTimeout(() => this.load(later, parts), this.parts.loaded ? wait : 0);
    parts.loaded = true;
  }

  async load(later, parts) {
    for (const [name, make] of later) {
      const part = parts.get(name);
      let content;
      try {
        content = await make();
      } catch (error) {
        content = h("p", { class: "muted", text: error.message });
      }
      if (this.parts !== parts) return;
      const before = [...part.querySelectorAll("details")].map((each) => each.open);
      part.replaceChildren(...[content].flat());
      // What somebody has opened or closed stays so.
      part.querySelectorAll("details").forEach((each, index) => (each.open = before[index] ?? each.open));
    }
    this.fetchedAt = performance.now();
  }

  /** Ask again for parts that are about more than their object, at most once a second. */
  refresh(later, changed) {
    const parts = this.parts;
    const others = later.filter(([, , kinds]) => kinds && changed && kinds.some((kind) => changed.has(kind)));
    if (!parts || !others.length || this.refreshing) return;
    this.refreshing = setTimeout(() => {
      this.refreshing = undefined;
      if (this.parts === parts) this.load(others, parts);
    }, 1000);
  }

  tick() {
    for (const node of this.element.querySelectorAll("[data-ticks]")) node.tick?.();
  }
}
