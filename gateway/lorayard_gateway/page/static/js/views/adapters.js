// Every version of every adapter.

import { bytes, many, milliseconds, percent, rough, short, weight, whole } from "../format.js";
import { href } from "../links.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { Listed } from "./listed.js";

/** Where a version is held, in words. */
export function heldAt(row) {
  if (row.slots.length) return `${many(row.slots.length, "slot")}${row.host ? `, ${row.host} in memory` : ""}`;
  if (row.host) return `memory of ${many(row.host, "worker")}`;
  return row.loading ? "loading" : "disk";
}

/** A version's condition, with a mark that does not need colours. */
export function condition(row) {
  if (row.struck) return { text: "‖ struck", class: "badge warn", title: row.struck };
  if (row.refused_by.length) return { text: "✕ refused", class: "badge bad", title: `by ${row.refused_by.join(", ")}` };
  const kinds = { active: ["● active", "good"], refused: ["✕ refused", "bad"], archived: ["○ archived", "soft"] };
  const [text, kind] = kinds[row.state] ?? [`◐ ${row.state}`, "warn"];
  return { text: row.pinned ? `${text} · pinned` : text, class: `badge ${kind}` };
}

export class AdaptersView extends Listed {
  constructor(scope, params) {
    const columns = [
      { id: "name", title: "Adapter", sort: (row) => row.key, cell: (row) => ({ text: short(row.key), title: row.key, href: href.adapter(row.key) }) },
      { id: "state", title: "State", sort: (row) => row.state, cell: condition },
      { id: "aliases", title: "Aliases", wide: "l", sort: (row) => Object.keys(row.aliases).join(), cell: (row) => Object.entries(row.aliases).map(([word, share]) => (share === 100 ? word : `${word} ${weight(share)}`)).join(", ") },
      ...(scope
        ? []
        : [
            { id: "waiting", title: "Waiting", right: true, sort: (row) => row.waiting, cell: (row) => whole(row.waiting) },
            { id: "rate", title: "Jobs/s", right: true, wide: "m", sort: (row) => row.traffic?.per_second ?? 0, cell: (row) => (row.traffic ? rough(row.traffic.per_second) : "–") },
            { id: "p95", title: "p95", right: true, wide: "m", sort: (row) => row.traffic?.p95_ms ?? 0, cell: (row) => (row.traffic ? milliseconds(row.traffic.p95_ms) : "–") },
            { id: "errors", title: "Errors", right: true, wide: "m", sort: (row) => row.traffic?.errors ?? 0, cell: (row) => (row.traffic?.errors ? { text: `✕ ${percent(row.traffic.errors)}`, class: "bad" } : row.traffic ? "0" : "–") },
            { id: "held", title: "Held at", wide: "l", sort: (row) => -row.slots.length * 1000 - row.host, cell: (row) => ({ text: heldAt(row), title: row.slots.join(", ") }) },
          ]),
      { id: "rank", title: "Rank", right: true, wide: "l", sort: (row) => row.rank, cell: (row) => whole(row.rank) },
      { id: "size", title: "Size", right: true, wide: "l", sort: (row) => row.size_bytes, cell: (row) => bytes(row.size_bytes) },
    ];
    super({
      title: "Adapters",
      table: new Table({ label: "Adapters", columns, sort: scope ? "name" : "waiting", descending: !scope, tall: true, empty: "No adapter fits." }),
      fields: {
        name: (_, key) => key,
        state: (row) => (row.struck ? `${row.state} struck` : row.state),
        alias: (row) => Object.keys(row.aliases).join(" "),
        worker: (row) => row.slots.join(" "),
      },
      params,
      hint: "Filter: state:refused worker:w1 summary",
    });
  }

  update() {
    const rows = store.rows("adapters");
    for (const [key, row] of rows) row.key = key;
    this.show(rows, store.head.left_out?.adapters);
  }
}
