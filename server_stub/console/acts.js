// What people do here: to tasks, workers and reservations.

import { local, rest } from "./api.js";
import { attempt, confirm, dialog, notice } from "./dialogs.js";
import { button, h, setText } from "./dom.js";
import { store } from "./store.js";

const STEPS = {
  pending: [["accepted", "Accept", "primary"], ["rejected", "Reject", ""]],
  accepted: [["wrapping", "Wrap up", ""], ["completed", "Complete", "primary"]],
  wrapping: [["completed", "Complete", "primary"]],
};
const DONE = { accepted: "accepted", rejected: "rejected", wrapping: "wrapping up", completed: "completed" };

/** The buttons of a reservation, on behalf of its worker. */
export function reservationButtons(item, { small = false } = {}) {
  return (STEPS[item.status] ?? []).map(([status, label, look]) =>
    button(label, (event) => {
      event.stopPropagation();
      setReservation(item, status);
    }, { class: `button ${look} ${small ? "small" : ""}`, title: `${label} on behalf of ${item.workerName}` }),
  );
}

export const setReservation = (item, status) =>
  attempt(
    () => rest.post(store.workspace, `Workers/${item.worker}/Reservations/${item.sid}`, { ReservationStatus: status }),
    `${item.workerName}: ${DONE[status]}`,
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
  await attempt(
    () => rest.post(store.workspace, `Tasks/${task.sid}`, { AssignmentStatus: status, Reason: "by the console" }),
    `The task is ${status}`,
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

/** The dialog that makes a task. */
export function createTask() {
  const last = lastTask();
  return dialog({ title: "New task", wide: true }, (close) => {
    const attributes = h("textarea", { rows: "7", spellcheck: "false", class: "code", value: last.attributes ?? '{\n  "topic": "cards"\n}', aria: { label: "Attributes", describedby: "attributes-problem" } });
    const problem = h("p", { class: "problem", id: "attributes-problem", role: "status" });
    const workflow = h("select", {}, options([...store.workflows.values()].map((each) => [each.sid, each.name]), last.workflow));
    const channel = h("select", {}, options([...store.channels.values()].map((each) => [each.unique, each.name]), last.channel ?? "default"));
    const priority = h("input", { type: "number", min: "0", step: "1", value: last.priority ?? "0", inputmode: "numeric" });
    const timeout = h("input", { type: "number", min: "1", step: "1", value: last.timeout ?? "86400", inputmode: "numeric" });
    const again = h("input", { type: "number", min: "1", max: "100", value: "1", inputmode: "numeric" });
    const send = button("Create", create, { class: "button primary" });

    function check() {
      let text = "";
      try {
        const value = JSON.parse(attributes.value || "{}");
        if (value === null || typeof value !== "object" || Array.isArray(value)) text = "Expected a JSON object, such as {\"topic\": \"cards\"}.";
      } catch (error) {
        text = `This is not JSON: ${error.message}`;
      }
      setText(problem, text);
      attributes.setAttribute("aria-invalid", String(Boolean(text)));
      send.disabled = Boolean(text);
      return !text;
    }

    async function create() {
      if (!check()) return;
      const fields = {
        Attributes: attributes.value || "{}",
        WorkflowSid: workflow.value,
        TaskChannel: channel.value,
        Priority: priority.value,
        Timeout: timeout.value,
      };
      sessionStorage.setItem(KEPT, JSON.stringify({ attributes: attributes.value, workflow: workflow.value, channel: channel.value, priority: priority.value, timeout: timeout.value }));
      send.disabled = true;
      const times = Math.min(100, Math.max(1, Number(again.value) || 1));
      try {
        let made;
        for (let done = 0; done < times; done += 1) made = await rest.post(store.workspace, "Tasks", fields);
        notice(times === 1 ? "The task is created" : `${times} tasks are created`);
        close(made.sid);
      } catch (error) {
        setText(problem, error.message);
        send.disabled = false;
      }
    }

    attributes.addEventListener("input", check);
    attributes.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) create();
    });
    queueMicrotask(() => attributes.focus());
    return [
      field("Attributes", attributes),
      problem,
      h("div", { class: "fields" }, field("Workflow", workflow), field("Channel", channel), field("Priority", priority), field("Timeout, seconds", timeout), field("How many", again)),
      h("div", { class: "actions" }, h("span", { class: "hint grow", text: "Ctrl-Enter creates it" }), button("Close", () => close(null)), send),
    ];
  });
}

export const injectFault = (body) => attempt(() => local.post(store.workspace, "faults", body));
