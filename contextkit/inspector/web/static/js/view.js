// The charts, their legends and the table of the turns on show.

import { bars, legend, strip, swatch } from "./charts.js";
import { axisMoney, byId, el, fill, money, moment, number, percent } from "./dom.js";

const REST = new Set(["free", "reply reserve"]);
const CACHE = [["read", "read from the cache"], ["write", "written to the cache"], ["fresh", "at the full price"]];

let charts = [];
let stripChart = null;

export const turnsThatFit = () =>
  Math.max(24, Math.min(200, Math.floor((byId("window-chart").clientWidth - 56) / 6)));

/** Draws the columns `data`; `picked()` is the selected turn, `onPick(turn)` selects one. */
export function draw(data, picked, onPick) {
  charts.forEach((chart) => chart.destroy());
  const turns = data.turn;
  const range = `turns ${turns[0]} to ${turns.at(-1)}`;
  const shared = { turns, picked: () => [picked()], onPick, onHover: (u, i) => hover(data, u, i) };
  const names = data.names.filter((name) => !REST.has(name));
  const moved = turns.filter((_, i) => data.moved_by[i]);
  charts = [
    bars(byId("window-chart"), {
      ...shared,
      columns: names.map((name) => ({ name, values: data.slices[name] })),
      lines: [data.limit],
      height: 200,
      marks: moved,
      label: `Tokens by section, ${range}; the figures are in the table below`,
    }),
    bars(byId("cache-chart"), {
      ...shared,
      columns: CACHE.map(([name]) => ({ name, values: data[name] })),
      height: 120,
      marks: moved,
      label: `Input tokens read from the cache, written and fresh, ${range}`,
    }),
  ];
  const priced = data.cost_usd.some((usd) => usd !== null);
  byId("cost-chart").classList.toggle("none", !priced);
  fill(byId("cost-chart"), priced ? null : "The price of this model is not known.");
  if (priced) {
    charts.push(
      bars(byId("cost-chart"), {
        ...shared,
        columns: [{ name: "cost", values: data.cost_usd }],
        outline: data.uncached_usd.some((usd) => usd !== null) ? data.uncached_usd : null,
        height: 90,
        format: axisMoney,
        label: `Cost of each turn in US dollars, ${range}`,
      }),
    );
  }
  fill(byId("window-legend"), legend(names.map((name) => [name])),
    el("li", {}, el("i", { class: "dash", "aria-hidden": "true" }), "limit"),
    el("li", {}, el("i", { class: "moved-mark", "aria-hidden": "true" }), "prefix moved"));
  fill(byId("cache-legend"), legend(CACHE));
}

export function clear() {
  charts.forEach((chart) => chart.destroy());
  charts = [];
}

export const redraw = () => [...charts, ...(stripChart ? [stripChart] : [])].forEach((chart) => chart.redraw(false));

export function resize() {
  for (const chart of [...charts, ...(stripChart ? [stripChart] : [])]) {
    const width = Math.max(200, chart.root.parentElement.clientWidth);
    if (width !== chart.width) chart.setSize({ width, height: chart.height });
  }
}

export function drawStrip(buckets, shown, onPick) {
  stripChart?.destroy();
  byId("strip").hidden = false;
  stripChart = strip(byId("strip"), buckets, shown, onPick);
}

function hover(data, u, i) {
  const tip = byId("tip");
  const isOver = u.over.matches(":hover");
  if (i === null || !isOver) {
    if (isOver || i === null) tip.hidden = true;
    return;
  }
  const line = (name, text, mark) => el("div", {}, el("span", {}, mark, name), el("b", {}, text));
  fill(tip,
    el("strong", {}, `Turn ${data.turn[i]}`),
    data.names.filter((name) => !REST.has(name) && data.slices[name][i])
      .map((name) => line(name, number(data.slices[name][i]), swatch(name))),
    line("input", `${number(data.input[i])} of ${number(data.limit[i])}`),
    line("from the cache", percent(data.read[i], data.billed[i])),
    line("cost", money(data.cost_usd[i])),
    data.moved_by[i] ? el("em", {}, `prefix moved by ${data.moved_by[i]}`) : null);
  tip.hidden = false;
  const card = byId("charts").getBoundingClientRect();
  const over = u.over.getBoundingClientRect();
  const left = over.left - card.left + u.cursor.left;
  tip.style.left = `${left + tip.offsetWidth + 24 > card.width ? left - tip.offsetWidth - 12 : left + 14}px`;
  tip.style.top = `${over.top - card.top + 6}px`;
}

