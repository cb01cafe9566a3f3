// One job: where it is and why, what happened to it, and what was decided on what grounds.

import { fill, h, say } from "../dom.js";
import { ask } from "../api.js";
import { moment, milliseconds, seconds, whole } from "../format.js";
import { href } from "../links.js";
import { cancel, mayAct, viewer } from "../deeds.js";

const AGAIN_MS = 2000;
const MARKS = {
  published: "○", assigned: "→", returned: "↩", started: "▶", first_token: "✎", failed: "✕", waits: "…", due: "◷", ended: "■",
};
const PLACES = {
  scheduled: ["◷", "warn"], retrying: ["↻", "warn"], queued: ["…", "blue"], parked: ["…", "blue"], held: ["‖", "warn"],
  at_worker: ["▶", "blue"], ended: ["■", "soft"], unknown: ["?", "soft"],
};
const ENDS = { succeeded: ["✓", "good"], failed: ["✕", "bad"], cancelled: ["○", "soft"], expired: ["✕", "warn"] };

export class JobView {
  constructor(_, params) {
    this.tenant = params.get("tenant") ?? "";
    this.job = params.get("job") ?? "";
    this.title = `Job ${this.job}`;
    this.badge = h("span", { class: "badge" });
    this.sentence = h("p", { class: "sentence" });
    this.actions = h("span", { class: "actions" });
    this.bar = h("div", { class: "card", hidden: true });
    this.steps = h("ol", { class: "steps" });
    this.attempts = h("section", { class: "card", hidden: true });
    this.decisions = h("section", { class: "card", hidden: true });
    this.facts = h("dl", { class: "facts" });
    this.texts = h("section", { class: "card", hidden: true });
    this.fault = h("p", { class: "fault", role: "alert" });
    this.element = h(
      "article",
      { class: "one" },
      h("p", { class: "crumbs" }, h("a", { href: "#/jobs" }, "Jobs"), ` / ${this.tenant}`),
      h("div", { class: "tools" }, h("h1", { class: "mono" }, this.job), this.badge, this.actions),
      this.sentence,
      this.fault,
      this.bar,
      h("div", { class: "pair" }, h("section", { class: "card" }, h("h2", {}, "What happened"), this.steps), h("section", { class: "card" }, h("h2", {}, "The job"), this.facts)),
      this.attempts,
      this.decisions,
      this.texts,
    );
    this.said = {};
    this.timer = setInterval(() => document.hidden || this.over || this.fetch(), AGAIN_MS);
    this.fetch();
  }

  update() {}

  tick() {}

  close() {
    clearInterval(this.timer);
  }

  async fetch() {
    try {
      const told = await ask("job", { tenant: this.tenant, job: this.job });
      say(this.fault, "");
      this.#show(told);
    } catch (error) {
      say(this.fault, error.message);
      this.over = error.status === 400 || error.status === 404;
    }
  }

