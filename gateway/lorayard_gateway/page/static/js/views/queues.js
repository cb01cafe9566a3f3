// Unfinished jobs by lane, tenant and adapter.

import { age, short, whole } from "../format.js";
import { href } from "../links.js";
import { store } from "../store.js";
import { Table } from "../table.js";
import { cancelMatching, cap, mayAct, pause } from "../deeds.js";
import { Listed } from "./listed.js";

export class Queues extends Listed {
  constructor(_, params) {
    const columns = [
      { id: "adapter", title: "Adapter", sort: (row) => row.adapter ?? "", cell: (row) => ({ text: short(row.adapter), title: row.adapter ?? "the yard chooses", href: href.jobs({ tenant: row.tenant, lane: row.lane, adapter: row.adapter ?? "" }) }) },
      { id: "tenant", title: "Tenant", sort: (row) => row.tenant, cell: (row) => row.tenant },
      { id: "lane", title: "Lane", wide: "m", sort: (row) => row.lane, cell: (row) => row.lane },
      { id: "jobs", title: "Jobs", right: true, sort: (row) => row.jobs, cell: (row) => whole(row.jobs) },
      { id: "oldest", title: "Oldest", right: true, sort: (row) => (row.oldest_at === null ? null : -row.oldest_at), cell: (row) => age(row.oldest_at) },
      ...(mayAct() ? [{ id: "do", title: "", right: true, wide: "m", cell: (row) => ({ buttons: row.adapter ? BUTTONS : OF_TENANT }), press }] : []),
    ];
    super({
      title: "Queues",
      table: new Table({ label: "Queues", columns, sort: "jobs", descending: true, tall: true, empty: "No job is unfinished." }),
      fields: { adapter: (row) => row.adapter ?? "the yard chooses", tenant: (row) => row.tenant, lane: (row) => row.lane },
      params,
      hint: "Filter: tenant:acme lane:bulk summary",
    });
  }

  update() {
    this.show(store.rows("queues"), store.head.left_out?.queues);
  }
}

const OF_TENANT = [
  ["pause", "Pause", "Pause this tenant"],
  ["cap", "Cap", "Cap this tenant"],
];
// Of jobs that name no adapter nothing is cancelled together: a query without one means those of all adapters.
const BUTTONS = [...OF_TENANT, ["cancel", "Cancel", "Cancel all jobs of this line"]];

function press(id, row) {
  if (id === "pause") return pause("tenant", row.tenant);
  if (id === "cap") return cap("tenant", row.tenant);
  const query = { tenant: row.tenant, lane: row.lane, named: row.adapter };
  return cancelMatching(query, `tenant ${row.tenant} in lane ${row.lane} that name just ${row.adapter}`);
}
