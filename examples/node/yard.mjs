// A yard, as any program sees it: publish a job, hear or fetch its result. docs/bus.md tells each step in words,
// schemas/asyncapi.json tells it to tools.

import { decode } from "@msgpack/msgpack";
import { jetstream, JetStreamApiError } from "@nats-io/jetstream";
import { connect, headers, RequestError } from "@nats-io/transport-node";

const FULL = new Set([10023, 10028, 10047]); // the server or the account has no room
const STORE_FAILED = 10077; // any refusal of the store: only its text tells a full one

/** The queue has no room: wait a moment and submit again. */
export class YardFullError extends Error {}

/** The yard answered, and there is no text: `code` says why, `field` what is wrong in the request. */
export class JobFailedError extends Error {
  constructor(result) {
    const error = result.error ?? { message: `the job was ${result.state}`, code: result.state };
    super(error.message);
    Object.assign(this, { code: error.code, kind: error.kind, field: error.field, result });
  }
}

/** One token of a subject: what is not a lower-case letter, a digit, - _ or / is percent-encoded. */
export function token(name) {
  return [...new TextEncoder().encode(name)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[a-z0-9\-_/]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
}

export class Yard {
  static async connect({ servers = "nats://127.0.0.1:4222", tenant = "default", prefix = "yard" } = {}) {
    const nc = await connect({ servers, name: "lorayard-example", maxReconnectAttempts: -1 });
    return new Yard(nc, tenant, prefix);
  }

  constructor(nc, tenant, prefix) {
    Object.assign(this, { nc, js: jetstream(nc), tenant, prefix });
  }

  async close() {
    await this.nc.drain();
  }

  /** Submit a job; resolves once the yard is responsible for it. `adapter` left out: the yard chooses. */
  async submit(job, { lane = "normal", adapter } = {}) {
    const place = `${lane}.${token(this.tenant)}.${adapter ? token(adapter) : "_"}`;
    return await this.#publish(`${this.prefix}.jobs.${place}`, job);
  }

  /** Submit a job that starts at a time. */
  async submitLater(job, at, { lane = "normal", adapter } = {}) {
    const place = `${lane}.${token(this.tenant)}.${adapter ? token(adapter) : "_"}`;
    return await this.#publish(`${this.prefix}.delayed.${token(this.tenant)}.${job.id}`, job, {
      "Nats-Schedule": `@at ${at.toISOString()}`,
      "Nats-Schedule-Target": `${this.prefix}.due.${place}`,
    });
  }

  /** Hear the result of a job, or fetch it if it is there. Ask before you submit, and no notice is missed. */
  async result(id, { seconds = 60 } = {}) {
    const notice = this.nc.subscribe(this.#own("done", id), { max: 1 });
    try {
      const heard = notice[Symbol.asyncIterator]();
      const until = Date.now() + seconds * 1000;
      for (let next = heard.next(); Date.now() < until; ) {
        const stored = await this.storedResult(id); // a notice can be lost, a stored result cannot
        if (stored) return stored;
        const message = await Promise.race([next, pause(5000)]);
        if (message?.value) return decode(message.value.data);
      }
      throw new Error(`job ${id} has no result after ${seconds} s; it goes on`);
    } finally {
      notice.unsubscribe();
    }
  }

  /** The result if there is one now: a direct get, answered by the server alone. */
  async storedResult(id) {
    const stream = `${this.prefix}_results`.toUpperCase().replaceAll("-", "_");
    const found = await this.nc.request(`$JS.API.DIRECT.GET.${stream}.${this.#own("results", id)}`);
    return found.headers?.code === 404 ? undefined : decode(found.data);
  }

  /** The text of a job; rejects with JobFailedError when there is none. */
  async text(id, options) {
    const result = await this.result(id, options);
    if (result.state !== "succeeded") throw new JobFailedError(result);
    return result.text; // of an answer over 512 KiB there is `text_ref` instead: see "Long texts" in docs/bus.md
  }

  /** Pieces of a job's text as they are written; submit it with `stream: true`, after this was called. */
  pieces(id) {
    const events = this.nc.subscribe(this.#own("told", id));
    // A job that no worker ran tells of nothing: its result ends the pieces too, behind those still on their way.
    const end = () => setTimeout(() => events.unsubscribe(), 1000).unref();
    const done = this.nc.subscribe(this.#own("done", id), { max: 1, callback: end });
    return pieces(events, done);
  }

  /** End a job, waiting or running: "cancelled", or "finished" if its result was there first. */
  async cancel(id) {
    return (await this.#order("cancel", { tenant: this.tenant, job: id })).outcome;
  }

  #own(kind, id) {
    return `${this.prefix}.${kind}.${token(this.tenant)}.${id}`;
  }

  async #publish(subject, job, more = {}) {
    const told = headers();
    for (const [name, value] of Object.entries(more)) told.set(name, value);
    try {
      // The message id makes it safe to publish again when no answer came.
      const msgID = `${token(this.tenant)}.${job.id}`;
      return await this.js.publish(subject, JSON.stringify(job), { msgID, headers: told });
    } catch (error) {
      throw isFull(error) ? new YardFullError(error.message) : error;
    }
  }

  async #order(verb, body) {
    let reply;
    try {
      reply = await this.nc.request(`${this.prefix}.dispatcher.${verb}`, JSON.stringify(body), { timeout: 5000 });
    } catch (error) {
      if (error instanceof RequestError && error.isNoResponders()) throw new Error("no dispatcher is running");
      throw error;
    }
    if (reply.headers?.has("Nats-Service-Error")) throw new Error(reply.headers.get("Nats-Service-Error"));
    return decode(reply.data);
  }
}

function isFull(error) {
  if (!(error instanceof JetStreamApiError)) return false;
  return FULL.has(error.code) || (error.code === STORE_FAILED && error.message.includes("maximum"));
}

/** Puts events together. What is heard twice is told once; `restarted` voids what came before. */
async function* pieces(events, done) {
  let run = [];
  let bytes = 0;
  try {
    for await (const message of events) {
      const event = decode(message.data);
      const its = [event.attempt, event.deliveries ?? 1, event.epoch ?? 0];
      const order = compare(its, run);
      if (order < 0) continue; // of a worker that has lost the job
      if (order > 0) {
        if (run.length) yield { kind: "restarted" };
        [run, bytes] = [its, 0];
      }
      if (event.kind === "ended") return;
      if (event.kind !== "tokens") continue;
      const known = bytes - (event.offset_bytes ?? 0);
      if (known < 0) continue; // a piece is missing: a later event begins at 0, or the result has it all
      const text = Buffer.from(event.text ?? "").subarray(known);
      bytes += text.length;
      if (text.length) yield { kind: "text", text: text.toString() };
    }
  } finally {
    events.unsubscribe();
    done.unsubscribe();
  }
}

function compare(run, before) {
  const place = run.findIndex((number, index) => number !== before[index]);
  return place < 0 ? 0 : run[place] - (before[place] ?? -1);
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
