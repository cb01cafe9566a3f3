// Jobs, one by one.

import { h } from "../dom.js";
import { ask } from "../api.js";
import { age, milliseconds, moment, short } from "../format.js";
import { href } from "../links.js";
import { Table } from "../table.js";
import { cancel, cancelListed, cancelMatching, mayAct } from "../deeds.js";
import { toast } from "../dialog.js";
import { Asked, select } from "./asked.js";

const STATES = [["waiting", "unfinished"], ["delayed", "delayed"], ["ended", "ended last"]];
const LANES = [["", "all lanes"], ["urgent", "urgent"], ["high", "high"], ["normal", "normal"], ["bulk", "bulk"]];
const ENDS = { succeeded: ["✓", "good"], failed: ["✕", "bad"], cancelled: ["○", "soft"], expired: ["✕", "warn"] };

export class Jobs extends Asked {
  constructor(scope, params) {
    const state = params.get("state") ?? "waiting";
    const wanted = { state, tenant: params.get("tenant") ?? "", lane: params.get("lane") ?? "", adapter: params.get("adapter") ?? "" };
    const go = (changed) => (location.hash = href.jobs({ ...wanted, ...changed }));
    const tenant = h("input", { id: "tenant", value: wanted.tenant, size: "10", onchange: () => go({ tenant: tenant.value.trim() }) });
    const adapter = h("input", { id: "adapter", value: wanted.adapter, size: "14", onchange: () => go({ adapter: adapter.value.trim() }) });
    const id = h("input", { id: "find", size: "12", placeholder: "id, then Enter", onchange: () => id.value.trim() && (location.hash = href.job(tenant.value.trim() || scope || "default", id.value.trim())) });
    super({
      title: "Jobs",
      table: new Table({ label: "Jobs", columns: columns(state), sort: "at", descending: state === "ended", tall: true, empty: "No job fits." }),
      fields: { job: (row) => row.job, tenant: (row) => row.tenant, adapter: (row) => row.adapter ?? "", lane: (row) => row.lane ?? "", state: (row) => row.state ?? "", worker: (row) => row.worker ?? "" },
      params,
      hint: "Filter what is listed",
      more: [
        h("div", { class: "choices" },
          select("state", "State", STATES, state, (value) => go({ state: value })),
          state === "ended" ? null : select("lane", "Lane", LANES, wanted.lane, (value) => go({ lane: value })),
          scope ? null : h("span", { class: "field" }, h("label", { for: "tenant" }, "Tenant"), tenant),
          h("span", { class: "field" }, h("label", { for: "adapter" }, "Adapter"), adapter),
          h("span", { class: "field" }, h("label", { for: "find" }, "Job"), id),
          mayAct() && state !== "ended" && h("button", { type: "button", class: "danger", onclick: () => this.#cancelAll() }, "Cancel all that match …")),
      ],
    });
    this.wanted = wanted;
    this.fetch();
  }

  async read() {
    const { jobs, more } = await ask("jobs", this.wanted);
    return { rows: new Map(jobs.map((row) => [`${row.tenant}\x1f${row.job}`, row])), more };
  }

  async #cancelAll() {
    const { state, tenant, lane, adapter } = this.wanted;
    if (this.input.value.trim() || state !== "waiting") return this.#cancelListed();
    const query = Object.fromEntries(Object.entries({ tenant, lane, adapter }).filter(([, value]) => value));
    const told = [tenant && `tenant ${tenant}`, lane && `lane ${lane}`, adapter && `adapter ${adapter}`].filter(Boolean).join(", ");
    if (await cancelMatching(query, told)) this.fetch();
  }

  /** A query cannot say what the filter says, nor that only delayed ones are meant. */
  async #cancelListed() {
    const jobs = this.table.shown.map(([, { tenant, job }]) => ({ tenant, job }));
    if (!jobs.length) toast("nothing fits that");
    else if (await cancelListed(jobs, this.more)) this.fetch();
  }
}

function columns(state) {
  const ended = state === "ended";
  const time = ended
    ? { id: "at", title: "Ended", right: true, sort: (row) => row.at, cell: (row) => moment(row.at) }
    : state === "delayed"
      ? { id: "at", title: "Due", right: true, sort: (row) => row.at, cell: (row) => moment(row.at) }
      : { id: "at", title: "Age", right: true, sort: (row) => row.at, cell: (row) => age(row.at) };
  return [
    { id: "job", title: "Job", class: "mono", sort: (row) => row.job, cell: (row) => ({ text: row.job, href: href.job(row.tenant, row.job) }) },
    ...(ended ? [{ id: "state", title: "Ended as", sort: (row) => row.state, cell: ending }] : []),
    { id: "tenant", title: "Tenant", wide: "m", sort: (row) => row.tenant, cell: (row) => row.tenant },
    { id: "adapter", title: "Adapter", wide: "m", sort: (row) => row.adapter ?? "", cell: (row) => ({ text: ended && !row.adapter ? "base" : short(row.adapter), title: row.adapter ?? undefined, href: href.adapter(row.adapter) }) },
    ...(ended
      ? [
          { id: "worker", title: "Worker", wide: "l", sort: (row) => row.worker ?? "", cell: (row) => row.worker ?? "–" },
          { id: "took", title: "Took", right: true, sort: (row) => row.took_ms, cell: (row) => milliseconds(row.took_ms) },
        ]
      : [
          { id: "lane", title: "Lane", wide: "m", sort: (row) => row.lane, cell: (row) => row.lane },
          { id: "attempt", title: "Attempt", right: true, wide: "l", sort: (row) => row.attempt, cell: (row) => String(row.attempt) },
        ]),
    time,
    ...(mayAct() && !ended ? [{ id: "do", title: "", right: true, wide: "m", cell: () => ({ buttons: [["cancel", "Cancel", "Cancel this job"]] }), press: (_, row) => cancel(row.tenant, row.job) }] : []),
  ];
}

function ending(row) {
  const [mark, kind] = ENDS[row.state] ?? ["?", "soft"];
  return { text: `${mark} ${row.state}${row.code ? `: ${row.code}` : ""}`, class: `badge ${kind}` };
}
