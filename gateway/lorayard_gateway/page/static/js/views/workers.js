// Workers, those that were just lost first.

import { age, bytes, percent, rough, whole } from "../format.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { drain, mayAct, pause, resume } from "../deeds.js";
import { Listed } from "./listed.js";

const SHOWN = 2;

/** How a worker is, as a word, a mark and a kind: the mark says it without colours. */
export function stateOf(row) {
  if (row.lost) return { kind: "bad", mark: "✕", word: "lost" };
  if (row.trouble) return { kind: "bad", mark: "✕", word: "in trouble" };
  if (row.silent) return { kind: "warn", mark: "▲", word: "silent" };
  if (row.emergency) return { kind: "warn", mark: "▲", word: "on its own" };
  if (row.draining) return { kind: "warn", mark: "▽", word: "draining" };
  if (row.paused) return { kind: "warn", mark: "‖", word: "paused" };
  return { kind: "good", mark: "●", word: "alive" };
}

export class Workers extends Listed {
  constructor(_, params) {
    const columns = [
      { id: "worker", title: "Worker", sort: (row) => [row.lost ? 0 : 1, row.worker].join(), cell: (row) => ({ text: row.worker, title: `process ${row.pid}` }) },
      { id: "state", title: "State", sort: (row) => stateOf(row).word, cell: stateCell },
      { id: "rows", title: "Rows", sort: (row) => row.rows_running / (row.rows_max || 1), cell: (row) => ({ text: `${row.rows_running}/${row.rows_max}`, bar: row.rows_running / (row.rows_max || 1) }) },
      { id: "slots", title: "Slots", wide: "m", sort: (row) => row.slots_used / (row.slot_count || 1), cell: (row) => ({ text: `${row.slots_used}/${row.slot_count}`, bar: row.slots_used / (row.slot_count || 1) }) },
      { id: "tokens", title: "Tokens/s", right: true, wide: "m", sort: (row) => row.tokens_per_second ?? 0, cell: (row) => rough(row.tokens_per_second) },
      { id: "hits", title: "Hits", right: true, wide: "l", sort: (row) => row.hit_rate ?? 0, cell: (row) => percent(row.hit_rate) },
      { id: "done", title: "Done", right: true, wide: "l", sort: (row) => row.succeeded, cell: (row) => whole(row.succeeded) },
      { id: "failed", title: "Failed", right: true, wide: "l", sort: (row) => row.failed, cell: (row) => (row.failed ? { text: `✕ ${whole(row.failed)}`, class: "bad" } : "0") },
      { id: "memory", title: "Memory", right: true, wide: "l", sort: (row) => row.slot_bytes + row.host_bytes, cell: (row) => bytes(row.slot_bytes + row.host_bytes) },
      { id: "holds", title: "In its slots", wide: "l", cell: (row) => ({ text: row.adapters.length > SHOWN ? ` +${row.adapters.length - SHOWN}` : "", chips: row.adapters.slice(0, SHOWN) }) },
      ...(mayAct() ? [{ id: "do", title: "", right: true, wide: "m", cell: (row) => ({ buttons: buttons(row) }), press }] : []),
    ];
    super({
      title: "Workers",
      table: new Table({ label: "Workers", columns, sort: "worker", tall: true, empty: "No worker has been heard of." }),
      fields: { worker: (row) => row.worker, state: (row) => stateOf(row).word, adapter: (row) => row.adapters.join(" "), model: (row) => row.model },
      params,
      hint: "Filter: state:lost adapter:summary",
    });
  }

  update() {
    this.show(store.rows("workers"), store.head.left_out?.workers);
  }
}

function stateCell(row) {
  const state = stateOf(row);
  const since = row.heard_at === null ? "" : ` · heard ${age(row.heard_at)} ago`;
  return { text: `${state.mark} ${state.word}${since}`, class: `badge ${state.kind}`, title: row.trouble || undefined };
}

function buttons(row) {
  const held = (store.head.pauses ?? []).some((one) => one.kind === "worker" && one.name === row.worker);
  if (held) return [["resume", "Resume", `Resume worker ${row.worker}`]];
  if (row.lost) return [];
  return [["pause", "Pause", `Pause worker ${row.worker}`], ["drain", "Drain", `Drain worker ${row.worker}`]];
}

function press(id, row) {
  if (id === "resume") return resume("worker", row.worker);
  return id === "drain" ? drain("worker", row.worker) : pause("worker", row.worker);
}
