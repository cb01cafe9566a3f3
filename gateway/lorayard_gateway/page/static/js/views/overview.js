// All that an operator has to know at a glance: what is wrong first, then what waits, how fast it goes, and who works.

import { fill, h, say } from "../dom.js";
import { age, many, moment, now, percent, rough, seconds, short, whole } from "../format.js";
import { Plot, Spark } from "../plots.js";
import { Table, meter } from "../table.js";
import { store } from "../store.js";
import { lift, mayAct, resume, uncap } from "../deeds.js";
import { href } from "../links.js";
import { stateOf } from "./workers.js";

const SPARK_POINTS = 90;
const LANES = ["urgent", "high", "normal", "bulk"];

export class Overview {
  title = "Overview";

  constructor(scope) {
    this.tenant = scope;
    this.verdict = h("p", { class: "verdict" });
    this.troubles = h("ul", { class: "troubles" });
    this.tiles = new Tiles(scope);
    this.plots = new Plot("Queue", [
      { label: "unfinished", color: "blue", text: whole, fill: true },
      ...(scope ? [] : [{ label: "oldest", color: "orange", text: (value) => seconds(value), scale: "right", dash: true }]),
    ]);
    this.rates = scope
      ? null
      : new Plot("Rates", [
          { label: "tokens/s", color: "green", text: rough, fill: true },
          { label: "jobs/s", color: "purple", text: rough, scale: "right", dash: true },
        ]);
    this.lanes = h("div", { class: "lanes" });
    this.workers = h("ul", { class: "crew" });
    this.holds = h("ul", { class: "holds" });
    this.heldCard = h("section", { class: "card", hidden: true }, h("h2", {}, "Held back by people"), this.holds);
    this.waits = new Table({
      label: "What waits, and for what",
      sort: "jobs",
      descending: true,
      empty: "No job waits in a dispatcher.",
      columns: [
        { id: "adapter", title: "Adapter", sort: (row) => row.adapter, cell: (row) => ({ text: short(row.adapter), title: row.adapter, href: href.adapter(row.adapter) }) },
        { id: "jobs", title: "Jobs", right: true, sort: (row) => row.jobs, cell: (row) => whole(row.jobs) },
        { id: "oldest", title: "Oldest", right: true, sort: (row) => -row.oldest_at, cell: (row) => age(row.oldest_at) },
        { id: "why", title: "Waits for", wide: "m", sort: (row) => row.reason, cell: (row) => row.text || row.reason.replaceAll("_", " ") || "–" },
      ],
    });
    this.element = h(
      "div",
      { class: "overview" },
      h("h1", { class: "unseen" }, "Overview"),
      scope ? null : h("section", { class: "state", "aria-label": "State of the yard" }, this.verdict, this.troubles),
      this.tiles.element,
      h("div", { class: "pair" }, this.plots.element, this.rates?.element),
      scope ? null : h("section", { class: "card" }, h("h2", {}, "Workers"), this.workers),
      this.heldCard,
      h(
        "div",
        { class: "pair aside" },
        scope ? null : h("section", { class: "card" }, h("h2", {}, "What waits, and for what"), this.waits.element),
        h("section", { class: "card" }, h("h2", {}, "Lanes"), this.lanes),
      ),
    );
  }

  update() {
    const { head, history } = store;
    if (!head.overview) return;
    if (!this.tenant) this.#troubles(head);
    this.tiles.set(head.overview, history);
    const column = (index) => history.map((point) => point[index] ?? null);
    this.plots.set(this.tenant ? [column(0), column(1)] : [column(0), column(1), column(5)]);
    this.rates?.set([column(0), column(3), column(2)]);
    this.#lanes(head.overview);
    if (this.tenant) return;
    this.waits.set(store.rows("waits"));
    this.#crew(store.rows("workers"));
    this.#holds(head);
  }

  tick() {
    this.tiles.tick();
    this.waits.paint();
    if (!this.tenant) this.#crew(store.rows("workers"));
  }

  close() {
    this.plots.close();
    this.rates?.close();
  }

