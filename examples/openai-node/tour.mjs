// OpenAI's own client against a lorayard gateway: models, an answer, a stream, and how refusals look.
// LORAYARD_GATEWAY says where it is, LORAYARD_KEY is a key that `lorayard keys add` made.
import OpenAI, { toFile } from "openai";

const client = new OpenAI({
  baseURL: `${process.env.LORAYARD_GATEWAY ?? "http://127.0.0.1:8080"}/v1`,
  apiKey: process.env.LORAYARD_KEY ?? "none",
  maxRetries: 0,
});
const model = process.argv[2] ?? "base";
const messages = [{ role: "user", content: "The quick brown fox." }];
const tell = (step, told) => console.log(JSON.stringify({ step, ...told }));

const models = [];
for await (const one of client.models.list()) models.push(one.id);
tell("models", { models, shown: (await client.models.retrieve(model)).id });

const answer = await client.chat.completions.create({ model, messages, temperature: 0 });
tell("chat", { text: answer.choices[0].message.content, model: answer.model, usage: answer.usage });

const stream = await client.chat.completions.create({
  model,
  messages,
  temperature: 0,
  stream: true,
  stream_options: { include_usage: true },
});
let text = "";
let usage = null;
let finish = null;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  finish = chunk.choices[0]?.finish_reason ?? finish;
  usage = chunk.usage ?? usage;
}
tell("stream", { text, finish, tokens: usage?.completion_tokens });

const older = await client.completions.create({ model, prompt: ["one", "two"], max_tokens: 20 });
tell("completions", { texts: older.choices.map((choice) => choice.text) });

const headers = { "Idempotency-Key": `tour-${process.pid}-${Date.now()}` };
const first = await client.chat.completions.create({ model, messages }, { headers });
const again = await client.chat.completions.create({ model, messages }, { headers });
tell("again", { same: first.id === again.id });

// What a program does about each kind of refusal is up to it; here they are only told.
const refused = async (step, call) => {
  try {
    await call();
    tell(step, { error: null });
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    tell(step, { error: error.constructor.name, status: error.status, code: error.code, param: error.param });
  }
};
await refused("unknown", () => client.chat.completions.create({ model: "acme/tiny/none", messages }));
await refused("bad", () => client.chat.completions.create({ model, messages, temperature: 11 }));
await refused("key", () => client.withOptions({ apiKey: "sk-wrong" }).models.list());

const line = (custom_id, text) =>
  JSON.stringify({
    custom_id,
    method: "POST",
    url: "/v1/chat/completions",
    body: { model, messages: [{ role: "user", content: text }] },
  });
const lines = `${line("a", "one")}\n${line("b", "two")}\n`;
const file = await client.files.create({ file: await toFile(Buffer.from(lines), "in.jsonl"), purpose: "batch" });
tell("file", { id: file.id, same: (await (await client.files.content(file.id)).text()) === lines });
tell("listed", { first: (await client.files.list({ purpose: "batch", limit: 1 })).data[0].id });

let batch = await client.batches.create({
  input_file_id: file.id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
});
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
  await new Promise((resolve) => setTimeout(resolve, 250));
  batch = await client.batches.retrieve(batch.id);
}
tell("batch", { status: batch.status, counts: batch.request_counts });
const texts = {};
for (const raw of (await (await client.files.content(batch.output_file_id)).text()).trim().split("\n")) {
  const { custom_id, response } = JSON.parse(raw);
  texts[custom_id] = response.body.choices[0].message.content;
}
tell("output", { texts });
await refused("ended", () => client.batches.cancel(batch.id));
tell("deleted", { deleted: (await client.files.delete(file.id)).deleted });
await refused("gone", () => client.files.retrieve(file.id));
