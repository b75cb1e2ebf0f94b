// Feeds frames to the official SDK's own handler, unmodified, and says what became of each.
//
// First line on stdin: {"token", "options", "reservation"}. Then one JSON array of frame texts a line; each
// is answered by an array of {"outcome", "type", "why"} on stdout:
//   ignored   nobody listens to such an event, or it is white space
//   event     a handler took it
//   error     the SDK emitted `error`: it goes on
//   dies      an exception left the websocket's handler: nobody catches it, the process ends
// Before each frame the worker has the reservation it was given at the start, and no other.

"use strict";

const readline = require("node:readline");
const { createRequire } = require("node:module");
const path = require("node:path");

const interop = createRequire(path.join(__dirname, "..", "interop", "package.json"));
const { Worker } = interop("twilio-taskrouter");

for (const name of ["log", "info", "debug", "trace", "warn", "error"]) console[name] = () => {};
const send = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// What handlers start and do not wait for, such as a transfer's search for its answer.
process.on("unhandledRejection", () => {});

let worker, signaling, onmessage, base, outcome;

function start({ token, options, reservation }) {
  worker = new Worker(token, options);
  base = reservation;
  worker.on("error", () => {});
  worker.once("ready", () => {
    signaling = worker._signaling;
    onmessage = signaling.webSocket.onmessage;
    worker._initialize = () => {}; // another `init` reads it all again: that is the network's part
    signaling.setLifetime = () => {};
    const emit = signaling.emit;
    signaling.emit = function (type, ...args) {
      outcome = { outcome: type === "error" ? "error" : "ignored", type: String(type) };
      if (emit.call(this, type, ...args) && type !== "error") outcome.outcome = "event";
      return true;
    };
    const internal = signaling.eventNames().filter((name) => typeof name === "string" && !/[.]|^init$/.test(name));
    send({ ready: true, sid: worker.sid, internal });
  });
}

function judge(text) {
  for (const sid of [...worker.reservations.keys()]) worker.reservations.delete(sid);
  worker._dataServices.reservationsEntity.insert(JSON.parse(JSON.stringify(base)));
  outcome = { outcome: "ignored", type: null };
  try {
    onmessage({ data: text });
  } catch (error) {
    const type = outcome.type;
    outcome = { outcome: "dies", type, why: `${error.name}: ${String(error.message).slice(0, 200)}` };
  }
  return outcome;
}

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const message = JSON.parse(line);
  if (Array.isArray(message)) send(message.map(judge));
  else start(message);
});
lines.on("close", () => process.exit(0));
