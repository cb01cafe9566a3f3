// One adapter: its versions, who gets which, its traffic, where it is held, and who changed what.

import { fill, h, say } from "../dom.js";
import { ask } from "../api.js";
import { age, bytes, many, milliseconds, moment, percent, rough, weight, whole } from "../format.js";
import { href } from "../links.js";
import { store } from "../store.js";
import { Plot } from "../plots.js";
import { Table } from "../table.js";
import { cap, lift, mayAct, pause, pin, promote, resume, rollBack, strike, uncap, unpin } from "../deeds.js";
import { condition, heldAt } from "./adapters.js";

const AGAIN_MS = 5000;
const POINTS = 900;
const ARMS = ["blue", "orange", "green", "purple", "red"];

export class AdapterView {
  constructor(scope, params) {
    this.scope = scope;
    this.name = params.get("name") ?? "";
    this.title = this.name;
    this.badges = h("span", { class: "chips" });
    this.actions = h("span", { class: "actions" });
    this.fault = h("p", { class: "fault", role: "alert" });
    this.aliases = h("div", { class: "aliases" });
    this.changes = h("ol", { class: "steps" });
    this.held = h("div", { class: "heldat" });
    this.labels = h("dl", { class: "facts" });
    this.versions = new Table({ label: "Versions", sort: "version", descending: true, empty: "No version is registered.", columns: this.#columns() });
    this.points = [];
    this.plots = scope
      ? []
      : [
          new Plot("Traffic", [
            { label: "jobs/s", color: "blue", text: rough, fill: true },
            { label: "waiting", color: "orange", text: whole, scale: "right", dash: true },
          ]),
          new Plot("Latency", [
            { label: "p95", color: "purple", text: (value) => milliseconds(value === null || value === undefined ? null : value * 1000) },
            { label: "p50", color: "green", text: (value) => milliseconds(value === null || value === undefined ? null : value * 1000), dash: true },
          ]),
        ];
    this.element = h(
      "article",
      { class: "one" },
      h("p", { class: "crumbs" }, h("a", { href: "#/adapters" }, "Adapters"), ` / ${this.name.split("/").slice(0, -1).join(" / ")}`),
      h("div", { class: "tools" }, h("h1", {}, this.name.split("/").at(-1)), this.badges, this.actions),
      this.fault,
      h("section", { class: "card" }, h("h2", {}, "Versions"), this.versions.element),
      h("section", { class: "card" }, h("h2", {}, "Who gets which"), this.aliases),
      h("div", { class: "pair" }, this.plots.map((plot) => plot.element)),
      h("div", { class: "pair" }, scope ? null : h("section", { class: "card" }, h("h2", {}, "Held at"), this.held), h("section", { class: "card" }, h("h2", {}, "About it"), this.labels)),
      scope ? null : h("section", { class: "card" }, h("h2", {}, "History"), this.changes),
    );
    this.timer = setInterval(() => document.hidden || this.fetch(), AGAIN_MS);
    this.fetch();
    if (!scope) this.#past();
  }

  close() {
    clearInterval(this.timer);
    this.plots.forEach((plot) => plot.close());
  }

  tick() {
    this.versions.paint();
  }

  update() {
    const mine = [...store.rows("adapters")].filter(([key]) => key.startsWith(`${this.name}@`));
    this.rows = new Map(mine);
    this.#versions();
    if (this.scope) return;
    this.#held(mine);
    this.#point(mine.map(([, row]) => row));
    this.#buttons();
  }

  async fetch() {
    try {
      this.told = await ask("adapter", { name: this.name });
      say(this.fault, "");
      this.#versions();
      const said = JSON.stringify(this.told);
      if (said === this.said) return;
      this.said = said;
      this.#aliases();
      this.#about();
      this.#changes();
    } catch (error) {
      say(this.fault, error.message);
    }
  }

  #columns() {
    return [
      { id: "version", title: "Version", sort: (row) => row.at, cell: (row) => ({ text: row.version, title: row.digest }) },
      { id: "state", title: "State", sort: (row) => row.state, cell: (row) => (row.live ? condition(row.live) : { text: row.state, class: "badge soft" }) },
      { id: "traffic", title: "Jobs/s", right: true, wide: "m", cell: (row) => (row.live?.traffic ? rough(row.live.traffic.per_second) : "–") },
      { id: "p50", title: "p50", right: true, wide: "l", cell: (row) => (row.live?.traffic ? milliseconds(row.live.traffic.p50_ms) : "–") },
      { id: "p95", title: "p95", right: true, wide: "m", cell: (row) => (row.live?.traffic ? milliseconds(row.live.traffic.p95_ms) : "–") },
      { id: "errors", title: "Errors", right: true, wide: "m", cell: (row) => (row.live?.traffic?.errors ? { text: `✕ ${percent(row.live.traffic.errors)}`, class: "bad" } : row.live?.traffic ? "0" : "–") },
      { id: "waiting", title: "Waiting", right: true, cell: (row) => whole(row.live?.waiting) },
      { id: "held", title: "Held", wide: "l", cell: (row) => (row.live ? heldAt(row.live) : "–") },
      { id: "rank", title: "Rank", right: true, wide: "l", cell: (row) => whole(row.rank) },
      { id: "size", title: "Size", right: true, wide: "l", cell: (row) => bytes(row.size) },
      { id: "since", title: "Since", right: true, wide: "l", sort: (row) => row.at, cell: (row) => age(row.at) },
      ...(mayAct() ? [{ id: "do", title: "", right: true, wide: "m", cell: (row) => ({ buttons: buttons(row) }), press: (id, row) => this.#press(id, row) }] : []),
    ];
  }

  #versions() {
    const rows = new Map();
    for (const one of this.told?.versions ?? []) {
      const key = `${this.name}@${one.version}`;
      rows.set(key, { version: one.version, digest: one.digest, state: one.state, rank: one.rank, size: one.size_bytes, at: one.registered_at, live: this.rows?.get(key) });
    }
    this.versions.set(rows);
  }

  #press(id, row) {
    const spec = `${this.name}@${row.version}`;
    if (id === "pin") return pin(this.name, row.version);
    if (id === "unpin") return unpin(this.name, row.version);
    return id === "lift" ? lift(spec) : strike(spec);
  }

  #buttons() {
    const mine = (one) => one.kind === "adapter" && one.name === this.name;
    const struck = (store.head.strikes ?? []).some((one) => one.adapter === this.name && !one.tenant);
    const paused = (store.head.pauses ?? []).some(mine);
    const capped = (store.head.caps ?? []).find(mine);
    const said = JSON.stringify([struck, paused, capped]);
    if (said === this.saidButtons) return;
    this.saidButtons = said;
    const badge = (text) => h("span", { class: "badge warn" }, `‖ ${text}`);
    fill(this.badges, struck && badge("struck"), paused && badge("paused"), capped && badge(`capped at ${whole(capped.most)}`));
    if (!mayAct()) return;
    const button = (text, press, danger) => h("button", { type: "button", class: danger ? "danger" : "", onclick: press }, text);
    fill(
      this.actions,
      paused ? button("Resume …", () => resume("adapter", this.name)) : button("Pause …", () => pause("adapter", this.name)),
      capped ? button("Uncap …", () => uncap(capped)) : button("Cap …", () => cap("adapter", this.name)),
      struck ? button("Lift the strike …", () => lift(this.name)) : button("Strike …", () => strike(this.name), true),
    );
  }

  #aliases() {
    const aliases = this.told.aliases.map((one) => (one.now ? one : { now: one, past: [] }));
    fill(
      this.aliases,
      aliases.map(({ now, past }) => this.#alias(now, past)),
      aliases.length === 0 && h("p", { class: "none" }, "No alias: its plain name means the newest version that is active."),
    );
  }

  #alias(now, past) {
    const spec = `${now.adapter}@${now.alias}`;
    const strip = h("div", { class: "strip tall", "aria-hidden": "true" });
    now.arms.filter((arm) => arm.weight > 0).forEach((arm, index) => {
      const piece = h("span", { class: `back-${ARMS[index % ARMS.length]}` }, arm.weight >= 8 ? `${arm.version} · ${weight(arm.weight)}` : "");
      piece.style.flexGrow = String(arm.weight);
      strip.append(piece);
    });
    const told = now.arms.map((arm) => `version ${arm.version}: ${weight(arm.weight)}`).join(", ");
    const tried = now.arms.filter((arm) => arm.weight > 0 && arm.weight < 100);
    return h(
      "div",
      { class: "alias" },
      h("p", { class: "head" }, h("b", {}, `@${now.alias}`), h("span", { class: "soft" }, ` revision ${now.revision}, by ${now.by || "somebody"}, ${moment(now.at)}${now.why ? `: ${now.why}` : ""}`)),
      strip,
      h("p", { class: "shares" }, told, now.guard && h("span", { class: "badge blue" }, `◈ guarded against ${now.control}`), now.stopped.length > 0 && h("span", { class: "badge bad" }, `✕ stopped: ${now.stopped.join(", ")}`)),
      mayAct() &&
        h("p", { class: "buttons" },
          tried.map((arm) => h("button", { type: "button", class: "small", onclick: async () => (await promote(spec, arm.version)) && this.fetch() }, `Promote ${arm.version} …`)),
          past.length > 1 && h("button", { type: "button", class: "small", onclick: async () => (await rollBack(spec)) && this.fetch() }, "Roll back …")),
      past.length > 1 &&
        h("details", {}, h("summary", {}, `${past.length - 1} revisions before`),
          h("ol", { class: "past" }, past.slice(1).map((one) =>
            h("li", {}, h("b", {}, `${one.revision}: `), one.arms.map((arm) => `${arm.version} ${weight(arm.weight)}`).join(", ") || "taken away", h("span", { class: "soft" }, ` by ${one.by || "somebody"}, ${moment(one.at)}${one.why ? `: ${one.why}` : ""}`))))),
    );
  }