  #troubles(head) {
    const found = head.troubles;
    const worst = found.some((one) => one.level === "critical");
    const told = found.length === 0 ? "All is well" : worst ? `${many(found.length, "trouble")}, look now` : `${many(found.length, "thing")} to look at`;
    this.verdict.className = `verdict ${found.length === 0 ? "good" : worst ? "bad" : "warn"}`;
    say(this.verdict, `${found.length === 0 ? "✓" : worst ? "✕" : "▲"} ${told}`);
    const said = JSON.stringify(found);
    if (said === this.saidTroubles) return;
    this.saidTroubles = said;
    fill(this.troubles, found.map(trouble));
  }

  #lanes(overview) {
    const counts = overview.by_lane ?? {};
    const said = JSON.stringify(counts);
    if (said === this.saidLanes) return;
    this.saidLanes = said;
    const most = Math.max(1, ...Object.values(counts));
    fill(
      this.lanes,
      LANES.map((lane) => h("a", { class: "lane", href: href.queues(`lane:${lane}`) }, h("span", { class: "name" }, lane), meter((counts[lane] ?? 0) / most), h("b", {}, whole(counts[lane] ?? 0)))),
    );
  }

  #crew(workers) {
    const lines = [...workers.entries()].sort(([one, row], [other, otherRow]) => Number(otherRow.lost) - Number(row.lost) || (one < other ? -1 : 1));
    const told = lines.slice(0, 60).map(([name, row]) => [name, stateOf(row), row.rows_running, row.rows_max, row.slots_used, row.slot_count, rough(row.tokens_per_second), row.heard_at === null ? "" : age(row.heard_at)]);
    const said = JSON.stringify([told, lines.length]);
    if (said === this.saidCrew) return;
    this.saidCrew = said;
    fill(
      this.workers,
      told.map(([name, state, running, most, used, slots, tokens, ago]) =>
        h(
          "li",
          { class: `worker ${state.kind}`, "data-worker": name },
          h("a", { href: href.workers(name), class: "name", title: name }, name),
          h("span", { class: `badge ${state.kind}` }, `${state.mark} ${state.word}${ago && state.kind !== "good" ? ` ${ago}` : ""}`),
          h("span", { class: "rows" }, meter(running / (most || 1), state.kind), h("span", {}, `${running}/${most} rows`)),
          h("span", { class: "soft" }, state.word === "lost" ? "not heard" : `${used}/${slots} slots · ${tokens} tok/s`),
        ),
      ),
      lines.length > 60 && h("li", { class: "more" }, h("a", { href: href.workers("") }, `${whole(lines.length - 60)} more`)),
      lines.length === 0 && h("li", { class: "none" }, "No worker has been heard of."),
    );
  }

  #holds(head) {
    const said = JSON.stringify([head.strikes, head.pauses, head.caps, mayAct()]);
    if (said === this.saidHolds) return;
    this.saidHolds = said;
    const lines = [
      ...head.strikes.map((one) => hold("struck", [one.adapter, one.tenant].filter(Boolean).join(" for "), one, () => lift(one.adapter, one.tenant), "Lift")),
      ...head.pauses.map((one) => hold(one.drain ? "drained" : "paused", `${one.kind} ${one.name}`, one, () => resume(one.kind, one.name), "Resume")),
      ...head.caps.map((one) => hold("capped", `${one.kind} ${one.name} at ${whole(one.most)}`, one, () => uncap(one), "Uncap")),
    ];
    fill(this.holds, lines);
    this.heldCard.hidden = lines.length === 0;
  }
}

function trouble(one) {
  const bad = one.level === "critical";
  return h(
    "li",
    { class: `trouble ${bad ? "bad" : "warn"}` },
    h("span", { class: "mark", "aria-hidden": "true" }, bad ? "✕" : "▲"),
    h("div", {}, h("p", {}, h("span", { class: "level" }, bad ? "Critical: " : "Warning: "), one.text), one.mend && h("p", { class: "mend" }, "Mend: ", one.mend)),
  );
}

function hold(word, what, one, press, verb) {
  const until = one.until ? ` until ${moment(one.until)}` : "";
  return h(
    "li",
    {},
    h("span", { class: "badge warn" }, `‖ ${word}`),
    h("span", { class: "what" }, h("b", {}, what), `${until}: ${one.why} `, h("span", { class: "soft" }, `by ${one.by || "somebody"}, ${age(one.at)} ago`)),
    press && mayAct() && h("button", { type: "button", class: "small", "aria-label": `${verb} ${what}`, onclick: press }, verb),
  );
}

class Tiles {
  constructor(tenant) {
    const all = [
      { id: "unfinished", label: "Unfinished", at: 1, text: (o) => whole(o.unfinished), more: (o) => (o.delayed ? `${whole(o.delayed)} delayed` : ""), link: href.queues("") },
      { id: "oldest", label: "Oldest waits", at: 5, text: (o) => (o.oldest_at === null || o.oldest_at === undefined ? "–" : seconds(Math.floor(now() - o.oldest_at) || 0)), more: () => "" },
      { id: "jobs", label: "Jobs ended/s", at: 2, text: (o) => rough(o.jobs_per_second), more: (o) => (o.at_workers ? `${whole(o.at_workers)} run` : "") },
      { id: "tokens", label: "Tokens/s", at: 3, text: (o) => rough(o.tokens_per_second), more: () => "" },
      { id: "hits", label: "Slot hits", at: 4, text: (o) => percent(o.hit_rate), more: (o) => (o.loads_per_second ? `${rough(o.loads_per_second)} loads/s` : "") },
      { id: "workers", label: "Workers", text: (o) => whole(o.workers), more: (o) => (o.workers_lost ? `✕ ${whole(o.workers_lost)} lost` : many(o.dispatchers, "dispatcher")), bad: (o) => o.workers_lost > 0 || o.workers === 0, link: href.workers("") },
      { id: "adapters", label: "Adapters", text: (o) => whole(o.adapters), more: () => "active versions", link: href.adapters("") },
      { id: "dead", label: "Dead letters", text: (o) => whole(o.dead_letters), more: () => "", bad: (o) => o.dead_letters > 0, link: href.dead() },
    ];
    this.tiles = all.filter((one) => !tenant || ["unfinished", "oldest"].includes(one.id)).map((one) => {
      const number = h("span", { class: "number" });
      const more = h("span", { class: "more" });
      const spark = one.at ? new Spark() : null;
      const element = h(one.link ? "a" : "div", { class: "tile", href: one.link }, h("span", { class: "label" }, one.label), number, more, spark?.element);
      return { ...one, number, more, moreText: one.more, spark, element };
    });
    this.element = h("section", { class: "tiles", "aria-label": "Figures" }, this.tiles.map((tile) => tile.element));
  }

  set(overview, history) {
    this.overview = overview;
    const recent = history.slice(-SPARK_POINTS);
    for (const tile of this.tiles) {
      tile.spark?.set(recent.map((point) => point[tile.at]));
      tile.element.classList.toggle("bad", Boolean(tile.bad?.(overview)));
    }
    this.tick();
  }

  tick() {
    if (!this.overview) return;
    for (const tile of this.tiles) {
      say(tile.number, tile.text(this.overview));
      say(tile.more, tile.moreText(this.overview));
    }
  }
}
