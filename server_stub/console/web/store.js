// What the page knows: the present state of one workspace, as the server told it.
// The order of the records' fields is that of server_stub/console/records.py.

const KEPT = 2000; // lines of the timeline
const RECENT = 500; // reservations that have ended
const OPEN = new Set(["pending", "reserved", "assigned", "wrapping"]);
const LIVE = new Set(["pending", "accepted", "wrapping"]);

export const isOpen = (task) => OPEN.has(task.status);
export const isLive = (reservation) => LIVE.has(reservation.status);

const task = ([sid, number, status, priority, channel, queue, workflow, created, entered, attributes, reason, updated]) => ({
  sid, number, status, priority, channel, queue, workflow, created, entered, attributes, reason, updated,
});
const worker = ([sid, number, name, activity, since, sessions, attributes, channels]) => ({
  sid, number, name, activity, since, sessions, attributes,
  channels: channels.map(([id, active, capacity, available]) => ({ sid: id, active, capacity, available })),
});
const reservation = ([sid, number, status, taskSid, workerSid, workerName, queue, created, updated, deadline, timeout]) => ({
  sid, number, status, task: taskSid, worker: workerSid, workerName, queue, created, updated, deadline, timeout,
});
const event = ([seq, sid, type, at, description, kind, resource, taskSid, workerSid, workerName, actor]) => ({
  id: sid, source: "event", seq, type, at, description, kind, resource, task: taskSid, worker: workerSid, workerName, actor,
});
const frame = ([number, at, direction, workerSid, session, title, data]) => ({
  id: `frame-${number}`, source: "frame", at, type: title, direction, worker: workerSid, session, data,
});

class Store extends EventTarget {
  constructor() {
    super();
    this.theme = null;
    this.clear();
  }

  clear() {
    this.tasks = new Map();
    this.workers = new Map();
    this.reservations = new Map(); // live ones, and the last that ended
    this.ended = []; // SIDs of those, oldest first
    this.byTask = new Map(); // live reservations by task and by worker
    this.byWorker = new Map();
    this.events = [];
    this.frames = [];
    this.skipped = 0;
    this.config ??= null;
    this.index(this.config);
    this.ready = false;
    this.objects = 0;
    this.unseen = 0;
  }

  index(config) {
    this.activities = new Map((config?.activities ?? []).map(([sid, name, available]) => [sid, { sid, name, available }]));
    this.channels = new Map((config?.channels ?? []).map(([sid, unique, name]) => [sid, { sid, unique, name }]));
    this.workflows = new Map((config?.workflows ?? []).map(([sid, name, timeout]) => [sid, { sid, name, timeout }]));
    this.queues = new Map((config?.queues ?? []).map(([sid, name, target, order, eligible, available]) => [sid, { sid, name, target, order, eligible, available }]));
  }

  /** The server's time, in epoch seconds. */
  now() {
    if (this.toldAt === undefined) return Date.now() / 1000;
    if (this.clock?.stopped) return this.toldNow;
    return this.toldNow + (performance.now() - this.toldAt) / 1000;
  }

  /** Take a message of the server; returns what kinds of thing it changed. */
  take(message) {
    const changed = new Set();
    if (message.t === "begin") {
      const frames = this.frames;
      this.clear();
      this.frames = this.workspace === message.config.sid ? frames : [];
      this.objects = message.objects;
      this.unseen = message.unseen;
      changed.add("all");
    }
    if (message.now !== undefined) [this.toldNow, this.toldAt] = [message.now, performance.now()];
    if (message.config) {
      this.config = message.config;
      this.workspace = message.config.sid;
      this.index(message.config);
      changed.add("config");
    }
    for (const key of ["version", "account", "workspaces", "clock", "sessions"]) {
      if (message[key] !== undefined) {
        this[key] = message[key];
        changed.add("server");
      }
    }
    for (const record of message.tasks ?? []) this.tasks.set(record[0], task(record));
    for (const record of message.workers ?? []) this.workers.set(record[0], worker(record));
    for (const record of message.reservations ?? []) this.setReservation(reservation(record));
    for (const sid of message.gone ?? []) this.drop(sid);
    for (const kind of ["tasks", "workers", "reservations"]) if (message[kind]) changed.add(kind);
    for (const sid of message.gone ?? []) changed.add({ WT: "tasks", WK: "workers" }[sid.slice(0, 2)] ?? "reservations");
    if (message.events) this.lines(this.events, message.events.map(event), changed);
    if (message.frames) this.lines(this.frames, message.frames.map(frame), changed);
    if (message.skipped) this.skipped += message.skipped;
    if (message.t === "ready") {
      this.ready = true;
      changed.add("all");
    }
    return changed;
  }

  lines(kept, more, changed) {
    kept.push(...more);
    if (kept.length > KEPT + 200) kept.splice(0, kept.length - KEPT);
    changed.add("timeline");
  }

  setReservation(item) {
    const before = this.reservations.get(item.sid);
    this.reservations.set(item.sid, item);
    if (isLive(item)) {
      add(this.byTask, item.task, item.sid);
      add(this.byWorker, item.worker, item.sid);
    } else {
      remove(this.byTask, item.task, item.sid);
      remove(this.byWorker, item.worker, item.sid);
      if (!before || isLive(before)) this.ended.push(item.sid);
      if (this.ended.length > RECENT) this.reservations.delete(this.ended.shift());
    }
  }

  drop(sid) {
    // What was held of it has gone with it, whether that was told or not.
    for (const held of [...(this.byTask.get(sid) ?? []), ...(this.byWorker.get(sid) ?? [])]) this.drop(held);
    this.tasks.delete(sid);
    this.workers.delete(sid);
    const item = this.reservations.get(sid);
    if (item) {
      this.reservations.delete(sid);
      remove(this.byTask, item.task, sid);
      remove(this.byWorker, item.worker, sid);
    }
  }

  /** The live reservations of a task or worker. */
  held(sid) {
    const sids = (sid.startsWith("WT") ? this.byTask : this.byWorker).get(sid);
    return sids ? [...sids].map((each) => this.reservations.get(each)) : [];
  }

  queueName(sid) {
    return sid ? (this.queues.get(sid)?.name ?? "a deleted queue") : "no queue";
  }

  channelName(sid) {
    return this.channels.get(sid)?.unique ?? "–";
  }

  activity(sid) {
    return this.activities.get(sid) ?? { sid, name: "–", available: false };
  }

  /** By queue and in all: how many tasks are in each status, and who waits longest. */
  totals() {
    const fresh = () => ({ pending: 0, reserved: 0, assigned: 0, wrapping: 0, longest: null });
    const all = fresh();
    const queues = new Map([...this.queues.keys()].map((sid) => [sid, fresh()]));
    for (const each of this.tasks.values()) {
      if (!isOpen(each)) continue;
      const own = queues.get(each.queue);
      all[each.status] += 1;
      if (own) own[each.status] += 1;
      if (each.status !== "pending") continue;
      if (!all.longest || each.created < all.longest.created) all.longest = each;
      if (own && (!own.longest || each.created < own.longest.created)) own.longest = each;
    }
    return { all, queues };
  }
}

function add(map, key, value) {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function remove(map, key, value) {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}

export const store = new Store();
