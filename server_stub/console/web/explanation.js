// Why a task is where it is, in the router's own words.

import { h, icon, ticking } from "./dom.js";
import { countdown } from "./format.js";
import { store } from "./store.js";

const value = (given) => (given === null ? "not there" : JSON.stringify(given));

const failed = (parts) =>
  parts.length > 0 &&
  h("ul", { class: "failed" }, parts.map((part) => h("li", {}, h("code", { class: "wrap", text: part.text }), h("span", { class: "muted", text: Object.entries(part.values).map(([name, given]) => `${name} is ${value(given)}`).join(", ") }))));

const verdict = (good) => h("span", { class: good ? "mark good" : "mark bad" }, icon(good ? "check" : "cross"), h("span", { class: "for-readers", text: good ? "yes" : "no" }));

function filterItem(filter) {
  const holds = filter.condition?.holds ?? true;
  return h(
    "li",
    { class: filter.is_current ? "current" : "" },
    h("div", { class: "line" }, verdict(holds), h("strong", { text: filter.name ?? (filter.index === null ? "Default filter" : `Filter ${filter.index + 1}`) }), filter.is_current && h("span", { class: "pill", text: "it is here" })),
    filter.condition && h("code", { class: "wrap", text: filter.condition.text }),
    filter.condition && failed(filter.condition.failed),
    h("div", { class: "muted", text: filter.targets.map((target) => `${target.is_current ? "▸ " : ""}${target.queue_name}${target.timeout === null ? "" : ` for ${target.timeout} s`}`).join("  →  ") }),
  );
}

function workerItem(worker) {
  return h(
    "li",
    {},
    h("div", { class: "line" }, verdict(worker.hindrances.length === 0), h("a", { class: "link", href: `#/workers/${worker.sid}`, text: worker.name }), h("span", { class: "muted", text: worker.activity_name })),
    worker.hindrances.length
      ? h("ul", { class: "hindrances" }, worker.hindrances.filter((each) => each.kind !== "not_waiting" || worker.hindrances.length === 1).map((each) => h("li", {}, h("span", { text: each.text }), failed(each.failed))))
      : h("div", { class: "muted", text: worker.verdict }),
  );
}

export function explanation(told) {
  const at = store.now();
  return [
    h("p", { class: "summary", text: told.summary }),
    told.deadlines.length > 0 && h("ul", { class: "plain deadlines" }, told.deadlines.slice(0, 3).map((each) => h("li", {}, ticking(() => countdown(at + each.seconds - store.now())), h("span", { text: each.text })))),
    h("details", { open: told.is_waiting }, h("summary", { text: "Its way through the workflow" }), told.filters.length ? h("ol", { class: "filters" }, told.filters.map(filterItem)) : h("p", { class: "muted", text: "It has no workflow." })),
    h("details", { open: told.is_waiting }, h("summary", { text: `Workers (${told.worker_count})` }), told.workers.length ? h("ul", { class: "plain verdicts" }, told.workers.map(workerItem)) : h("p", { class: "muted", text: "There are no workers." }), told.worker_count > told.workers.length && h("p", { class: "muted", text: `and ${told.worker_count - told.workers.length} more` })),
  ].filter(Boolean);
}
