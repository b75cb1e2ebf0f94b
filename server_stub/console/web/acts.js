// What people do here: to tasks, workers and reservations.

import { local, rest } from "./api.js";
import { attempt, confirm, dialog, notice } from "./dialogs.js";
import { button, h, once, setText } from "./dom.js";
import { store } from "./store.js";

const STEPS = {
  pending: [["accepted", "Accept", "primary"], ["rejected", "Reject", ""]],
  accepted: [["wrapping", "Wrap up", ""], ["completed", "Complete", "primary"]],
  wrapping: [["completed", "Complete", "primary"]],
};
const SHOWN = 1000; // milliseconds in which what was done shows on the page
const DONE = { accepted: "accepted", rejected: "rejected", wrapping: "wrapping up", completed: "completed" };

/** The buttons of a reservation, on behalf of its worker. */
export function reservationButtons(item, { small = false } = {}) {
  return (STEPS[item.status] ?? []).map(([status, label, look]) =>
    button(label, once((event) => {
      event.stopPropagation();
      setReservation(item, status);
    }), { class: `button ${look} ${small ? "small" : ""}`, title: `${label} on behalf of ${item.workerName}` }),
  );
}

const asked = new Map(); // by SID: the status in which something was asked of it

/** Ask once, however often a key is pressed until the answer shows. */
async function askOnce(item, ask) {
  if (asked.get(item.sid) === item.status) return null;
  asked.set(item.sid, item.status);
  const done = await ask();
  if (done === null) asked.delete(item.sid);
  else setTimeout(() => asked.delete(item.sid), SHOWN);
  return done;
}

export const setReservation = (item, status) =>
  askOnce(item, () =>
    attempt(
      () => rest.post(store.workspace, `Workers/${item.worker}/Reservations/${item.sid}`, { ReservationStatus: status }),
      `${item.workerName}: ${DONE[status]}`,
    ),
  );

export async function setActivity(worker, activity) {
  const pending = store.held(worker.sid).filter((each) => each.status === "pending");
  const target = store.activity(activity);
  let reject;
  if (pending.length && !target.available) {
    const answer = await confirm(
      `Move ${worker.name} to ${target.name}?`,
      "A reservation waits for this worker's answer. It is rejected by this.",
      "Reject and move",
    );
    if (!answer) return null;
    reject = "true";
  }
  return attempt(
    () => rest.post(store.workspace, `Workers/${worker.sid}`, { ActivitySid: activity, RejectPendingReservations: reject }),
    `${worker.name} is ${target.name}`,
  );
}

export async function endTask(task, status) {
  if (status === "canceled" && !(await confirm("Cancel this task?", "It ends for everybody who has it, and does not come back.", "Cancel the task"))) return;
  await askOnce(task, () =>
    attempt(
      () => rest.post(store.workspace, `Tasks/${task.sid}`, { AssignmentStatus: status, Reason: "by the console" }),
      `The task is ${status}`,
    ),
  );
}

export async function deleteTask(task) {
  if (!(await confirm("Delete this task?", "It is gone at once, with its reservations.", "Delete the task"))) return;
  await attempt(() => rest.remove(store.workspace, `Tasks/${task.sid}`), "The task is deleted");
}

const KEPT = "taskrouter-console-task";

function lastTask() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

const options = (items, chosen) => items.map(([value, text]) => h("option", { value, text, selected: value === chosen }));

export const field = (label, control, hint) =>
  h("label", { class: "field" }, h("span", { class: "label", text: label }), control, hint && h("span", { class: "hint", text: hint }));

/**
 * A box for attributes that must be a JSON object, and the place where it is said what is wrong with them.
 * That takes its room from the box: nothing else in the dialog moves when it comes or goes.
 */
function attributesBox({ value, example, send, create }) {
  const text = h("textarea", { spellcheck: "false", class: "code", value, aria: { label: "Attributes", describedby: "attributes-problem" } });
  const problem = h("p", { class: "problem", id: "attributes-problem", role: "status" });
  const say = (message) => setText(problem, message);
  const check = () => {
    let wrong = "";
    try {
      const given = JSON.parse(text.value.trim() || "{}");
      if (given === null || typeof given !== "object" || Array.isArray(given)) wrong = `Expected a JSON object, such as ${example}.`;
    } catch (error) {
      wrong = `This is not JSON: ${error.message}`;
    }
    say(wrong);
    text.setAttribute("aria-invalid", String(Boolean(wrong)));
    send.disabled = Boolean(wrong);
    return !wrong;
  };
  text.addEventListener("input", check);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) create();
  });
  return { element: h("div", { class: "field" }, h("span", { class: "label", text: "Attributes", aria: { hidden: "true" } }), h("div", { class: "told-box" }, text, problem)), text, check, say, json: () => text.value.trim() || "{}" };
}

