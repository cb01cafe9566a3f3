// What a program does with a yard, step by step. Each step prints one line of JSON.
//
//     LORAYARD_URL=nats://127.0.0.1:4222 node tour.mjs [adapter]

import { randomUUID } from "node:crypto";

import { JobFailedError, Yard } from "./yard.mjs";

const adapter = process.argv[2];
const yard = await Yard.connect({ servers: process.env.LORAYARD_URL?.split(","), tenant: "Node & Co." });

function say(step, told) {
  console.log(JSON.stringify({ step, ...told }));
}

try {
  // Submit, and hear the result.
  const id = randomUUID();
  const heard = yard.result(id); // listens from now on
  const stored = await yard.submit({ id, prompt: "The quick brown fox.", sampling: { max_new_tokens: 16 } }, { adapter });
  const result = await heard;
  if (result.state !== "succeeded") throw new JobFailedError(result);
  say("submit", { stream: stored.stream, state: result.state, text: result.text, worker: result.maker.worker });

  // The same job once more: the stream had it.
  const again = await yard.submit({ id, prompt: "The quick brown fox." }, { adapter });
  say("again", { duplicate: again.duplicate });

  // Fetch it later, from whatever program of the tenant.
  const later = await yard.storedResult(id);
  say("fetch", { same: later.text === result.text, missing: (await yard.storedResult(randomUUID())) === undefined });

  // Read an answer while it is written.
  const streamed = randomUUID();
  const pieces = yard.pieces(streamed);
  await yard.submit({ id: streamed, prompt: "One two three four five six seven.", stream: true }, { adapter });
  let text = "";
  let count = 0;
  for await (const piece of pieces) {
    if (piece.kind === "restarted") text = "";
    else [text, count] = [text + piece.text, count + 1];
  }
  say("stream", { same: text === (await yard.text(streamed)), pieces: count });

  // A job for later, and a change of mind.
  const tomorrow = randomUUID();
  await yard.submitLater({ id: tomorrow, prompt: "Good morning!" }, new Date(Date.now() + 86_400_000));
  const outcome = await yard.cancel(tomorrow);
  say("cancel", { outcome, state: (await yard.result(tomorrow)).state, next: await yard.cancel(id) });

  // What cannot be done is an answer too.
  const wrong = randomUUID();
  await yard.submit({ id: wrong, prompt: "Hello" }, { adapter: "acme/gemma3-270m/nobody" });
  const malformed = randomUUID();
  await yard.submit({ id: malformed, prompt: "Hello", sampling: { temperature: 99 } }, { adapter });
  for (const failed of [wrong, malformed]) {
    try {
      await yard.text(failed);
    } catch (error) {
      if (!(error instanceof JobFailedError)) throw error;
      say("error", { code: error.code, kind: error.kind, field: error.field });
    }
  }
} catch (error) {
  if (!(error instanceof JobFailedError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await yard.close();
}
