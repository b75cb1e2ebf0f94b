// Elements without HTML text: whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: class, text, title, on (listeners), data, aria, and any attribute or property. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "aria") for (const [key, said] of Object.entries(value)) element.setAttribute(`aria-${key}`, said);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child);
  }
}

/** A listener for what a double click does once: its second half is not meant for what is there by then. */
export const once = (act) => (event) => (event.detail < 2 ? act(event) : undefined);

/** A text that is written anew every second. */
export function ticking(make, className = "number") {
  const node = h("span", { class: className, text: make() });
  node.tick = () => setText(node, make());
  node.dataset.ticks = "";
  return node;
}

/** Set a text, if it is another one. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set a text that may be cut by an ellipsis; the whole of it is the title. */
export function setCut(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
    node.title = text;
  }
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

const PATHS = {
  board: "M3 4h7v7H3zM14 4h7v4h-7zM14 12h7v8h-7zM3 15h7v5H3z",
  tasks: "M9 6h12M9 12h12M9 18h12M4 6h.01M4 12h.01M4 18h.01",
  workers: "M16 20v-1a5 5 0 0 0-10 0v1M11 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M21 20v-1a4 4 0 0 0-3-3.9M15.5 4.2a3.5 3.5 0 0 1 0 6.6",
  reservations: "M12 7v5l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18",
  timeline: "M3 12h4l3-8 4 16 3-8h4",
  faults: "M13 3 4 14h7l-1 7 9-11h-7z",
  server: "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01",
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M20 20l-4-4",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 3v1M12 20v1M3 12h1M20 12h1M5.6 5.6l.7.7M17.7 17.7l.7.7M5.6 18.4l.7-.7M17.7 6.3l.7-.7",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5",
  auto: "M3 5h18v11H3zM8 20h8M12 16v4",
  help: "M9.5 9.2a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M12 16.6h.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18",
  logout: "M14 4h6v16h-6M10 8l-4 4 4 4M6 12h9",
  check: "M5 12l5 5 9-10",
  cross: "M7 7l10 10M17 7 7 17",
};

/** A small drawing; decoration only, what it stands for is said beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export function button(label, onclick, props = {}) {
  const { symbol, only, ...rest } = props;
  return h(
    "button",
    {
      type: "button",
      class: "button",
      on: { click: onclick },
      ...rest,
      ...(only ? { title: rest.title ?? label, aria: { label } } : {}),
    },
    symbol && icon(symbol),
    !only && h("span", { text: label }),
  );
}
