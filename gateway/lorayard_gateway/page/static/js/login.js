// The form for a key.

import { h } from "./dom.js";
import { tell } from "./api.js";

export function loginForm(done) {
  const key = h("input", { id: "key", type: "password", name: "key", autocomplete: "current-password", required: true, spellcheck: "false" });
  const fault = h("p", { class: "fault", role: "alert" });
  const form = h(
    "form",
    { class: "card login" },
    h("h1", {}, "Who are you?"),
    h("p", {}, "This yard's page asks for a key, as ", h("code", {}, "lorayard keys add TENANT --role viewer"), " makes one."),
    h("p", {}, h("label", { for: "key" }, "Key"), key),
    fault,
    h("p", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Let me in")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await tell("login", { key: key.value.trim() });
      done();
    } catch (error) {
      fault.textContent = error.message;
      key.setAttribute("aria-invalid", "true");
      key.select();
    }
  });
  requestAnimationFrame(() => key.focus());
  return form;
}
