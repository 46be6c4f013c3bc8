// The page of a thread: which turns are on show, which one is selected, what arrives.

import { linkTo, listen, ofThread, startTurn, thread } from "./api.js";
import { byId, el, fill, number } from "./dom.js";
import * as detail from "./detail.js";
import { openDiff, openOriginal } from "./dialogs.js";
import * as search from "./search.js";
import * as view from "./view.js";

const page = { facts: null, data: null, selected: null, overview: null, load: 0 };
const newest = () => page.facts.n_turns;
const isFollowing = () => !page.data || !page.data.turn.length || page.data.turn.at(-1) >= newest();

const actions = {
  onStep: (by) => select(page.selected + by),
  onCompare: (turn) => turn > 1 && openDiff(turn - 1, turn, openOriginal),
  onOpen: (handle) => openOriginal(handle),
};

/** Loads the turns that end with `last`. */
async function load(last) {
  const mine = ++page.load;
  const size = view.turnsThatFit();
  const stop = Math.min(newest(), Math.max(last, Math.min(size, newest()))) + 1;
  const data = await ofThread("/api/turns", { start: Math.max(1, stop - size), stop });
  if (mine !== page.load) return;
  show(data);
  view.redraw();
}

function show(data) {
  page.data = data;
  if (!data.turn.length) return;
  view.draw(data, () => page.selected, select);
  view.table(data, page.selected, select);
  byId("older").disabled = data.turn[0] <= 1;
  byId("newer").disabled = isFollowing();
  byId("newest").disabled = isFollowing() && page.selected === newest();
  byId("goto").max = newest();
}

async function select(turn) {
  const wanted = Math.max(1, Math.min(turn, newest()));
  if (!wanted) return;
  page.selected = wanted;
  if (!page.data.turn.includes(wanted)) await load(wanted + Math.floor(view.turnsThatFit() / 2));
  markSelected();
  view.redraw();
  await detail.showTurn(wanted, actions, isSelected(wanted));
}

const isSelected = (turn) => () => page.selected === turn;

function markSelected() {
  byId("goto").value = page.selected;
  byId("newest").disabled = isFollowing() && page.selected === newest();
  window.history.replaceState(null, "", linkTo("/thread", { turn: page.selected }));
  view.mark(page.selected);
}

/** Sums and the strip, drawn from `ready` on: asked for again until every turn was read. */
async function overview(ready) {
  do {
    const found = await ofThread("/api/overview");
    await ready;
    page.overview = found;
    view.figures(page.facts, page.overview);
  } while (!page.overview.is_complete);
  drawStrip();
}

function drawStrip() {
  const { buckets } = page.overview;
  if (page.overview.n_turns <= page.data.turn.length || buckets.first.length < 2) return;
  view.drawStrip(buckets, () => [page.data.turn[0], page.data.turn.at(-1)], (turn) => select(turn));
}

async function arrived({ n_entries: nEntries, n_turns: nTurns }) {
  if (nTurns === page.facts.n_turns && nEntries === page.facts.n_entries) return;
  const wasNewest = page.selected === null || page.selected === newest();
  const follows = isFollowing();
  const isNew = nTurns > newest();
  page.facts = { ...page.facts, n_entries: nEntries, n_turns: nTurns };
  if (!isNew) {
    empty();
    return;
  }
  byId("said").textContent = `Turn ${number(nTurns)} arrived`;
  empty();
  if (follows) await load(nTurns);
  if (follows && wasNewest) await select(nTurns);
  await overview();
}

/** What stands where there is no turn yet. */
function empty() {
  const isEmpty = !newest();
  document.body.classList.toggle("no-turns", isEmpty);
  if (!isEmpty) return;
  fill(byId("figures"));
  fill(byId("detail"), el("div", { class: "empty" },
    el("h2", { id: "detail-title" }, "No turns yet"),
    el("p", {}, `This thread has ${number(page.facts.n_entries)} messages, and no call was recorded. The first one appears here as soon as respond or record has returned.`),
    page.facts.n_entries ? el("p", {}, el("button", { type: "button", onclick: () => openOriginal(`m0-${page.facts.n_entries - 1}`) }, "Read the messages")) : null));
}

function keys(event) {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (search.stop()) byId("main").focus();
    event.target.blur?.();
    return;
  }
  if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const act = {
    j: () => select((page.selected ?? 0) + 1),
    k: () => select((page.selected ?? newest() + 1) - 1),
    g: () => select(1),
    G: () => select(newest()),
    d: () => page.selected && actions.onCompare(page.selected),
    t: () => window.dispatchEvent(new Event("toggle-theme")),
    "/": () => byId("search").focus(),
    "?": () => byId("keys").showModal(),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
}

function wire() {
  const size = () => page.data.turn.length;
  byId("older").addEventListener("click", () => load(page.data.turn[0] - 1));
  byId("newer").addEventListener("click", () => load(page.data.turn.at(-1) + size()));
  byId("newest").addEventListener("click", () => load(newest()).then(() => select(newest())));
  byId("goto").addEventListener("change", (event) => select(Number(event.target.value) || newest()));
  byId("help").addEventListener("click", () => byId("keys").showModal());
  document.addEventListener("keydown", keys);
  window.addEventListener("theme", () => {
    if (!page.data?.turn.length) return;
    show(page.data);
    if (page.overview?.is_complete) drawStrip();
  });
  new ResizeObserver(() => view.resize()).observe(byId("charts"));
  byId("charts").addEventListener("pointerleave", () => (byId("tip").hidden = true));
  search.start();
}

/** Once what was drawn so far is on the screen: what comes later must not hold it up. */
const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

async function begin() {
  wire();
  try {
    const first = await ofThread("/api/thread", { turns: view.turnsThatFit(), turn: startTurn });
    page.facts = first.thread;
    page.selected = first.selected?.turn ?? null;
    let ready;
    const sums = newest() ? overview(new Promise((resolve) => (ready = resolve))) : null;
    show(first.turns);
    empty();
    if (page.selected) {
      markSelected();
      detail.draw(first.selected, actions, isSelected(page.selected));
    }
    listen(thread, byId("live"), arrived);
    await painted();
    ready?.();
    await sums;
  } catch (error) {
    fill(byId("detail"), el("p", { class: "callout bad", role: "alert" }, error.message));
  }
}

begin();
