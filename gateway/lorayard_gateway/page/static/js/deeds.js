// What an operator may do, each with its question.

import { confirmDeed } from "./dialog.js";
import { tell } from "./api.js";
import { many, whole } from "./format.js";
import { toast } from "./dialog.js";

export const viewer = { may_act: false };

/** Whether this viewer is shown buttons that change something; the gateway checks it again. */
export function mayAct() {
  return viewer.may_act;
}

function label(kind, name) {
  return kind === "adapter" && name === "base" ? "the base model" : `${kind} ${name}`;
}

export function pause(kind, name) {
  const spans = [["", "until it is resumed"], ["600", "for 10 minutes"], ["3600", "for an hour"], ["28800", "for 8 hours"]];
  return confirmDeed({
    title: `Pause ${label(kind, name)}?`,
    text: "Its jobs are taken and wait; what runs goes on.",
    verb: "Pause",
    reason: "needed",
    deed: { deed: "pause", kind, name },
    choices: [{ name: "for_seconds", label: "How long", options: spans, read: Number }],
  });
}

export function drain(kind, name) {
  return confirmDeed({
    title: `Drain ${label(kind, name)}?`,
    text: "What has not begun is handed back at once, what runs ends, and nothing new starts until it is resumed.",
    verb: "Drain",
    reason: "needed",
    danger: true,
    deed: { deed: "drain", kind, name },
  });
}

export function resume(kind, name) {
  return confirmDeed({ title: `Resume ${label(kind, name)}?`, verb: "Resume", reason: "asked", deed: { deed: "resume", kind, name } });
}

export function cap(kind, name) {
  return confirmDeed({
    title: `Cap ${label(kind, name)}?`,
    text: "At most so many of its jobs are at workers at once, the others wait; what runs beyond that goes on.",
    verb: "Cap",
    reason: "needed",
    deed: { deed: "cap", kind, name },
    number: { name: "most", label: "Jobs at once, at most", max: 1_000_000 },
  });
}

/** Take a cap away, as the head tells it. */
export function uncap({ kind, name, most, by, why }) {
  return confirmDeed({
    title: `Uncap ${label(kind, name)}?`,
    text: `At most ${whole(most)} of its jobs are at workers at once now, by ${by || "somebody"}: ${why}. Then as many as there is room for.`,
    verb: "Uncap",
    reason: "asked",
    deed: { deed: "uncap", kind, name },
  });
}

function which(name, version) {
  const options = [[`${name}@${version}`, `this version, ${version}`], [name, "the newest version, and those to come"]];
  return { name: "adapter", label: "Which", options };
}

export function pin(name, version) {
  return confirmDeed({
    title: `Pin ${name}?`,
    text: "It is brought into a slot, one at least, and stays there however little it is asked for: others have so much less room. It is refused where the fleet cannot hold it.",
    verb: "Pin",
    reason: "asked",
    deed: { deed: "pin" },
    choices: [which(name, version)],
  });
}

export function unpin(name, version) {
  return confirmDeed({
    title: `Unpin ${name}?`,
    text: "It makes way for others when it is not asked for. What else was declared stays.",
    verb: "Unpin",
    reason: "asked",
    deed: { deed: "unpin" },
    choices: [which(name, version)],
  });
}

export function strike(adapter, tenant) {
  const what = [adapter && `adapter ${adapter}`, tenant && `tenant ${tenant}`].filter(Boolean).join(" for ");
  return confirmDeed({
    title: `Strike ${what}?`,
    text: "Its jobs wait until the strike is lifted; what runs goes on.",
    verb: "Strike",
    reason: "needed",
    danger: true,
    deed: { deed: "strike", ...(adapter ? { adapter } : {}), ...(tenant ? { tenant } : {}) },
  });
}

export function lift(adapter, tenant) {
  const what = [adapter && `adapter ${adapter}`, tenant && `tenant ${tenant}`].filter(Boolean).join(" for ");
  return confirmDeed({
    title: `Lift the strike of ${what}?`,
    verb: "Lift it",
    reason: "asked",
    deed: { deed: "lift", ...(adapter ? { adapter } : {}), ...(tenant ? { tenant } : {}) },
  });
}

export function cancel(tenant, job) {
  return confirmDeed({
    title: `Cancel job ${job}?`,
    text: `Of tenant ${tenant}. It gets no answer.`,
    verb: "Cancel the job",
    danger: true,
    deed: { deed: "cancel", tenant, job },
  });
}

export function redrive(number) {
  return confirmDeed({
    title: `Try the job of letter ${number} again?`,
    text: "It is queued under a new id, without its old deadline.",
    verb: "Try again",
    deed: { deed: "redrive", number },
  });
}

export function promote(alias, version) {
  return confirmDeed({
    title: `Promote ${alias} to version ${version}?`,
    text: "It gets all requests of the alias, once workers that serve it have it at hand.",
    verb: "Promote",
    reason: "asked",
    danger: true,
    deed: { deed: "promote", alias, version },
  });
}

export function rollBack(alias, to, shares) {
  return confirmDeed({
    title: `Roll ${alias} back${to ? ` to revision ${to}` : ""}?`,
    text: shares ? `Its shares become ${shares}, at once.` : "Its shares become those of the revision before, at once.",
    verb: "Roll back",
    reason: "asked",
    danger: true,
    deed: { deed: "rollback", alias, ...(to ? { to } : {}) },
  });
}

/** All jobs that fit: counted first, and no more than were counted are ended. */
export async function cancelMatching(query, told) {
  const deed = { deed: "cancel_matching", ...query };
  const count = await counted(deed);
  if (!count) return false;
  return await confirmDeed({
    title: `Cancel ${many(count, "job")}?`,
    text: `All unfinished jobs of ${told}, the oldest first. None of them gets an answer.`,
    verb: `Cancel ${many(count, "job")}`,
    danger: true,
    deed: { ...deed, most: count },
  });
}

/** These jobs and no others, as `{tenant, job}`: those that a filter has left in a list. */
export function cancelListed(jobs, more) {
  return confirmDeed({
    title: `Cancel ${many(jobs.length, "job")}?`,
    text: `Those that are listed and fit the filter. ${more ? "More may fit than are listed. " : ""}None of them gets an answer.`,
    verb: `Cancel ${many(jobs.length, "job")}`,
    danger: true,
    deed: { deed: "cancel_listed", jobs },
  });
}

export function redriveListed(numbers) {
  return confirmDeed({
    title: `Try ${many(numbers.length, "job")} again?`,
    text: "Those of the letters that fit the filter, each under a new id.",
    verb: `Try ${many(numbers.length, "job")} again`,
    danger: true,
    deed: { deed: "redrive_listed", numbers },
  });
}

export async function redriveMatching(query, told) {
  const deed = { deed: "redrive_matching", ...query };
  const count = await counted(deed);
  if (!count) return false;
  return await confirmDeed({
    title: `Try ${many(count, "job")} again?`,
    text: `All dead letters of ${told}, the oldest first, each under a new id.`,
    verb: `Try ${many(count, "job")} again`,
    danger: true,
    deed: { ...deed, most: count },
  });
}

async function counted(deed) {
  try {
    const { count } = await tell("act", { ...deed, count_only: true });
    if (!count) toast("nothing fits that");
    return count;
  } catch (error) {
    toast(error.message, true);
    return 0;
  }
}
