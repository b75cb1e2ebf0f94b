// Where one is: #/view, or #/view/SID with a panel beside it.

export const VIEWS = ["board", "tasks", "workers", "reservations", "timeline", "faults", "server"];

export function here() {
  const [view, sid] = location.hash.replace(/^#\/?/, "").split("/");
  if (view === "queues") return { view: "board", kind: "queues", sid: sid ?? null };
  return { view: VIEWS.includes(view) ? view : "board", kind: view === "board" ? "queues" : view, sid: sid || null };
}

let arrive = () => {};

/** What is called once one is somewhere else by `go`: at once, so that the next key finds the next view. */
export function whenGone(action) {
  arrive = action;
}

export function go(view, sid) {
  location.hash = sid ? `#/${view}/${sid}` : `#/${view}`;
  arrive();
}
