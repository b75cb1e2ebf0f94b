// A list of any length with a few dozen rows in the page: those that are seen.

import { h } from "./dom.js";

const MARGIN = 4; // rows beyond what is seen, each way

export class VirtualList {
  /**
   * columns: what the head says, with the class of each cell.
   * create: makes the cells of an empty row; fill: writes an item into them. id: tells items apart.
   */
  constructor({ label, columns, create, fill, id, open, kind, empty, height = 40, tall = 62 }) {
    Object.assign(this, { create, fill, id, open, heights: [height, tall] });
    this.items = [];
    this.rows = [];
    this.selected = null;
    this.space = h("div", { class: "space", role: "presentation" });
    this.head = h(
      "div",
      { class: `row head ${kind}`, role: "row", aria: { rowindex: "1" } },
      columns.map(([name, type]) => h("div", { class: `cell ${type}`, role: "columnheader", text: name })),
    );
    this.empty = h("div", { class: "empty", hidden: true }, empty ?? "");
    this.element = h(
      "div",
      {
        class: "list",
        role: "grid",
        tabindex: "0",
        aria: { label, colcount: String(columns.length) },
        on: { scroll: () => this.paint(), keydown: (event) => this.key(event), click: (event) => this.click(event) },
      },
      this.head,
      this.empty,
      this.space,
    );
    this.kind = kind;
    this.narrow = matchMedia("(max-width: 719px)");
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.element);
  }

  get height() {
    return this.heights[this.narrow.matches ? 1 : 0];
  }

  set(items) {
    this.items = items;
    this.element.setAttribute("aria-rowcount", String(items.length + 1));
    this.empty.hidden = items.length > 0;
    this.head.hidden = items.length === 0;
    this.paint();
  }

  paint() {
    const { height, items, element } = this;
    const total = items.length * height;
    if (this.total !== total) {
      this.space.style.height = `${total}px`;
      this.total = total;
    }
    const top = Math.max(0, element.scrollTop);
    const first = Math.max(0, Math.floor(top / height) - MARGIN);
    const last = Math.min(items.length, Math.ceil((top + element.clientHeight) / height) + MARGIN);
    const needed = Math.max(0, last - first);
    while (this.rows.length < needed) {
      const row = h("div", { role: "row", class: `row ${this.kind}` });
      row.parts = this.create(row);
      this.space.append(row);
      this.rows.push(row);
    }
    // Row n always shows items n, n + rows, and so on: scrolling moves few of them.
    this.rows.forEach((row) => (row.used = false));
    for (let index = first; index < last; index += 1) {
      const row = this.rows[index % this.rows.length];
      row.used = true;
      const item = items[index];
      const id = this.id(item);
      if (row.index !== index || row.height !== height) {
        row.style.transform = `translateY(${index * height}px)`;
        row.style.height = `${height}px`;
        row.setAttribute("aria-rowindex", String(index + 2));
        row.index = index;
        row.height = height;
      }
      if (row.hidden) row.hidden = false;
      row.item = item;
      const chosen = id === this.selected;
      if (row.chosen !== chosen) {
        row.chosen = chosen;
        row.classList.toggle("selected", chosen);
        row.setAttribute("aria-selected", String(chosen));
      }
      if (chosen) {
        row.id = "selected-row";
        this.element.setAttribute("aria-activedescendant", "selected-row");
      } else if (row.id) row.removeAttribute("id");
      this.fill(row.parts, item, row);
    }
    for (const row of this.rows) {
      if (!row.used && !row.hidden) {
        row.hidden = true;
        row.item = null;
        row.removeAttribute("id");
      }
    }
  }

  select(index, { open = false } = {}) {
    if (!this.items.length) return;
    const place = Math.min(Math.max(0, index), this.items.length - 1);
    this.selected = this.id(this.items[place]);
    const { height, element } = this;
    const head = this.head.offsetHeight;
    const room = element.clientHeight - head;
    const top = place * height;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height > element.scrollTop + room) element.scrollTop = top + height - room;
    this.paint();
    if (open) this.open(this.items[place]);
  }

  key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.items.findIndex((item) => this.id(item) === this.selected);
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const moves = { ArrowDown: at + 1, j: at + 1, ArrowUp: at < 0 ? 0 : at - 1, k: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.items.length - 1 };
    if (event.key in moves) {
      event.preventDefault();
      this.select(moves[event.key], { open: document.body.classList.contains("detailed") && !this.narrow.matches });
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      event.preventDefault();
      this.open(this.items[at]);
    }
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row?.item || event.target.closest("button, a")) return;
    this.selected = this.id(row.item);
    this.paint();
    this.open(row.item);
  }

  destroy() {
    this.resized.disconnect();
  }
}
