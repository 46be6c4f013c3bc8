// One turn: what is in its window, its bill explained, and every decision with its why.

import { colorOf, swatch } from "./charts.js";
import { ofThread } from "./api.js";
import { bdi, byId, count, el, fill, money, moment, number, percent } from "./dom.js";

const VERBS = { keep: "kept", drop: "left out", replace: "replaced", insert: "put in", move: "moved" };
let show = "all";

/** Fetches a turn and shows it; `isCurrent` says whether it is still the one to be shown. */
export async function showTurn(turn, actions, isCurrent) {
  try {
    const found = await ofThread("/api/turn", { turn, show });
    if (isCurrent()) draw(found, actions, isCurrent);
  } catch (error) {
    if (isCurrent()) fill(byId("detail"), el("p", { class: "callout bad", role: "alert" }, error.message));
  }
}

/** Shows a turn that was fetched. */
export function draw(found, actions, isCurrent) {
  fill(byId("detail"), head(found, actions), room(found), bill(found), decisions(found, actions, isCurrent));
}

function head(found, { onStep, onCompare }) {
  return el("div", { class: "head" },
    el("div", {}, el("h2", { id: "detail-title" }, `Turn ${found.turn}`), el("small", { class: "quiet" }, moment(found.closed_at))),
    el("div", { class: "row" },
      el("button", { type: "button", onclick: () => onStep(-1), "aria-label": "Previous turn" }, "‹"),
      el("button", { type: "button", onclick: () => onStep(1), "aria-label": "Next turn" }, "›"),
      el("button", { type: "button", onclick: () => onCompare(found.turn), disabled: found.turn < 2 }, "Compare")));
}

function room(found) {
  const total = found.slices.reduce((sum, part) => sum + part.tokens, 0) || 1;
  const words = found.slices.map((part) => `${part.name} ${number(part.tokens)}`).join(", ");
  const error = found.exact ? "" : ` (at most ${number(found.upper_tokens)}, estimated)`;
  return el("div", { class: "room" },
    el("p", {}, el("b", { class: "big" }, number(found.input_tokens)),
      ` tokens of ${number(found.limit_tokens)}${error}; ${number(found.reply_reserve)} kept for the reply`),
    el("div", { class: "bar", role: "img", "aria-label": `${words} tokens` },
      found.slices.map((part) => el("i", { width: `${(100 * part.tokens) / total}%`, color: colorOf(part.name), title: `${part.name}: ${number(part.tokens)} tokens` }))),
    el("ul", { class: "legend figures-list" },
      found.slices.map((part) => el("li", {}, swatch(part.name), part.name, el("b", {}, number(part.tokens))))));
}

function bill(found) {
  const line = found.bill;
  const rows = [
    ["read from the cache", line.read_tokens, percent(line.read_tokens, line.input_tokens)],
    ["written to the cache", line.write_tokens, percent(line.write_tokens, line.input_tokens)],
    ["at the full price", line.fresh_tokens, percent(line.fresh_tokens, line.input_tokens)],
    ["answered", line.output_tokens, ""],
  ];
  const cost = [money(found.cost_usd)];
  if (found.uncached_usd !== null) cost.push(`input without a cache ${money(found.uncached_usd)}`);
  if (!line.is_real) cost.push("expected: no usage was reported");
  return el("section", { "aria-label": "The bill" },
    el("h3", {}, "The bill ", el("span", { class: "quiet" }, cost.join(" · "))),
    line.cause ? el("p", { class: "callout" }, el("b", {}, line.missed_tokens ? `Missed ${number(line.missed_tokens)} tokens. ` : ""), line.cause) : null,
    el("dl", { class: "pairs" }, rows.map(([name, value, share]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, number(value), share ? el("small", { class: "quiet" }, ` ${share}`) : null)))),
    el("p", { class: "quiet" }, `Prefix ${found.prefix}.`),
    found.notes.length ? el("ul", { class: "notes" }, found.notes.map((note) => el("li", {}, bdi(note)))) : null);
}

function decisions(found, actions, isCurrent) {
  const body = el("tbody", {}, found.decisions.map((row) => decision(row, actions)));
  const tab = (key, label) =>
    el("button", {
      type: "button",
      "aria-pressed": String(show === key),
      onclick: () => {
        show = key;
        showTurn(found.turn, actions, isCurrent);
      },
    }, label);
  const more = el("button", { type: "button" }, "");
  const grow = (next) => {
    const rest = next.n_shown - body.rows.length;
    more.hidden = rest <= 0;
    more.textContent = `Show more (${number(rest)} left)`;
  };
  more.addEventListener("click", async () => {
    const next = await ofThread("/api/turn", { turn: found.turn, show, offset: body.rows.length });
    body.append(...next.decisions.map((row) => decision(row, actions)));
    grow(next);
  });
  grow(found);
  return el("section", { "aria-label": "The ledger" },
    el("div", { class: "head" }, el("h3", {}, "The ledger ", el("span", { class: "quiet" }, "who decided what, and why")),
      el("div", { class: "tabs", role: "group", "aria-label": "Which pieces" },
        tab("all", `All ${number(found.n_decisions)}`), tab("out", `Left out ${number(found.n_out)}`))),
    found.decisions.length
      ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of decisions" },
          el("table", { class: "list cards ledger" },
            el("caption", { class: "hidden" }, "One decision for every piece of the call"),
            el("thead", {}, el("tr", {}, ["Piece", "What", "Tokens", "Why"].map((name) =>
              el("th", { scope: "col", class: name === "Tokens" ? "num" : null }, name)))),
            body))
      : el("p", { class: "quiet" }, "Nothing was left out of this call."),
    more);
}

function decision(row, { onOpen }) {
  const span = row.n_entries > 1 ? count(row.n_entries, "message") : row.n_entries ? "" : "no message of the log";
  const same = row.tokens_before === row.tokens_after;
  return el("tr", { class: `is-${row.action}` },
    el("th", { scope: "row" },
      el("button", { type: "button", class: "link mono", onclick: () => onOpen(row.handle || row.piece), title: "Show the original" }, row.piece),
      span ? el("small", { class: "quiet" }, span) : null),
    el("td", { "data-label": "What" }, el("span", { class: `chip ${row.action}` }, VERBS[row.action] ?? row.action),
      el("small", { class: "quiet" }, swatch(row.section), row.section, row.pinned ? ", pinned" : "", row.volatile ? ", for this call" : "")),
    el("td", { "data-label": "Tokens", class: "num" }, same ? number(row.tokens_after) : `${number(row.tokens_before)} → ${number(row.tokens_after)}`),
    el("td", { "data-label": "Why" }, bdi(row.why), el("small", { class: "quiet" }, row.policy)));
}
