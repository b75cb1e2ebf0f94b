// Drives the official TaskRouter SDK for JavaScript, unmodified, for tests written in Python.
//
// Commands come in as one JSON object a line on stdin, answers and events go out the same way on
// stdout. The driver knows no scenario: it makes workers and workspaces, calls any method of any
// object it can reach, and reports every event of every object.
//
//   {"id": 1, "do": "worker", "name": "w1", "token": "...", "options": {...}}
//   {"id": 2, "do": "workspace", "name": "s1", "token": "...", "options": {...}}
//   {"id": 3, "do": "call", "path": ["w1", "reservations", "WR..."], "method": "accept", "args": []}
//   {"id": 4, "do": "get", "path": ["w1", "activity", "name"]}
//   {"id": 5, "do": "callThenListen", ...as call, "event": "accepted", "within": 5000}
//   {"id": 6, "do": "all", "calls": [{"path": ..., "method": ..., "args": ...}, ...]}
//   {"id": 7, "do": "exit"}
//
// A path's first word is the name of a worker or workspace; the others are properties, or keys of
// a Map. "reservation" below a worker holds every reservation it ever showed, ended ones included.
// A Date in arguments is {"$date": milliseconds}; a Date in results is its milliseconds.

"use strict";

const readline = require("node:readline");
const { Supervisor, Worker, Workspace } = require("twilio-taskrouter");

// The SDK logs to the console; stdout belongs to the protocol.
const toStderr = (...words) => process.stderr.write(`${words.map(String).join(" ")}\n`);
console.log = console.info = console.debug = console.trace = console.warn = console.error = toStderr;

const send = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

for (const kind of ["uncaughtException", "unhandledRejection"]) {
  process.on(kind, (error) => send({ uncaught: kind, stack: String((error && error.stack) || error) }));
}

const EVENTS = {
  worker: [
    "ready", "activityUpdated", "attributesUpdated", "reservationCreated", "reservationFailed",
    "disconnected", "error", "tokenExpired", "tokenUpdated",
  ],
  channel: ["capacityUpdated", "availabilityUpdated"],
  reservation: ["accepted", "rejected", "timeout", "canceled", "rescinded", "wrapup", "completed"],
  task: ["updated", "canceled", "completed", "wrapup", "transferInitiated"],
  transfer: ["attemptFailed", "completed", "failed", "canceled"],
};

const roots = new Map();
const seen = new Map(); // worker name -> Map of reservation SID -> Reservation
const listenedTo = new WeakSet();

function plain(value, depth = 0) {
  if (value === null || value === undefined) return null;
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object") return value;
  if (value instanceof Date) return value.getTime();
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (depth > 6) return undefined;
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  const entries = value instanceof Map ? [...value] : properties(value);
  const result = {};
  for (const [key, item] of entries) {
    const shown = plain(item, depth + 1);
    if (shown !== undefined) result[key] = shown;
  }
  return result;
}

// Own public properties and the getters of the class, as a user of the object would find them.
function properties(object) {
  const names = new Set(Object.keys(object));
  const prototype = Object.getPrototypeOf(object);
  if (prototype && prototype !== Object.prototype) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (get) names.add(name);
    }
  }
  const hidden = new Set(["retryUtil", "taskRouterEventHandler", "domain"]);
  return [...names].filter((name) => !name.startsWith("_") && !hidden.has(name)).map((name) => [name, object[name]]);
}

function listen(workerName, kind, object) {
  if (listenedTo.has(object)) return;
  listenedTo.add(object);
  for (const event of EVENTS[kind]) {
    object.on(event, (...args) => {
      if (event === "ready") {
        for (const channel of object.channels.values()) listen(workerName, "channel", channel);
        for (const reservation of object.reservations.values()) remember(workerName, reservation);
      }
      if (event === "reservationCreated") remember(workerName, args[0]);
      send({ event, worker: workerName, kind, sid: object.sid, data: args.length ? plain(args[0]) : null });
    });
  }
}

function remember(workerName, reservation) {
  seen.get(workerName).set(reservation.sid, reservation);
  listen(workerName, "reservation", reservation);
  listen(workerName, "task", reservation.task);
  followTransfer(workerName, reservation.task);
}

// A task gets its outgoing transfer with a call of `transfer`, or has it from the start.
function followTransfer(workerName, object) {
  const outgoing = object && object.transfers && object.transfers.outgoing;
  if (outgoing) listen(workerName, "transfer", outgoing);
}

function at(path) {
  const [name, ...words] = path;
  if (!roots.has(name)) throw new Error(`nothing is called ${name}`);
  let object = roots.get(name);
  for (const [index, word] of words.entries()) {
    if (index === 0 && word === "reservation") object = seen.get(name);
    else object = object instanceof Map ? object.get(word) : object[word];
    if (object === undefined) throw new Error(`${path.join(".")} leads nowhere: no ${word}`);
  }
  return object;
}

const revive = (key, value) => (value && typeof value === "object" && "$date" in value ? new Date(value.$date) : value);

const ACTIONS = {
  worker({ name, token, options, supervisor }) {
    const worker = new (supervisor ? Supervisor : Worker)(token, options);
    roots.set(name, worker);
    seen.set(name, new Map());
    listen(name, "worker", worker);
  },
  workspace({ name, token, options }) {
    roots.set(name, new Workspace(token, options));
  },
  get({ path }) {
    return plain(at(path));
  },
  async call({ path, method, args }) {
    const object = at(path);
    const result = await object[method](...args);
    followTransfer(path[0], object);
    return plain(result);
  },
  // Several calls that leave in one turn of the event loop, before any answer can come in.
  async all({ calls }) {
    const settled = await Promise.allSettled(calls.map(({ path, method, args }) => at(path)[method](...args)));
    return settled.map(({ value, reason }) => (reason ? { error: plain(reason) } : { result: plain(value) }));
  },
  // As the SDK's users do it: the listener is attached when the call has returned, not before.
  async callThenListen({ path, method, args, event, within }) {
    const object = at(path);
    await object[method](...args);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), within);
      object.once(event, () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  },
  // The SDK leaves timers behind that would keep the process alive.
  exit() {
    setImmediate(() => process.exit(0));
  },
};

const commands = readline.createInterface({ input: process.stdin });
commands.on("line", async (line) => {
  const command = JSON.parse(line, revive);
  try {
    const result = await ACTIONS[command.do](command);
    send({ id: command.id, result: result === undefined ? null : result });
  } catch (error) {
    send({ id: command.id, error: { name: error.name, message: error.message } });
  }
});
commands.on("close", () => process.exit(0));
