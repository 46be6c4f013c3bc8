// What opens over the page: the original behind a handle, and the difference of two turns.

import { linkTo, ofThread } from "./api.js";
import { bdi, byId, el, fill, number } from "./dom.js";

const closeButton = () => el("button", { type: "button", class: "plain", "data-close": true }, "Close");

function open(dialog, ...children) {
  fill(dialog, ...children);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/** Shows the messages behind a handle as text, from message `offset` on. */
export async function openOriginal(handle, offset = 0) {
  const dialog = byId("original");
  const title = el("div", { class: "head" }, el("h2", { id: "original-title" }, "Original of ", el("span", { class: "mono" }, handle)), closeButton());
  try {
    const found = await ofThread("/api/original", { handle, offset });
    const links = found.n
      ? el("p", { class: "row quiet" },
          el("a", { href: linkTo("/original.txt", { handle }), target: "_blank", rel: "noopener" }, "Plain text"),
          el("a", { href: linkTo("/original.txt", { handle, form: "exact" }), target: "_blank", rel: "noopener" }, "Exact bytes"),
          el("span", {}, found.n > 1 ? `messages ${number(offset + 1)} to ${number(offset + found.messages.length)} of ${number(found.n)}` : ""))
      : null;
    open(dialog, title, links,
      found.shown ? el("section", { class: "instead", "aria-label": "Shown instead" },
        el("h3", {}, found.n ? "The newest call shows instead" : "Put in by a policy; the newest call shows"), found.shown.map(message)) : null,
      !found.n && !found.shown ? el("p", { class: "quiet" }, "Nothing is kept under this handle any more.") : null,
      found.messages.map(message), pager(handle, found));
  } catch (error) {
    open(dialog, title, el("p", { class: "callout" }, handle.startsWith("x")
      ? "This item was put in for one call and is no longer part of the newest one; only originals are kept."
      : error.message));
  }
}

function pager(handle, found) {
  if (found.n <= found.messages.length) return null;
  const step = (offset, name) => el("button", { type: "button", onclick: () => openOriginal(handle, offset) }, name);
  const next = found.offset + found.messages.length;
  return el("div", { class: "row" },
    found.offset ? step(Math.max(0, found.offset - 20), "‹ Earlier messages") : null,
    next < found.n ? step(next, "Later messages ›") : null);
}

function message(each) {
  const about = [each.seq === null ? "" : `m${each.seq}`, each.bytes ? `${number(each.bytes)} bytes` : ""];
  return el("article", { class: `message ${each.role}` },
    el("header", {}, el("b", { class: "chip" }, each.role), each.name ? bdi(each.name) : null,
      el("small", { class: "quiet mono" }, about.filter(Boolean).join(" · ")),
      each.digest ? el("small", { class: "quiet mono digest", title: `SHA-256 ${each.digest}` }, each.digest.slice(0, 12)) : null),
    each.parts.length ? each.parts.map((one) => part(one, each.seq)) : el("p", { class: "quiet" }, "no content"));
}

function part(each, seq) {
  return [
    each.kind === "text" ? null : el("small", { class: "quiet" }, bdi(each.kind)),
    el("pre", { dir: "auto", tabindex: "0", role: "group", "aria-label": `${each.kind}${seq === null ? ", shown instead" : ` of m${seq}`}` }, each.text || "(empty)"),
    each.is_cut ? el("p", { class: "quiet" }, `the first ${number(each.text.length)} of ${number(each.characters)} characters; the plain text has all of them`) : null,
  ];
}

/** Shows what changed from turn `first` to turn `second`. */
export async function openDiff(first, second, onOpen) {
  const dialog = byId("diff");
  const again = (event) => {
    event.preventDefault();
    const [from, to] = [...event.target.elements].filter((field) => field.type === "number").map((field) => Number(field.value));
    openDiff(from, to, onOpen);
  };
  const field = (value, label) => el("input", { type: "number", min: 1, value, "aria-label": label, required: true });
  const title = el("div", { class: "head" }, el("h2", { id: "diff-title" }, `Turn ${first} → turn ${second}`), closeButton());
  const form = el("form", { class: "row", onsubmit: again }, field(first, "From turn"), el("span", {}, "→"), field(second, "To turn"), el("button", {}, "Compare"));
  try {
    const found = await ofThread("/api/diff", { first, second });
    const [before, after] = found.input_tokens;
    const sections = Object.entries(found.sections).filter(([, [was, now]]) => was !== now);
    open(dialog, title, form,
      el("p", {}, el("b", { class: "big" }, signed(after - before)), ` tokens: ${number(before)} → ${number(after)}`),
      sections.length ? el("dl", { class: "pairs" }, sections.map(([name, [was, now]]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, signed(now - was), el("small", { class: "quiet" }, ` to ${number(now)}`))))) : null,
      found.changes.length ? changes(found, onOpen) : el("p", { class: "quiet" }, "Both calls show the same messages in the same form."));
  } catch (error) {
    open(dialog, title, form, el("p", { class: "callout bad", role: "alert" }, error.message));
  }
}

const signed = (value) => (value > 0 ? `+${number(value)}` : number(value));

function changes(found, onOpen) {
  const rows = found.changes.map((change) =>
    el("tr", {},
      el("th", { scope: "row" }, el("button", { type: "button", class: "link mono", onclick: () => onOpen(change.handle) }, change.handle)),
      el("td", { "data-label": "Tokens", class: "num" }, number(change.tokens)),
      el("td", { "data-label": "Was" }, change.before),
      el("td", { "data-label": "Is" }, change.after),
      el("td", { "data-label": "Why" }, bdi(change.why), el("small", { class: "quiet" }, change.policy))));
  return [
    found.n_changes > rows.length ? el("p", { class: "quiet" }, `${number(rows.length)} of ${number(found.n_changes)} changes`) : null,
    el("table", { class: "list cards" },
      el("caption", { class: "hidden" }, "What the two calls show differently"),
      el("thead", {}, el("tr", {}, ["Piece", "Tokens", "Was", "Is", "Why"].map((name) =>
        el("th", { scope: "col", class: name === "Tokens" ? "num" : null }, name)))),
      el("tbody", {}, rows)),
  ];
}

document.addEventListener("click", (event) => {
  const dialog = event.target.closest("dialog");
  if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) dialog.close();
});
