// How times, SIDs and attributes are written.

const pad = (number) => String(number).padStart(2, "0");

/** Seconds as 0:07, 12:34, 3:02:01 or 2d 03:00. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [s, m, hours, days] = [whole % 60, Math.floor(whole / 60) % 60, Math.floor(whole / 3600) % 24, Math.floor(whole / 86400)];
  if (days) return `${days}d ${pad(hours)}:${pad(m)}`;
  return hours ? `${hours}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** A countdown rounds up: 0:00 is over. */
export const countdown = (seconds) => duration(Math.ceil(seconds));

export function clockTime(at, { milliseconds = false } = {}) {
  const date = new Date(at * 1000);
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return milliseconds ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

export function dateTime(at) {
  if (at === null || at === undefined) return "–";
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clockTime(at)}`;
}

/** Enough of a SID to tell it from its neighbours. */
export const shortSid = (sid) => (sid ? `${sid.slice(0, 2)}…${sid.slice(-6)}` : "–");

/** A sentence whose SIDs are cut short. */
export const withShortSids = (text) => text.replace(/\b[A-Z]{2}[0-9a-f]{32}\b/g, shortSid);

/** Attributes on one line: their values by name, without the punctuation of JSON where they can be read. */
export function attributesLine(text) {
  if (text === "{}" || !text) return "no attributes";
  try {
    const object = JSON.parse(text);
    return Object.entries(object)
      .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join("  ·  ");
  } catch {
    return text; // cut short
  }
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export const number = (value) => value.toLocaleString("en-US").replaceAll(",", " ");

export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;
