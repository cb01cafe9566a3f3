// Lists that are asked for, a page of them at a time, since no snapshot holds them.

import { h, say } from "../dom.js";
import { many } from "../format.js";
import { Listed } from "./listed.js";

const AGAIN_MS = 4000;

/** As `Listed`, with rows that are fetched when it opens, and again every few seconds while it is looked at. */
export class Asked extends Listed {
  constructor(given) {
    super(given);
    this.fault = h("p", { class: "fault", role: "alert" });
    this.element.append(this.fault);
    this.asked = 0;
    this.timer = setInterval(() => document.hidden || this.fetch(), AGAIN_MS);
  }

  update() {}

  close() {
    clearInterval(this.timer);
  }

  /** Fetch anew; of answers that overtake each other the last question's counts. */
  async fetch() {
    const mine = (this.asked += 1);
    try {
      const { rows, more } = await this.read();
      if (mine !== this.asked) return;
      say(this.fault, "");
      this.more = more;
      this.show(rows);
      if (more) say(this.count, `the first ${many(rows.size, "line")}; there are more`);
    } catch (error) {
      if (mine === this.asked) say(this.fault, error.message);
    }
  }
}

/** A choice of one of several. */
export function select(id, label, options, value, changed) {
  const element = h("select", { id, onchange: () => changed(element.value) }, options.map(([given, text]) => h("option", { value: given, selected: given === value }, text)));
  return h("span", { class: "field" }, h("label", { for: id }, label), element);
}