  #show(told) {
    const { status, result } = told;
    this.over = status.place === "ended";
    const [mark, kind] = status.state ? ENDS[status.state] ?? PLACES.ended : PLACES[status.place] ?? PLACES.unknown;
    this.badge.className = `badge big ${kind}`;
    say(this.badge, `${mark} ${(status.state ?? status.place).replaceAll("_", " ")}`);
    say(this.sentence, status.sentence);
    this.#differs("place", this.badge.textContent, () => say(document.getElementById("says"), status.sentence));
    this.#differs("buttons", [told.known, this.over], () => this.#buttons(told));
    this.#differs("times", result, () => this.#times(result));
    this.#differs("steps", told.steps.map((step) => [step.kind, step.text]), () => this.#steps(told.steps));
    this.#differs("facts", [status.lane, status.adapter, status.worker, status.attempt, status.last_error, status.held_by, result, told.decisions.length], () => this.#facts(told));
    this.#differs("attempts", told.attempts, () => this.#attempts(told.attempts));
    this.#differs("decisions", told.decisions.length, () => this.#decisions(told.decisions));
  }

  /** Draw a part only where it differs: what somebody has opened or come to by keys stays as it is. */
  #differs(part, value, draw) {
    const said = JSON.stringify(value);
    if (said === this.said[part]) return;
    this.said[part] = said;
    draw();
  }

  #buttons(told) {
    fill(
      this.actions,
      mayAct() && told.known && !this.over && h("button", { type: "button", class: "danger", onclick: async () => (await cancel(this.tenant, this.job)) && this.fetch() }, "Cancel the job …"),
      viewer.may_read_texts && told.known && h("button", { type: "button", onclick: () => this.#texts() }, "Show prompt and answer"),
    );
  }

  #times(result) {
    const times = result?.timings;
    if (!result?.maker || !times) return;
    const load = Math.min(times.load_ms, times.queued_ms);
    const first = Math.max(0, times.first_token_ms - times.queued_ms);
    const parts = [
      ["waited in the queue", times.waited_ms, "orange"],
      ["waited at the worker", times.queued_ms - load, "purple"],
      ["loaded the adapter", load, "red"],
      ["read the prompt", first, "blue"],
      ["wrote", Math.max(0, times.total_ms - times.queued_ms - first), "green"],
    ].filter(([, value]) => value > 0);
    const whole_ms = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
    const strip = h("div", { class: "strip", "aria-hidden": "true" });
    for (const [, value, color] of parts) {
      const piece = h("span", { class: `back-${color}` });
      piece.style.flexGrow = String(Math.max(0.5, (100 * value) / whole_ms));
      strip.append(piece);
    }
    fill(
      this.bar,
      h("h2", {}, `Where ${milliseconds(whole_ms)} went`),
      strip,
      h("p", { class: "legend" }, parts.map(([name, value, color]) => h("span", { class: "item" }, h("span", { class: `dot back-${color}`, "aria-hidden": "true" }), `${name} `, h("b", {}, milliseconds(value))))),
    );
    this.bar.hidden = false;
  }

  #steps(steps) {
    let before = null;
    fill(
      this.steps,
      steps.map((step) => {
        const gap = before === null ? "" : `+${seconds(step.at - before)}`;
        before = step.at;
        return h(
          "li",
          { class: `step ${step.kind}` },
          h("span", { class: "mark", "aria-hidden": "true" }, MARKS[step.kind] ?? "•"),
          h("span", { class: "when" }, h("time", { datetime: isoOf(step.at) }, moment(step.at, true)), h("span", { class: "soft" }, gap)),
          h("span", { class: "what" }, step.attempt > 1 ? h("span", { class: "soft" }, `attempt ${step.attempt}: `) : null, step.text),
        );
      }),
      steps.length === 0 && h("li", { class: "none" }, "Nothing is known of it."),
    );
  }

  #facts({ status, result, decisions }) {
    const maker = result?.maker;
    const pairs = [
      ["Tenant", this.tenant],
      ["Lane", status.lane ?? decisions.at(-1)?.lane],
      ["Adapter", status.adapter ?? (maker ? (maker.adapter ? `${maker.adapter}@${maker.version}` : "the base model") : null)],
      ["Weights", maker?.digest],
      ["Chosen by", maker?.rule],
      ["Worker", status.worker],
      ["Found in", maker && maker.tier !== "none" ? maker.tier : null],
      ["Attempt", String(status.attempt)],
      ["Tokens", result ? `${whole(result.usage.prompt_tokens)} read, ${whole(result.usage.completion_tokens)} written` : null],
      ["First token", result?.timings.first_token_ms ? milliseconds(result.timings.first_token_ms) : null],
      ["Error", result?.error ? `${result.error.message} (${result.error.code})` : status.last_error],
      ["Held by", status.held_by],
      ["Correlation", result?.correlation_id],
      ["Trace", result?.trace_id],
    ];
    const link = (name, value) => (name === "Adapter" && href.adapter(value) ? h("a", { href: href.adapter(value), title: value }, value) : value);
    fill(this.facts, pairs.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, link(name, value))]));
  }

  #attempts(attempts) {
    this.attempts.hidden = attempts.length === 0;
    if (!attempts.length) return;
    const lines = attempts.map((one) =>
      h("tr", {}, h("th", { scope: "row" }, String(one.attempt)), h("td", {}, moment(one.at)), h("td", {}, one.worker), h("td", {}, h("span", { class: "badge bad" }, `✕ ${one.code}`)), h("td", {}, one.message), h("td", { class: "right" }, one.waited_seconds === null ? "–" : seconds(one.waited_seconds))),
    );
    const heads = ["Attempt", "When", "Worker", "Code", "What", "Then waited"].map((title) => h("th", { scope: "col" }, title));
    fill(this.attempts, h("h2", {}, "Attempts that failed"), h("div", { class: "scroll" }, h("table", { "aria-label": "Attempts that failed" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines))));
  }

  #decisions(decisions) {
    this.decisions.hidden = decisions.length === 0;
    fill(
      this.decisions,
      h("h2", {}, decisions.length > 1 ? "Decision records" : "Decision record"),
      decisions.map((record, index) =>
        h(
          "details",
          { open: index === decisions.length - 1 },
          h("summary", {}, `${moment(record.at, true)} · plan ${whole(record.plan)} of ${record.dispatcher}: ${record.phase} → ${record.worker}`),
          h("dl", { class: "facts" }, flat(record).map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, value)])),
        ),
      ),
    );
  }

  async #texts() {
    try {
      const { prompt, answer } = await ask("texts", { tenant: this.tenant, job: this.job });
      const part = (title, text) => [h("h2", {}, title), text === null ? h("p", { class: "none" }, "It is kept no more, or not yet there.") : h("pre", { tabindex: "0" }, text)];
      fill(this.texts, part("Prompt", prompt), part("Answer", answer));
      this.texts.hidden = false;
    } catch (error) {
      say(this.fault, error.message);
    }
  }
}

/** A record's fields as texts; nested ones by dotted names. */
function flat(record, head = "") {
  return Object.entries(record).flatMap(([name, value]) => {
    if (value === null || value === "") return [];
    if (typeof value === "object" && !Array.isArray(value)) return flat(value, `${head}${name}.`);
    if (name === "at") return [];
    return [[`${head}${name}`, Array.isArray(value) ? value.map(String).join(", ") : String(value)]];
  });
}

function isoOf(at) {
  const date = new Date(at * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
