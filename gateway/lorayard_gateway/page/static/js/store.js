// The yard as this page knows it: told whole once, then only what changes.

import { setClock } from "./format.js";

const POINTS = 900;

export class Store extends EventTarget {
  constructor() {
    super();
    this.head = {};
    this.tables = {};
    this.history = [];
    this.source = null;
    this.opened = 0;
    this.heard = 0;
    this.live = false;
    this.read = 0;
  }

  open() {
    this.heard = performance.now();
    this.#connect();
  }

  /** Begin anew where nothing new has come: a line that is cut without a word stays open for the browser. */
  revive(patience) {
    if (performance.now() - this.opened > patience) this.#connect();
  }

  #connect() {
    this.close();
    this.opened = performance.now();
    this.source = new EventSource("api/events");
    this.source.addEventListener("whole", (event) => this.#whole(JSON.parse(event.data)));
    this.source.addEventListener("change", (event) => this.#change(JSON.parse(event.data)));
    this.source.addEventListener("bye", () => this.#ended());
    this.source.addEventListener("error", () => this.#broken());
  }

  close() {
    this.source?.close();
    this.source = null;
    this.live = false;
  }

  /** Rows of a table with their keys, as `[key, row]`. */
  rows(name) {
    return this.tables[name] ?? new Map();
  }

  #whole(told) {
    this.head = told.head;
    this.tables = Object.fromEntries(Object.entries(told.tables).map(([name, rows]) => [name, new Map(Object.entries(rows))]));
    this.history = told.history;
    this.#clock(told.history.at(-1));
    this.#tell();
  }

  #change(told) {
    Object.assign(this.head, told.head);
    for (const [name, changed] of Object.entries(told.tables ?? {})) {
      const rows = (this.tables[name] ??= new Map());
      for (const key of changed.gone ?? []) rows.delete(key);
      for (const [key, row] of Object.entries(changed.rows ?? {})) rows.set(key, Object.assign(rows.get(key) ?? {}, row));
    }
    if (told.point) {
      this.history.push(told.point);
      if (this.history.length > POINTS) this.history.shift();
      this.#clock(told.point);
    }
    this.#tell();
  }

  /** Note a reading; one that was told before says nothing of now. */
  #clock(point) {
    if (!point || point[0] === this.read) return;
    setClock(point[0]);
    this.heard = performance.now();
    this.read = point[0];
  }

  #tell() {
    this.live = true;
    this.dispatchEvent(new Event("change"));
  }

  #broken() {
    this.live = false;
    this.dispatchEvent(new Event("broken"));
    // A browser comes back by itself after a cut, but never after an answer that is an error.
    if (this.source?.readyState === EventSource.CLOSED) {
      this.close();
      setTimeout(() => this.dispatchEvent(new Event("refused")), 3000);
    }
  }

  #ended() {
    this.close();
    document.dispatchEvent(new CustomEvent("logged-out"));
  }
}

export const store = new Store();