/** The same turns as a table, the newest first. */
export function table(data, selected, onPick) {
  const rows = data.turn.map((turn, i) =>
    el("tr", { "data-turn": turn, class: turn === selected ? "picked" : null, onclick: () => onPick(turn) },
      el("th", { scope: "row" },
        el("button", { type: "button", class: "link", "aria-current": turn === selected ? "true" : null, title: moment(data.closed_at[i]) }, String(turn)),
        data.moved_by[i] ? el("i", { class: "moved-mark", role: "img", "aria-label": `prefix moved by ${data.moved_by[i]}`, title: `prefix moved by ${data.moved_by[i]}` }) : null,
        data.missed[i] ? el("i", { class: "missed-mark", role: "img", "aria-label": "cache missed", title: data.cause[i] }) : null),
      el("td", { class: "num" }, number(data.billed[i])),
      el("td", { class: "num" }, number(data.read[i])),
      el("td", { class: "num" }, number(data.write[i])),
      el("td", { class: "num" }, number(data.fresh[i])),
      el("td", { class: "num" }, data.out[i] ? number(data.out[i]) : "–"),
      el("td", { class: "num" }, money(data.cost_usd[i]), data.is_real[i] ? null : el("abbr", { title: "expected: the provider reported no usage" }, "*"))));
  fill(byId("turns").tBodies[0], rows.reverse());
  byId("range").textContent = data.turn.length ? `${number(data.turn[0])}–${number(data.turn.at(-1))}` : "";
}

/** Scrolls the table alone, never the page. */
function scrollTo(row) {
  const box = row.closest(".tall");
  const top = row.offsetTop - box.querySelector("thead").offsetHeight;
  const bottom = row.offsetTop + row.offsetHeight - box.clientHeight;
  if (box.scrollTop > top) box.scrollTop = top;
  else if (box.scrollTop < bottom) box.scrollTop = bottom;
}

export function mark(selected) {
  for (const row of byId("turns").tBodies[0].rows) {
    const isPicked = Number(row.dataset.turn) === selected;
    row.classList.toggle("picked", isPicked);
    const button = row.querySelector("button");
    if (isPicked) {
      button.setAttribute("aria-current", "true");
      scrollTo(row);
    } else button.removeAttribute("aria-current");
  }
}

/** The thread in six figures. */
export function figures(facts, overview) {
  const { totals, is_complete: isComplete } = overview;
  const spent = totals.cost_usd;
  const saved = spent !== null && totals.uncached_usd ? 1 - spent / totals.uncached_usd : null;
  const rows = [
    ["Turns", number(facts.n_turns), `${number(facts.n_entries)} messages`],
    ["Input", number(totals.input), "tokens sent"],
    ["From the cache", percent(totals.read, totals.input), `${number(totals.missed)} tokens missed`],
    ["Spent", money(spent), saved !== null && saved > 0 ? `${Math.round(100 * saved)} % less than without a cache` : "input and output"],
    ["Prefix moved", number(totals.moved), `${number(totals.rewritten)} tokens written again`],
  ];
  fill(byId("figures"), rows.map(([name, value, about]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, value), el("small", {}, about)))));
  if (!isComplete) {
    byId("figures").append(el("div", { class: "progress" }, el("dt", {}, "Reading"),
      el("dd", {}, el("b", {}, percent(overview.n_read, overview.n_turns)), el("small", {}, "of the turns so far"))));
  }
}