const ends = (close, send) =>
  h("div", { class: "actions" }, h("span", { class: "hint grow", text: "Ctrl-Enter creates it" }), button("Close", () => close(null)), send);

/** The dialog that makes a task. */
export function createTask() {
  const last = lastTask();
  return dialog({ title: "New task", wide: true }, (close) => {
    const send = button("Create", create, { class: "button primary" });
    const attributes = attributesBox({ value: last.attributes ?? '{\n  "topic": "cards"\n}', example: '{"topic": "cards"}', send, create });
    const workflow = h("select", {}, options([...store.workflows.values()].map((each) => [each.sid, each.name]), last.workflow));
    const channel = h("select", {}, options([...store.channels.values()].map((each) => [each.unique, each.name]), last.channel ?? "default"));
    const priority = h("input", { type: "number", min: "0", step: "1", value: last.priority ?? "0", inputmode: "numeric" });
    const timeout = h("input", { type: "number", min: "1", step: "1", value: last.timeout ?? "86400", inputmode: "numeric" });
    const again = h("input", { type: "number", min: "1", max: "100", value: "1", inputmode: "numeric" });

    async function create() {
      if (send.disabled || !attributes.check()) return;
      const fields = {
        Attributes: attributes.json(),
        WorkflowSid: workflow.value,
        TaskChannel: channel.value,
        Priority: priority.value,
        Timeout: timeout.value,
      };
      try {
        sessionStorage.setItem(KEPT, JSON.stringify({ attributes: attributes.text.value, workflow: workflow.value, channel: channel.value, priority: priority.value, timeout: timeout.value }));
      } catch {} // too long, or nothing is kept here: the next dialog starts afresh
      send.disabled = true;
      const times = Math.min(100, Math.max(1, Math.floor(Number(again.value)) || 1));
      let done = 0;
      try {
        let made;
        for (; done < times; done += 1) made = await rest.post(store.workspace, "Tasks", fields);
        notice(times === 1 ? "The task is created" : `${times} tasks are created`);
        close(made.sid);
      } catch (error) {
        attributes.say(done ? `${done} of ${times} tasks are created. ${error.message}` : error.message);
        again.value = String(times - done);
        send.disabled = false;
      }
    }

    queueMicrotask(() => attributes.text.focus());
    return [
      attributes.element,
      h("div", { class: "fields" }, field("Workflow", workflow), field("Channel", channel), field("Priority", priority), field("Timeout, seconds", timeout), field("How many", again)),
      ends(close, send),
    ];
  });
}

/** The dialog that makes a worker. */
export function createWorker() {
  return dialog({ title: "New worker", wide: true }, (close) => {
    const send = button("Create", create, { class: "button primary" });
    const activities = [...store.activities.values()];
    const name = h("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder: "nina", "aria-required": "true" });
    // Whoever makes one here wants to see it work: in an activity in which it is offered tasks.
    const activity = h("select", {}, options(activities.map((each) => [each.sid, each.name]), activities.find((each) => each.available)?.sid));
    const attributes = attributesBox({ value: "", example: '{"skills": ["cards"]}', send, create });
    attributes.text.placeholder = '{"skills": ["cards"]}, or nothing';

    async function create() {
      if (send.disabled || !attributes.check()) return;
      const given = name.value.trim();
      name.setAttribute("aria-invalid", String(!given));
      if (!given) {
        attributes.say("A worker needs a name.");
        name.focus();
        return;
      }
      send.disabled = true;
      try {
        const made = await rest.post(store.workspace, "Workers", { FriendlyName: given, ActivitySid: activity.value, Attributes: attributes.json() });
        notice(`${made.friendly_name} is created`);
        close(made.sid);
      } catch (error) {
        attributes.say(error.message);
        send.disabled = false;
      }
    }

    name.addEventListener("input", () => {
      name.removeAttribute("aria-invalid");
      attributes.check();
    });
    name.addEventListener("keydown", (event) => event.key === "Enter" && create());
    queueMicrotask(() => name.focus());
    return [
      h("div", { class: "fields pair" }, field("Name", name), field("Activity", activity)),
      attributes.element,
      ends(close, send),
    ];
  });
}

export const injectFault = (body) => attempt(() => local.post(store.workspace, "faults", body));
