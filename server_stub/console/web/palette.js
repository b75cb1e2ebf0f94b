// The palette: find anything, do anything, without a mouse.

import { dialog } from "./dialogs.js";
import { h } from "./dom.js";
import { attributesLine } from "./format.js";
import { go } from "./route.js";
import { isOpen, store } from "./store.js";

const MOST = 40;

const score = (text, words) => {
  const low = text.toLowerCase();
  return words.every((word) => low.includes(word)) ? (low.startsWith(words[0] ?? "") ? 0 : 1) : -1;
};

function* things() {
  for (const queue of store.queues.values()) yield { kind: "Queue", text: queue.name, more: queue.sid, run: () => go("board", queue.sid) };
  for (const worker of store.workers.values()) yield { kind: "Worker", text: worker.name, more: `${store.activity(worker.activity).name}  ${worker.sid}`, run: () => go("workers", worker.sid) };
  for (const task of store.tasks.values()) yield { kind: "Task", text: attributesLine(task.attributes), more: `${task.status}  ${task.sid}`, low: !isOpen(task), run: () => go("tasks", task.sid) };
}

function matches(query, commands) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands.map((each) => ({ ...each, kind: "Command", score: score(each.text, words) })).filter((each) => each.score >= 0);
  if (!words.length) return found;
  let seen = 0;
  for (const each of things()) {
    const value = score(`${each.text} ${each.more}`, words);
    if (value < 0) continue;
    found.push({ ...each, score: value + 0.5 + (each.low ? 1 : 0) });
    if ((seen += 1) >= 300) break;
  }
  return found.sort((a, b) => a.score - b.score).slice(0, MOST);
}

export function palette(commands) {
  if (document.querySelector("dialog.palette")) return;
  dialog({ title: "Find or do something", kind: "palette", wide: true }, (close) => {
    let found = [];
    let at = 0;
    const list = h("ul", { class: "plain results", id: "results", role: "listbox", aria: { label: "Results" } });
    const input = h("input", {
      type: "text",
      class: "palette-input",
      placeholder: "Find a worker, task or queue, or type a command",
      spellcheck: "false",
      autocomplete: "off",
      role: "combobox",
      aria: { label: "Find or do something", controls: "results", expanded: "true", autocomplete: "list" },
      on: {
        input: () => {
          at = 0;
          write();
        },
        keydown: (event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step) {
            event.preventDefault();
            at = (at + step + found.length) % Math.max(1, found.length);
            mark();
          } else if (event.key === "Enter" && found[at]) {
            event.preventDefault();
            run(found[at]);
          }
        },
      },
    });
    const run = (each) => {
      close();
      queueMicrotask(() => setTimeout(each.run));
    };
    const mark = () => {
      [...list.children].forEach((row, index) => row.setAttribute("aria-selected", String(index === at)));
      list.children[at]?.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", `result-${at}`);
    };
    const write = () => {
      found = matches(input.value, commands);
      list.replaceChildren(
        ...(found.length
          ? found.map((each, index) => h("li", { id: `result-${index}`, role: "option", on: { click: () => run(each) } }, h("span", { class: "result-kind", text: each.kind }), h("span", { class: "cut grow", text: each.text, title: each.text }), each.keys ? h("kbd", { text: each.keys }) : h("span", { class: "muted cut result-more", text: each.more ?? "" })))
          : [h("li", { class: "muted none", text: "Nothing found." })]),
      );
      mark();
    };
    write();
    queueMicrotask(() => input.focus());
    return [input, list];
  });
}
