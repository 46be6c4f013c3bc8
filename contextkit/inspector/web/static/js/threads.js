// The first page: every thread of the store, filtered by name or tenant, kept up to date.

import { get, listen } from "./api.js";
import { ago, bdi, byId, count, el, fill, moment, number, percent } from "./dom.js";

const search = byId("search");
const tenant = byId("tenant");
let source = null;
let shown = "";

const query = () => ({ q: search.value.trim() || null, tenant: tenant.value || null });

function show(found) {
  if (JSON.stringify(found) === shown) return;
  shown = JSON.stringify(found);
  showTenants(found.tenants);
  const { threads, n_found: nFound, n_all: nAll } = found;
  byId("count").textContent =
    threads.length < nFound
      ? `${number(threads.length)} of ${count(nFound, "thread")}, by name; filter to see others`
      : nFound < nAll
        ? `${number(nFound)} of ${count(nAll, "thread")}`
        : count(nAll, "thread");
  fill(byId("threads").tBodies[0], threads.map(row));
  byId("threads").hidden = !threads.length;
  byId("empty").hidden = threads.length > 0;
  if (!threads.length) fill(byId("empty"), nAll ? nothingFound() : nothingThere());
}

function row(thread) {
  const query = new URLSearchParams({ tenant: thread.tenant, name: thread.name });
  const fullness = thread.limit_tokens ? thread.input_tokens / thread.limit_tokens : 0;
  const meter = thread.n_turns
    ? el("span", { class: "meter", role: "img", "aria-label": `${percent(fullness, 1)} of the limit` },
        el("i", { width: `${Math.min(100, 100 * fullness)}%`, class: fullness > 0.9 ? "near" : null }))
    : null;
  return el("tr", {},
    el("th", { scope: "row" },
      el("a", { href: `/thread?${query}` }, bdi(thread.name || "(no name)")),
      thread.is_fork ? el("span", { class: "chip" }, "fork") : null),
    el("td", { "data-label": "Tenant", class: "quiet" }, bdi(thread.tenant)),
    el("td", { "data-label": "Turns", class: "num" }, number(thread.n_turns)),
    el("td", { "data-label": "Messages", class: "num" }, number(thread.n_entries)),
    el("td", { "data-label": "Newest call" }, meter ?? el("span", { class: "quiet" }, "–"),
      thread.n_turns ? el("small", { class: "quiet" }, ` ${number(thread.input_tokens)} of ${number(thread.limit_tokens)}`) : null),
    el("td", { "data-label": "Last turn", class: "quiet", title: moment(thread.closed_at) }, ago(thread.closed_at)));
}

function nothingThere() {
  return [
    el("h2", {}, "No threads yet"),
    el("p", {}, "This store is empty. Run your agent with the same configuration and its threads appear here on their own."),
    el("pre", {}, 'cm = contextkit.load("agent.yaml")\ncm.thread("support/42").respond("Which gate?")'),
  ];
}

function nothingFound() {
  const clear = () => {
    search.value = tenant.value = "";
    ask();
  };
  return [
    el("h2", {}, "No thread has that in its name"),
    el("p", {}, el("button", { type: "button", onclick: clear }, "Show all threads")),
  ];
}

function showTenants(tenants) {
  if (tenant.value || tenants.length === tenant.options.length - 1) return;
  fill(tenant, el("option", { value: "" }, "All tenants"), tenants.map((name) => el("option", { value: name }, name)));
}

async function ask() {
  try {
    show(await get("/api/threads", query()));
  } catch (error) {
    byId("count").textContent = error.message;
  }
  source?.close();
  source = listen(Object.fromEntries(Object.entries(query()).filter(([, v]) => v)), byId("live"), show);
}

let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(ask, 150);
});
tenant.addEventListener("change", ask);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
  } else if (event.key === "t") window.dispatchEvent(new Event("toggle-theme"));
});
ask();
