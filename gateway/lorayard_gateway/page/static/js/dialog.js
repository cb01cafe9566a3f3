// Questions before something is done, and what came of it.

import { h } from "./dom.js";
import { tell } from "./api.js";

const SHOWN_MS = 9000;

/** Tell that something is done, or why it is not. */
export function toast(text, failed = false) {
  const note = h("p", { class: failed ? "toast bad" : "toast" }, failed ? "✕ " : "✓ ", text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), SHOWN_MS);
}

/**
 * Ask, and have a deed done when it is confirmed.
 *
 * `deed` is what is sent; `reason` is "needed", "asked" or nothing; `choices` are further fields, each with
 * `name`, `label` and `options` as `[value, label]`; `number` is one more, from 1 to its `max`. Resolves to whether
 * it was done.
 */
export function confirmDeed({ title, text, verb, deed, reason, danger = false, choices = [], number = null }) {
  return new Promise((resolve) => {
    const why = reason && h("input", { type: "text", id: "why", maxlength: "500", required: reason === "needed", autocomplete: "off" });
    const amount = number && h("input", { type: "number", id: "amount", min: "1", max: String(number.max), step: "1", required: true, autocomplete: "off" });
    const selects = choices.map((choice) => [
      choice,
      h("select", { id: `choice-${choice.name}` }, choice.options.map(([value, label]) => h("option", { value }, label))),
    ]);
    const fault = h("p", { class: "fault", role: "alert" });
    const go = h("button", { type: "submit", class: danger ? "danger" : "primary" }, verb);
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "asked" }, title),
      text && h("p", {}, text),
      selects.map(([choice, select]) => h("p", {}, h("label", { for: select.id }, choice.label), select)),
      amount && h("p", {}, h("label", { for: "amount" }, number.label), amount),
      why && h("p", {}, h("label", { for: "why" }, reason === "needed" ? "Why? Whoever asks why a job waits is told." : "Why? (optional)"), why),
      fault,
      h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Keep it as it is"), go),
    );
    const dialog = h("dialog", { "aria-labelledby": "asked" }, form);
    let done = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (why?.required && !why.value.trim()) {
        why.setAttribute("aria-invalid", "true");
        fault.textContent = "Say why, in a word or two.";
        why.focus();
        return;
      }
      go.disabled = true;
      fault.textContent = "";
      const sent = { ...deed, ...(amount ? { [number.name]: Number(amount.value) } : {}), ...(why ? { reason: why.value.trim() } : {}) };
      for (const [choice, select] of selects) if (select.value) sent[choice.name] = choice.read ? choice.read(select.value) : select.value;
      try {
        toast((await tell("act", sent)).text);
        done = true;
        dialog.close();
      } catch (error) {
        fault.textContent = error.message;
        go.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
    (amount || why || go).focus();
  });
}

/** A dialog with something to read. */
export function show(title, ...content) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "shown", class: "wide" },
    h("h2", { id: "shown" }, title),
    content,
    h("p", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
