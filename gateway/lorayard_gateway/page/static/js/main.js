// The page: who looks, which view, and the one stream behind all of them.

import { fill, h, say } from "./dom.js";
import { Refused, ask, tell } from "./api.js";
import { loginForm } from "./login.js";
import { store } from "./store.js";
import { viewer } from "./deeds.js";
import { help, listen } from "./keys.js";
import { Overview } from "./views/overview.js";
import { Queues } from "./views/queues.js";
import { AdaptersView } from "./views/adapters.js";
import { Workers } from "./views/workers.js";
import { Jobs } from "./views/jobs.js";
import { Dead } from "./views/dead.js";
import { Batches } from "./views/batches.js";
import { JobView } from "./views/job.js";
import { AdapterView } from "./views/adapter.js";

const TICK_MS = 1000;
const STALE_MS = 8000;
const LOST_MS = 5000;

const TABS = [
  ["", "Overview", Overview],
  ["queues", "Queues", Queues],
  ["adapters", "Adapters", AdaptersView],
  ["workers", "Workers", Workers],
  ["jobs", "Jobs", Jobs],
  ["dead", "Dead", Dead],
  ["batches", "Batches", Batches],
];
const VIEWS = { ...Object.fromEntries(TABS.map(([path, , view]) => [path, view])), job: JobView, adapter: AdapterView };
const OF_TAB = { job: "jobs", adapter: "adapters" };

const main = document.getElementById("main");
const line = document.getElementById("line");
const away = document.getElementById("away");
const says = document.getElementById("says");
let view = null;
let told = "";

async function start() {
  try {
    Object.assign(viewer, await ask("viewer"));
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return;
    state("bad", "✕ no gateway");
    away.hidden = false;
    say(away, `✕ ${error.message}`);
    setTimeout(start, 3000);
    return;
  }
  bar();
  store.open();
  route();
}

function bar() {
  const tabs = TABS.filter(([path]) => !(viewer.scope && path === "workers"));
  fill(document.getElementById("tabs"), tabs.map(([path, title]) => h("a", { href: `#/${path}`, "data-tab": path }, title)));
  fill(
    document.getElementById("viewer"),
    h("span", { class: "role", title: viewer.name }, viewer.scope ? `tenant ${viewer.scope}` : viewer.may_act ? "operator" : "read only"),
    h("button", { type: "button", class: "small", "aria-label": "Keys and help", onclick: help }, "?"),
    viewer.keys && h("button", { type: "button", class: "small", onclick: logOut }, "Log out"),
  );
}

async function logOut() {
  await tell("logout", {}).catch(() => {});
  loggedOut();
}

function loggedOut() {
  store.close();
  store.head = {};
  store.tables = {};
  store.history = [];
  view?.close();
  view = null;
  fill(document.getElementById("tabs"));
  fill(document.getElementById("viewer"));
  state("", "");
  told = "";
  for (const element of [says, document.getElementById("yard"), document.getElementById("toasts")]) say(element, "");
  document.title = "lorayard";
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  away.hidden = true;
  fill(main, loginForm(start));
}

function route() {
  if (!store.source && !store.head.overview) return;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const View = Object.hasOwn(VIEWS, path) ? VIEWS[path] : Overview;
  view?.close();
  view = new View(viewer.scope, new URLSearchParams(query));
  fill(main, view.element);
  document.title = `${view.title} · ${store.head.prefix ?? "lorayard"}`;
  for (const tab of document.querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab === (OF_TAB[path] ?? path)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (store.head.overview) view.update();
}

function changed() {
  const { head } = store;
  if (!head.overview) {
    say(away, head.away ? `✕ The yard cannot be read: ${head.away}` : "");
    away.hidden = !head.away;
    return;
  }
  document.title = `${titleMark(head)}${view?.title ?? ""} · ${head.prefix}`;
  const place = head.url ? `${head.prefix} · ${head.url.replace(/^\w+:\/\//, "")}` : head.prefix;
  say(document.getElementById("yard"), place);
  say(away, head.away ? `✕ The yard cannot be read; this is how it was. ${head.away}` : "");
  away.hidden = !head.away;
  speak(head);
  view?.update();
  pulse();
}

function titleMark(head) {
  const count = head.troubles?.length ?? 0;
  return count ? `(${count}) ` : "";
}

/** Read out what is newly wrong, once. */
function speak(head) {
  const codes = (head.troubles ?? []).map((one) => `${one.code} ${one.about}`).sort().join();
  if (codes === told) return;
  const before = told;
  told = codes;
  const first = head.troubles?.[0];
  if (first) say(says, `${head.troubles.length} ${head.troubles.length === 1 ? "trouble" : "troubles"}: ${first.text}`);
  else if (before) say(says, "All is well again.");
}

function state(kind, text) {
  if (line.className !== `line ${kind}`) line.className = `line ${kind}`;
  say(line, text);
}

function pulse() {
  const silent = performance.now() - store.heard;
  if (store.head.away) state("bad", "✕ no yard");
  else if (store.live && silent < STALE_MS) state("good", "● live");
  else if (store.live) {
    // A reading comes each second: a line that brings none is cut, or its gateway stands.
    state("warn", `▲ nothing new for ${Math.floor(silent / 1000)} s`);
    store.revive(STALE_MS);
  }
  else if (store.source || store.head.overview) {
    state("warn", "▲ reconnecting");
    if (store.head.overview && silent > LOST_MS) {
      say(away, "✕ The gateway does not answer; this is how the yard was when it did.");
      away.hidden = false;
    }
  }
}

document.addEventListener("logged-out", loggedOut);
store.addEventListener("change", changed);
store.addEventListener("broken", pulse);
store.addEventListener("refused", start);
addEventListener("hashchange", () => {
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
listen(() => [...document.querySelectorAll("[data-tab]")]);
setInterval(() => {
  if (document.hidden) return;
  view?.tick();
  pulse();
}, TICK_MS);
start();
