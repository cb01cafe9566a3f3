// Shortcuts; `?` lists them.

import { h } from "./dom.js";
import { show } from "./dialog.js";

const HELP = [
  ["1 … 7", "a view, in the order of the bar"],
  ["/", "into the filter"],
  ["Esc", "out of the filter, or back from a job or an adapter"],
  ["↑ ↓", "from line to line of a table, once you are in it"],
  ["Tab", "to the next link or button"],
  ["?", "this help"],
];

export function help() {
  show("Keys", h("dl", { class: "facts" }, HELP.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])));
}

/** `tabs` are the links of the bar, in order. */
export function listen(tabs) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      else if (/^#\/(job|adapter)\?/.test(location.hash)) history.back();
      return;
    }
    if (typing) return;
    if (event.key === "?") help();
    else if (event.key === "/") {
      const filter = document.getElementById("filter");
      if (!filter) return;
      event.preventDefault();
      filter.focus();
      filter.select();
    } else if (/^[1-9]$/.test(event.key)) tabs()[Number(event.key) - 1]?.click();
  });
}
