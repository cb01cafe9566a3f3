// What views with one filtered table have in common.

import { h, say } from "../dom.js";
import { filterOf } from "../table.js";
import { whole } from "../format.js";

/** A line with a filter, a count, and what else belongs there. */
export class Listed {
  constructor({ title, table, fields, params, hint, more = [] }) {
    this.title = title;
    this.table = table;
    this.fields = fields;
    this.rows = new Map();
    this.count = h("span", { class: "count" });
    this.input = h("input", { type: "search", id: "filter", value: params.get("f") ?? "", placeholder: hint, autocomplete: "off", spellcheck: "false" });
    this.input.addEventListener("input", () => this.refilter());
    this.element = h(
      "div",
      { class: "listed" },
      h("div", { class: "tools" }, h("h1", {}, title), h("label", { class: "unseen", for: "filter" }, `Filter ${title}`), this.input, this.count, more),
      table.element,
    );
    this.table.filter = filterOf(this.input.value, fields);
  }

  refilter() {
    this.table.filter = filterOf(this.input.value, this.fields);
    this.show(this.rows, this.leftOut);
    // Of what somebody types the result is read out, and not each change of a live list.
    say(document.getElementById("says"), `${this.count.textContent} in the list`);
  }

  show(rows, leftOut = 0) {
    this.rows = rows;
    this.leftOut = leftOut;
    this.table.set(rows);
    say(this.count, `${this.table.count(rows.size)}${leftOut ? `, ${whole(leftOut)} more are not told here` : ""}`);
  }

  tick() {
    this.table.paint();
  }

  close() {}
}
