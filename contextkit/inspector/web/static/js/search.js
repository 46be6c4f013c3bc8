// Search over the messages of the thread, newest first, a step at a time.

import { ofThread } from "./api.js";
import { bdi, byId, count, el, fill, number } from "./dom.js";
import { openOriginal } from "./dialogs.js";

const STEPS = 12; // Requests in a row before the reader is asked whether to go on.
let run = 0;

async function look(before) {
  const mine = ++run;
  const wanted = byId("search").value.trim();
  byId("found").hidden = !wanted;
  byId("found-more").hidden = true;
  if (!wanted) return;
  if (before === null) fill(byId("hits"));
  let next = before;
  for (let step = 0; step < STEPS; step++) {
    const had = byId("hits").children.length;
    let found;
    try {
      found = await ofThread("/api/search", { q: wanted, before: next });
    } catch (error) {
      byId("found-count").textContent = error.message;
      return;
    }
    if (mine !== run) return;
    byId("hits").append(...found.hits.map(hit));
    next = found.next;
    say(wanted, next, found.n_entries);
    if (next === null || had + found.hits.length >= 40) break;
  }
  byId("found-more").hidden = next === null;
  byId("found-more").onclick = () => look(next);
}

function say(wanted, next, nEntries) {
  const n = byId("hits").children.length;
  const reach = next === null ? `all ${count(nEntries, "message")} were read` : `read back to message ${number(next)} of ${number(nEntries)}`;
  fill(byId("found-count"), n ? `${count(n, "message")} with ` : "No message with ", bdi(`“${wanted}”`), `; ${reach}`);
}

function hit(each) {
  return el("li", {}, el("button", { type: "button", class: "hit", onclick: () => openOriginal(each.handle) },
    el("span", { class: "quiet" }, el("b", { class: "mono" }, each.handle), ` ${each.role}`),
    el("span", { dir: "auto" }, each.before, el("mark", {}, each.match), each.after)));
}

export function start() {
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    look(null);
  });
  byId("search").addEventListener("search", () => look(null));
  byId("found-close").addEventListener("click", stop);
}

/** Closes the results; true where there were any. */
export function stop() {
  run += 1;
  const wasOpen = !byId("found").hidden;
  byId("found").hidden = true;
  byId("search").value = "";
  return wasOpen;
}
