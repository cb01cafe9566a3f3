// A table of any length: only the rows that can be seen are in the page, and of those only cells that have
// changed are touched.

import { fill, h, say } from "./dom.js";
import { whole } from "./format.js";

const ROW_PX = 36;
const MARGIN_ROWS = 8;

/**
 * `columns`: each with `id`, `title`, `cell(row)` (a text, or `{text, href, class, title, bar, chips, button}`),
 * `sort(row)` if it can be sorted by, `right`, and `wide`: "m" or "l" is left out of narrow windows. The column `do` has
 * the buttons, and stays in view.
 */
export class Table {
  constructor({ label, columns, sort, descending = false, empty = "Nothing here.", tall = false }) {
    this.columns = columns;
    this.sorted = { id: sort ?? columns[0].id, descending };
    this.filter = () => true;
    this.shown = [];
    this.emptyText = empty;
    this.lines = new Map();
    this.heads = columns.map((column) => this.#head(column));
    this.top = h("tr", { class: "space", "aria-hidden": "true" }, h("td", { colspan: columns.length }));
    this.bottom = h("tr", { class: "space", "aria-hidden": "true" }, h("td", { colspan: columns.length }));
    this.body = h("tbody", {}, this.top, this.bottom);
    this.table = h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, this.heads)), this.body);
    this.none = h("p", { class: "none" });
    this.scroll = h("div", { class: tall ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": `${label}, scrolls` }, this.table, this.none);
    this.scroll.addEventListener("scroll", () => this.#soon(), { passive: true });
    this.scroll.addEventListener("keydown", (event) => this.#move(event));
    new ResizeObserver(() => this.#soon()).observe(this.scroll);
    this.#mark();
  }

  get element() {
    return this.scroll;
  }

  /** Take rows as `[key, row]`; they keep their order while somebody points at one, or has come to one by keys. */
  set(rows) {
    const found = [];
    for (const [key, row] of rows) if (this.filter(row, key)) found.push([key, row]);
    const used = this.body.matches(":hover") || this.body.contains(document.activeElement);
    if (used && this.shown.length) {
      const place = new Map(this.shown.map(([key], index) => [key, index]));
      found.sort((one, other) => (place.get(one[0]) ?? Infinity) - (place.get(other[0]) ?? Infinity) || 0);
    } else this.#sort(found);
    this.shown = found;
    this.paint();
  }

  #sort(rows) {
    const column = this.columns.find((one) => one.id === this.sorted.id);
    const by = column.sort ?? ((row) => textOf(column.cell(row)));
    const turn = this.sorted.descending ? -1 : 1;
    const keyed = rows.map((entry) => [by(entry[1]), entry]);
    keyed.sort(([one, oneEntry], [other, otherEntry]) => turn * compare(one, other) || compare(oneEntry[0], otherEntry[0]));
    keyed.forEach(([, entry], index) => (rows[index] = entry));
  }

  #head(column) {
    const place = ["th", { scope: "col", class: classes(column) }];
    if (!column.sort) return h(...place, column.title || h("span", { class: "unseen" }, "Actions"));
    return h(...place, h("button", { type: "button", class: "sort", onclick: () => this.#sortBy(column.id) }, column.title, h("span", { class: "mark", "aria-hidden": "true" })));
  }

  #sortBy(id) {
    this.sorted = { id, descending: this.sorted.id === id ? !this.sorted.descending : false };
    this.#mark();
    this.#sort(this.shown);
    this.scroll.scrollTop = 0;
    this.paint();
  }

  #mark() {
    this.columns.forEach((column, index) => {
      const mine = column.id === this.sorted.id;
      if (column.sort) this.heads[index].setAttribute("aria-sort", mine ? (this.sorted.descending ? "descending" : "ascending") : "none");
    });
  }

  #soon() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.paint();
    });
  }

  /** Bring what can be seen up to date; ages, too. */
  paint() {
    const count = this.shown.length;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW_PX) - MARGIN_ROWS);
    const last = Math.min(count, Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / ROW_PX) + MARGIN_ROWS);
    this.table.setAttribute("aria-rowcount", String(count + 1));
    height(this.top, first * ROW_PX);
    height(this.bottom, (count - last) * ROW_PX);
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.shown[index][0], index);
    for (const [key, line] of this.lines) {
      if (wanted.has(key)) continue;
      line.element.remove();
      this.lines.delete(key);
    }
    let before = this.top;
    for (const [key, index] of wanted) {
      let line = this.lines.get(key);
      if (!line) this.lines.set(key, (line = this.#line()));
      if (before.nextSibling !== line.element) before.after(line.element);
      before = line.element;
      line.element.setAttribute("aria-rowindex", String(index + 2));
      this.#write(line, this.shown[index][1]);
    }
    say(this.none, count ? "" : this.emptyText);
    this.none.hidden = count > 0;
  }

  #line() {
    const cells = this.columns.map((column, index) => h(index ? "td" : "th", index ? { class: classes(column) } : { scope: "row", class: classes(column) }));
    return { element: h("tr", {}, cells), cells, said: [] };
  }

  #write(line, row) {
    this.columns.forEach((column, index) => {
      const cell = column.cell(row);
      const said = typeof cell === "object" && cell !== null ? JSON.stringify(cell) : cell;
      if (line.said[index] === said) {
        if (cell?.buttons) line.row = row;
        return;
      }
      line.said[index] = said;
      line.row = row;
      const element = line.cells[index];
      if (typeof cell !== "object" || cell === null) say(element, String(cell ?? ""));
      else fill(element, content(cell, () => line.row, column));
    });
  }

  #move(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const line = event.target.closest("tbody tr");
    if (!line) return;
    const next = event.key === "ArrowDown" ? line.nextElementSibling : line.previousElementSibling;
    const link = next?.querySelector("a, button");
    if (!link) return;
    event.preventDefault();
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  /** How many rows fit the filter, for people. */
  count(total) {
    return this.shown.length === total ? whole(total) : `${whole(this.shown.length)} of ${whole(total)}`;
  }
}

