// The official SDK for JavaScript, as an application uses it. One JSON argument in, one JSON line out.

"use strict";

const http = require("node:http");
const path = require("node:path");

const interop = path.join(__dirname, "..", "..", "tests", "interop", "node_modules");
const { Worker } = require(path.join(interop, "twilio-taskrouter"));

console.log = console.info = console.debug = console.trace = console.warn = console.error = () => {};

const task = JSON.parse(process.argv[2]);
const address = `127.0.0.1:${task.port}/v1/wschannels`;
const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const tokens = Array.from({ length: task.workers ?? 1 }, (_, number) => {
  const worker_sid = `WK${number.toString(16).padStart(32, "0")}`;
  const grants = { task_router: { workspace_sid: `WS${"b".repeat(32)}`, worker_sid } };
  const exp = Math.floor(Date.now() / 1000) + 86_400;
  return [encode({ typ: "JWT", alg: "HS256" }), encode({ exp, grants }), "c2lnbmF0dXJl"].join(".");
});
const options = { ebServer: `http://${address}`, wsServer: `ws://${address}` };

const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const rssKib = () => {
  global.gc();
  return process.memoryUsage().rss / 1024;
};
const percentile = (values, share) => {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(share * ordered.length))];
};

function control(command) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: task.port, host: "127.0.0.1", path: "/control", method: "POST" }, (answer) => {
      answer.resume();
      answer.on("end", resolve);
    });
    request.on("error", reject);
    request.end(JSON.stringify(command));
  });
}

function ready(some) {
  return Promise.all(
    some.map(
      (token) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(token, options);
          worker.once("ready", resolve);
          worker.on("error", reject);
        }),
    ),
  );
}

// CPU and wall seconds from `begin` until `count` was called `total` times.
async function measure(total, begin) {
  let left = total;
  let done;
  const over = new Promise((resolve) => (done = resolve));
  const count = () => {
    left -= 1;
    if (left === 0) done();
  };
  const cpu = cpuSeconds();
  const wall = seconds();
  await begin(count);
  await over;
  return { cpu: cpuSeconds() - cpu, wall: seconds() - wall };
}

async function lives(workers, number, rate) {
  let listener;
  const result = await measure((number + 1) * workers.length, (count) => {
    listener = () => count();
    for (const worker of workers) worker.on("reservationCreated", listener);
    return control({ do: "lives", lives: number, rate });
  });
  for (const worker of workers) worker.off("reservationCreated", listener);
  return result;
}

const SCENARIOS = {
  async events() {
    const workers = await ready(tokens);
    await lives(workers, task.warm_up);
    const { cpu, wall } = await lives(workers, task.lives);
    const events = (task.lives * 4 + 1) * workers.length;
    return { events, cpu_us: (cpu / events) * 1e6, events_per_second: events / wall };
  },
  async loop() {
    const [worker] = await ready(tokens.slice(0, 1));
    const latencies = [];
    let finished;
    worker.on("reservationCreated", async (reservation) => {
      await reservation.accept();
      latencies.push((Number(process.hrtime.bigint()) - Number(reservation.task.attributes.sent)) / 1e6);
      await reservation.complete();
      finished();
    });
    const go = (total) =>
      measure(total, (count) => {
        finished = count;
        return control({ do: "loop", in_flight: task.in_flight, total });
      });
    await go(task.warm_up);
    latencies.length = 0;
    const { cpu, wall } = await go(task.lives);
    return {
      per_second: task.lives / wall,
      cpu_us: (cpu / task.lives) * 1e6,
      p50_ms: percentile(latencies, 0.5),
      p99_ms: percentile(latencies, 0.99),
    };
  },
  async memory() {
    await ready(tokens.slice(0, 1));
    const before = rssKib();
    await ready(tokens.slice(1));
    return { kib: (rssKib() - before) / (tokens.length - 1) };
  },
  async ready() {
    const began = seconds();
    const cpu = cpuSeconds();
    await ready(tokens);
    return { seconds: seconds() - began, cpu_seconds: cpuSeconds() - cpu };
  },
  async flat() {
    const workers = await ready(tokens);
    const held = [];
    for (const number of [task.warm_up, task.lives]) {
      await lives(workers, number, task.rate);
      await new Promise((resolve) => setTimeout(resolve, 6_000)); // it lets go of them after five seconds
      await lives(workers, 1, task.rate);
      held.push(rssKib());
    }
    return { growth_kib: held[1] - held[0], reservations: task.lives * workers.length };
  },
};

SCENARIOS[task.scenario]().then(
  (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
  },
  (error) => {
    process.stderr.write(`${error.stack || error}\n`, () => process.exit(1));
  },
);
setTimeout(() => process.exit(3), 300_000).unref();
