// Elements are made, never written as HTML: whatever a message says can only be text.

export const byId = (id) => document.getElementById(id);

/** `el("p", {class: "quiet", onclick: f}, "text", child)`; a property that is null is left out. */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "width") node.style.width = value;
    else if (key === "color") node.style.setProperty("--color", value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export const fill = (node, ...children) =>
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));

/** A name or a text from outside: its direction is its own and does not turn what stands beside it. */
export const bdi = (text) => el("bdi", {}, text);

const whole = new Intl.NumberFormat("en");
export const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));

export function short(value) {
  const size = Math.abs(value);
  if (size < 1000) return String(Math.round(value));
  const [unit, name] = size < 1e6 ? [1e3, "k"] : size < 1e9 ? [1e6, "M"] : [1e9, "G"];
  const scaled = value / unit;
  return `${scaled >= 100 || Number.isInteger(scaled) ? Math.round(scaled) : scaled.toFixed(1)}${name}`;
}

export function money(usd) {
  if (usd === null || usd === undefined) return "–";
  if (usd === 0) return "$0";
  if (usd >= 1) return `$${usd >= 100 ? whole.format(Math.round(usd)) : usd.toFixed(2)}`;
  return `$${usd >= 0.0001 ? usd.toFixed(4) : usd.toPrecision(1)}`;
}

/** On an axis: as few places as tell the ticks apart. */
export const axisMoney = (usd) => `$${Number(usd.toPrecision(3))}`;

export const percent = (part, of) => (of ? `${Math.round((100 * part) / of)} %` : "–");

export const count = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`;

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const moment = (iso) => (iso ? day.format(new Date(iso)) : "–");

export function ago(iso) {
  if (!iso) return "no turn yet";
  const seconds = Math.max(0, (Date.now() - new Date(iso).getTime()) / 1000);
  for (const [size, noun] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (seconds >= size) return `${count(Math.floor(seconds / size), noun)} ago`;
  }
  return seconds < 5 ? "just now" : `${Math.floor(seconds)} seconds ago`;
}
