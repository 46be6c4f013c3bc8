// Stacked bars over turns, and the strip of the whole thread, drawn by uPlot in the colours of the page.

import { el, short } from "./dom.js";

const FEWEST = 24; // Slots on the x axis, so that three turns are not three slabs.
const KNOWN = new Set([
  "frame", "system", "pinned", "history", "shortened", "summaries", "retrieved", "request",
  "error-bar", "free", "reply-reserve", "read", "write", "fresh", "cost", "limit",
]);

const variable = (name) => {
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return `--c-${KNOWN.has(slug) ? slug : "other"}`;
};
export const colorOf = (name) => `var(${variable(name)})`;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const swatch = (name) => el("i", { class: "swatch", color: colorOf(name), "aria-hidden": "true" });

export const legend = (names) => names.map(([name, label]) => el("li", {}, swatch(name), label ?? name));

function axis(extra) {
  return {
    stroke: css("--quiet"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: css("--line"), width: 1 },
    ticks: { show: false },
    ...extra,
  };
}

/** Bars from the bottom up: `columns` of `{name, values}`, dashed `lines`, an `outline` behind all. */
export function bars(node, { turns, columns, lines = [], outline = null, height, label, picked, marks, format = short, onHover, onPick }) {
  const sums = turns.map(() => 0);
  const stacked = columns.map(({ values }) => values.map((value, i) => (sums[i] += value ?? 0)));
  const step = window.uPlot.paths.bars({ size: [turns.length > 90 ? 0.86 : 0.74, 26] });
  const solid = ({ name }) => ({ fill: css(variable(name)), stroke: null, width: 0, paths: step, points: { show: false } });
  const dashed = () => ({ stroke: css("--c-limit"), width: 1.25, dash: [4, 3], paths: window.uPlot.paths.stepped({ align: 1 }), points: { show: false } });
  const hollow = { fill: css("--c-outline"), stroke: css("--c-outline-edge"), width: 1, paths: step, points: { show: false } };
  const tops = [...sums, ...lines.flat(), ...(outline ?? [])].filter((value) => value !== null);
  const last = Math.max(turns.at(-1), turns[0] + FEWEST - 1);
  const wide = node.clientWidth > 480;
  const chart = new window.uPlot(
    {
      width: Math.max(200, node.clientWidth),
      height,
      legend: { show: false },
      padding: [10, 14, 0, 0],
      cursor: { sync: { key: "turns" }, points: { show: false }, drag: { x: false, y: false }, y: false },
      scales: {
        x: { time: false, range: [turns[0] - 0.6, last + 0.6] },
        y: { range: [0, Math.max(...tops, 0) * 1.06 || 1] },
      },
      axes: [
        axis({ grid: { show: false }, size: 24, gap: 4, incrs: [1, 2, 5, 10, 20, 50, 100, 1000] }),
        axis({ size: wide ? 56 : 44, gap: 6, space: 26, values: (_, ticks) => ticks.map(format) }),
      ],
      series: [
        {},
        ...(outline ? [hollow] : []),
        ...columns.map(solid).reverse(),
        ...lines.map(dashed),
      ],
      hooks: {
        drawClear: [(u) => band(u, picked())],
        draw: [(u) => triangles(u, marks ?? []), (u) => foot(u, picked()[0])],
        setCursor: [(u) => onHover(u, u.cursor.idx ?? null)],
      },
    },
    [turns, ...(outline ? [outline] : []), ...stacked.reverse(), ...lines],
    node,
  );
  chart.over.addEventListener("click", () => {
    if (chart.cursor.idx !== null && chart.cursor.idx !== undefined) onPick(turns[chart.cursor.idx]);
  });
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", label);
  return chart;
}

function band(u, [low, high] = []) {
  if (low === undefined || low === null) return;
  const left = u.valToPos(low - 0.5, "x", true);
  const right = u.valToPos((high ?? low) + 0.5, "x", true);
  u.ctx.fillStyle = css("--c-picked");
  u.ctx.fillRect(left, u.bbox.top, Math.max(2, right - left), u.bbox.height);
}

/** A line under the picked turn, where its bar is too thin for the band to be seen. */
function foot(u, turn) {
  if (!turn) return;
  const left = u.valToPos(turn - 0.5, "x", true);
  const width = Math.max(4 * devicePixelRatio, u.valToPos(turn + 0.5, "x", true) - left);
  u.ctx.fillStyle = css("--accent");
  u.ctx.fillRect(left, u.bbox.top + u.bbox.height, width, 3 * devicePixelRatio);
}

/** A small triangle above each of these turns: the prefix moved there. */
function triangles(u, turns) {
  const size = 4 * devicePixelRatio;
  u.ctx.fillStyle = css("--c-moved");
  for (const turn of turns) {
    const x = u.valToPos(turn, "x", true);
    u.ctx.beginPath();
    u.ctx.moveTo(x - size, u.bbox.top - size * 1.9);
    u.ctx.lineTo(x + size, u.bbox.top - size * 1.9);
    u.ctx.lineTo(x, u.bbox.top - size * 0.4);
    u.ctx.fill();
  }
}

/** The whole thread in a strip: its fullest calls, where the prefix moved, which turns are on show. */
export function strip(node, buckets, shown, onPick) {
  const moved = buckets.first.filter((_, i) => buckets.moved[i]);
  const chart = new window.uPlot(
    {
      width: Math.max(200, node.clientWidth),
      height: 62,
      legend: { show: false },
      padding: [10, 14, 0, node.clientWidth > 480 ? 56 : 44],
      cursor: { points: { show: false }, drag: { x: false, y: false }, y: false },
      scales: { x: { time: false }, y: { range: [0, Math.max(...buckets.limit, 1)] } },
      axes: [axis({ grid: { show: false }, size: 22, gap: 4 }), { show: false }],
      series: [
        {},
        { fill: css("--c-strip"), stroke: css("--c-strip-edge"), width: 1, points: { show: false } },
      ],
      hooks: { drawClear: [(u) => band(u, shown())], draw: [(u) => triangles(u, moved.length > 60 ? [] : moved)] },
    },
    [buckets.first, buckets.input],
    node,
  );
  chart.over.addEventListener("click", (event) => {
    onPick(Math.round(chart.posToVal(event.offsetX, "x")));
  });
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", `All ${buckets.first.at(-1)} turns: the fullest calls against the limit`);
  return chart;
}