  #held(mine) {
    const said = JSON.stringify(mine.map(([key, row]) => [key, row.slots, row.host, row.loading, row.refused_by]));
    if (said === this.saidHeld) return;
    this.saidHeld = said;
    fill(
      this.held,
      mine.map(([key, row]) =>
        h("p", {}, h("b", {}, key.split("@").at(-1)), " ",
          h("span", { class: "chips" }, row.slots.map((worker) => h("a", { class: "chip", href: href.workers(worker) }, `slot of ${worker}`)), row.host > 0 && h("span", { class: "chip" }, `memory of ${many(row.host, "worker")}`), row.loading > 0 && h("span", { class: "chip" }, `loading at ${row.loading}`), row.refused_by.map((worker) => h("span", { class: "chip bad" }, `✕ refused by ${worker}`))),
          !row.slots.length && !row.host && !row.loading && !row.refused_by.length && h("span", { class: "soft" }, "on disk or in the store only"))),
      mine.length === 0 && h("p", { class: "none" }, "No version of it is in the snapshot."),
    );
  }

  #point(rows) {
    const at = store.history.at(-1)?.[0];
    if (!at || at === this.points.at(-1)?.[0]) return;
    const traffic = rows.map((row) => row.traffic).filter(Boolean);
    const most = (name) => (traffic.length ? Math.max(...traffic.map((one) => one[name])) / 1000 : null);
    this.points.push([at, traffic.reduce((sum, one) => sum + one.per_second, 0), rows.reduce((sum, row) => sum + row.waiting, 0), most("p95_ms"), most("p50_ms")]);
    if (this.points.length > POINTS) this.points.shift();
    this.#plot();
  }

  /** What its gateway remembers; without it the plots begin now. */
  async #past() {
    try {
      const { points } = await ask("past", { name: this.name });
      const first = this.points[0]?.[0] ?? Infinity;
      this.points.unshift(...points.filter(([at]) => at < first));
      this.#plot();
    } catch (error) {
      say(this.fault, error.message);
    }
  }

  #plot() {
    const column = (index) => this.points.map((point) => point[index]);
    this.plots[0].set([column(0), column(1), column(2)]);
    this.plots[1].set([column(0), column(3), column(4)]);
  }

  #about() {
    const [newest] = this.told.versions;
    if (!newest) return;
    const pairs = [
      ["Name", this.name],
      ["Newest", newest.version],
      ["Kind", `${newest.kind}, rank ${newest.rank}`],
      ["Digest", newest.digest],
      ["For base", newest.base_digest],
      ["Tenants", newest.tenants && (newest.tenants.join(", ") || "all")],
      ["Registered", `${moment(newest.registered_at)}${newest.registered_by ? ` by ${newest.registered_by}` : ""}`],
      ["Made from", newest.recipe && newest.recipe.parts.map((part) => `${part.name}@${part.version} × ${rough(part.weight)}`).join(", ")],
      ["Refused", newest.refusal?.reason],
      ...Object.entries(newest.labels),
    ];
    fill(this.labels, pairs.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  #changes() {
    fill(
      this.changes,
      this.told.changes.map((one) =>
        h("li", { class: "step" }, h("span", { class: "mark", "aria-hidden": "true" }, "•"), h("span", { class: "when" }, moment(one.at)),
          h("span", { class: "what" }, h("b", {}, one.verb), ` ${one.key.split("@").at(-1)}`, one.after && `: ${one.after}`, one.reason && ` (${one.reason})`, h("span", { class: "soft" }, ` by ${one.actor}`)))),
      this.told.changes.length === 0 && h("li", { class: "none" }, "Nothing of it is in the audit."),
    );
  }
}

/** What can be done to a version: only what serves is pinned. */
function buttons(row) {
  const version = `version ${row.version}`;
  return [
    ...(row.live?.pinned ? [["unpin", "Unpin", `Unpin ${version}`]] : row.live?.state === "active" ? [["pin", "Pin", `Pin ${version}`]] : []),
    row.live?.struck ? ["lift", "Lift", `Lift the strike of ${version}`] : ["strike", "Strike", `Strike ${version}`],
  ];
}
