// Jobs that were given up, with why.

import { h, say } from "../dom.js";
import { ask } from "../api.js";
import { age, many, short } from "../format.js";
import { href } from "../links.js";
import { Table } from "../table.js";
import { toast } from "../dialog.js";
import { mayAct, redrive, redriveListed, redriveMatching } from "../deeds.js";
import { Asked } from "./asked.js";

/** Each of them is looked up by itself. */
const AT_ONCE = 200;

export class Dead extends Asked {
  constructor(_, params) {
    const columns = [
      { id: "number", title: "Letter", sort: (row) => row.number, cell: (row) => ({ text: `#${row.number}`, href: row.job && row.tenant ? href.job(row.tenant, row.job) : undefined, title: row.job ?? undefined }) },
      { id: "code", title: "Code", sort: (row) => row.code, cell: (row) => ({ text: `✕ ${row.code}`, class: "badge bad" }) },
      { id: "reason", title: "Why", wide: "m", sort: (row) => row.reason, cell: (row) => ({ text: row.reason, title: row.reason }) },
      { id: "tenant", title: "Tenant", wide: "m", sort: (row) => row.tenant, cell: (row) => row.tenant ?? "–" },
      { id: "adapter", title: "Adapter", wide: "l", sort: (row) => row.adapter, cell: (row) => ({ text: short(row.adapter), title: row.adapter ?? undefined }) },
      { id: "attempts", title: "Attempts", right: true, wide: "l", sort: (row) => row.attempts.length, cell: (row) => String(row.attempts.length || 1) },
      { id: "at", title: "Age", right: true, sort: (row) => -row.at, cell: (row) => age(row.at) },
      ...(mayAct() ? [{ id: "do", title: "", right: true, cell: () => ({ buttons: [["redrive", "Try again", "Try this job again"]] }), press: (__, row) => this.#one(row) }] : []),
    ];
    const newest = h("button", { type: "button", class: "small", disabled: true, onclick: () => this.#turn(null) }, "Newest");
    const older = h("button", { type: "button", class: "small", disabled: true, onclick: () => this.#turn(this.older) }, "Older");
    const all = h("span", { class: "count all" });
    super({
      title: "Dead letters",
      table: new Table({ label: "Dead letters", columns, sort: "at", tall: true, empty: "No job was given up." }),
      fields: { code: (row) => row.code, tenant: (row) => row.tenant, adapter: (row) => row.adapter, reason: (row) => row.reason, job: (row) => row.job },
      params,
      hint: "Filter: code:poison tenant:acme",
      more: [all, newest, older, mayAct() && h("button", { type: "button", class: "danger", onclick: () => this.#all() }, "Try all that match again …")],
    });
    Object.assign(this, { all, buttons: { newest, older }, before: null, older: null });
    this.fetch();
  }

  async read() {
    const { before } = this;
    const { letters, total, older } = await ask("dead", { before });
    if (before === this.before) this.#place(total, older);
    return { rows: new Map(letters.map((row) => [String(row.number), row])), more: false };
  }

  #place(total, older) {
    this.older = older;
    this.buttons.newest.disabled = this.before === null;
    this.buttons.older.disabled = older === null;
    const begin = this.before === null ? "the newest first" : `those before #${this.before}`;
    say(this.all, `of ${many(total, "letter")} in all, ${begin}`);
  }

  /** To another page; none is the first. */
  async #turn(before) {
    this.before = before;
    await this.fetch();
    this.table.scroll.scrollTop = 0;
  }

  async #one(row) {
    if (await redrive(row.number)) this.fetch();
  }

  async #all() {
    // What a query can say means all letters that fit, listed or not; any other word those that are listed.
    const query = {};
    for (const word of this.input.value.split(/\s+/).filter(Boolean)) {
      const [, name, value] = /^(tenant|adapter|code):(.+)$/.exec(word) ?? [];
      if (!name) return this.#listed();
      query[name] = value;
    }
    const told = Object.entries(query).map(([name, value]) => `${name} ${value}`).join(", ") || "all tenants";
    if (await redriveMatching(query, told)) this.fetch();
  }

  async #listed() {
    const numbers = this.table.shown.map(([, row]) => row.number).slice(0, AT_ONCE);
    if (!numbers.length) toast("nothing fits that");
    else if (await redriveListed(numbers)) this.fetch();
  }
}
