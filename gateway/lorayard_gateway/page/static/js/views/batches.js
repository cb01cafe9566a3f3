// Batches of gateways: those under way, and those that ended within the last hour.

import { age, whole } from "../format.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { Listed } from "./listed.js";

const MARKS = { completed: ["✓", "good"], failed: ["✕", "bad"], expired: ["✕", "bad"], cancelled: ["○", "soft"], cancelling: ["▽", "warn"] };

export class Batches extends Listed {
  constructor(_, params) {
    const columns = [
      { id: "batch", title: "Batch", sort: (row) => row.batch, cell: (row) => row.batch },
      { id: "tenant", title: "Tenant", sort: (row) => row.tenant, cell: (row) => row.tenant },
      { id: "status", title: "Status", sort: (row) => row.status, cell: status },
      { id: "done", title: "Lines", sort: (row) => (row.completed + row.failed) / (row.total || 1), cell: (row) => ({ text: `${whole(row.completed + row.failed)} of ${whole(row.total)}`, bar: (row.completed + row.failed) / (row.total || 1) }) },
      { id: "failed", title: "Failed", right: true, wide: "m", sort: (row) => row.failed, cell: (row) => (row.failed ? { text: `✕ ${whole(row.failed)}`, class: "bad" } : "0") },
      { id: "age", title: "Age", right: true, wide: "m", sort: (row) => -row.created_at, cell: (row) => age(row.created_at) },
    ];
    super({
      title: "Batches",
      table: new Table({ label: "Batches", columns, sort: "age", tall: true, empty: "No batch is under way, and none ended within the last hour." }),
      fields: { batch: (row) => row.batch, tenant: (row) => row.tenant, status: (row) => row.status },
      params,
      hint: "Filter: tenant:acme status:failed",
    });
  }

  update() {
    this.show(store.rows("batches"));
  }
}

function status(row) {
  const [mark, kind] = MARKS[row.status] ?? ["◐", "blue"];
  return { text: `${mark} ${row.status.replaceAll("_", " ")}`, class: `badge ${kind}` };
}
