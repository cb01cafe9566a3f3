// Submits many jobs at once. A full queue pushes back: what it did not take goes again a moment later.
//
//     LORAYARD_URL=nats://127.0.0.1:4222 node bulk.mjs 500

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { Yard, YardFullError } from "./yard.mjs";

const jobs = Number(process.argv[2] ?? 500);
const together = 100; // in flight at once
const yard = await Yard.connect({ servers: process.env.LORAYARD_URL?.split(","), tenant: "bulk" });
let pushedBack = 0;

async function submit(id) {
  for (;;) {
    try {
      await yard.submit({ id, prompt: `Summarize: ${"lorem ipsum ".repeat(10_000)}` }, { lane: "bulk" });
      return;
    } catch (error) {
      if (!(error instanceof YardFullError)) throw error;
      pushedBack += 1;
      await pause(50 + Math.random() * 100);
    }
  }
}

try {
  const waiting = Array.from({ length: jobs }, () => randomUUID());
  const ids = [...waiting];
  await Promise.all(
    Array.from({ length: together }, async () => {
      for (let id = waiting.pop(); id; id = waiting.pop()) await submit(id);
    }),
  );
  const states = {};
  for (const id of ids) {
    const { state } = await yard.result(id);
    states[state] = (states[state] ?? 0) + 1;
  }
  console.log(JSON.stringify({ jobs, states, pushedBack: pushedBack > 0 }));
} finally {
  await yard.close();
}