function content(cell, row, column) {
  if (cell.buttons) {
    return cell.buttons.map(([id, label, title]) =>
      h("button", { type: "button", class: "small", title, "aria-label": title, onclick: () => column.press(id, row()) }, label),
    );
  }
  const text = h(cell.href ? "a" : "span", { href: cell.href, class: cell.class, title: cell.title }, cell.text);
  if (cell.chips) return h("span", { class: "chips" }, cell.chips.map((chip) => h("span", { class: "chip", title: chip }, chip.split("/").slice(-1)[0])), cell.text);
  return cell.bar === undefined ? text : [meter(cell.bar), text];
}

/** A bar from 0 to 1; the number stands beside it. */
export function meter(share, kind = "") {
  const inner = h("span", { class: `fill ${kind}` });
  inner.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return h("span", { class: "meter", "aria-hidden": "true" }, inner);
}

/** A filter of what somebody types: all words must be found, `tenant:acme` in that column alone. */
export function filterOf(text, fields) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row, key) =>
    words.every((word) => {
      const [name, rest] = word.includes(":") ? [word.slice(0, word.indexOf(":")), word.slice(word.indexOf(":") + 1)] : ["", word];
      if (name && name in fields) return String(fields[name](row, key) ?? "").toLowerCase().includes(rest);
      return Object.values(fields).some((field) => String(field(row, key) ?? "").toLowerCase().includes(word));
    });
}

function classes(column) {
  return [column.id === "do" && "acts", column.right && "right", column.wide && `wide-${column.wide}`, column.class].filter(Boolean).join(" ") || undefined;
}

function height(line, pixels) {
  const told = `${pixels}px`;
  if (line.style.height !== told) line.style.height = told;
  line.hidden = pixels <= 0;
}

function textOf(cell) {
  return typeof cell === "object" && cell !== null ? cell.text : String(cell ?? "");
}

function compare(one, other) {
  if (one === other) return 0;
  if (one === null || one === undefined) return 1;
  if (other === null || other === undefined) return -1;
  return one < other ? -1 : 1;
}
