// Makes the clock of a Node process run fast: `node --require ./fast_clock.cjs`, speed in CLOCK_SPEED.
//
// For tests of what the official SDK does after long silences: its timers and its Date, nothing else.

"use strict";

const speed = Number(process.env.CLOCK_SPEED);
if (!(speed > 0)) throw new Error("CLOCK_SPEED must be a number above 0");

const { setTimeout: later, setInterval: often, Date: Calendar } = globalThis;
const start = Calendar.now();

globalThis.setTimeout = (act, milliseconds, ...words) => later(act, milliseconds / speed, ...words);
globalThis.setInterval = (act, milliseconds, ...words) => often(act, milliseconds / speed, ...words);
globalThis.Date = class Date extends Calendar {
  constructor(...words) {
    if (words.length) super(...words);
    else super(globalThis.Date.now());
  }

  static now() {
    return Math.round(start + (Calendar.now() - start) * speed);
  }
};
