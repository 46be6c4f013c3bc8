// What the pages ask the server for.

const place = new URLSearchParams(window.location.search);
export const thread = { tenant: place.get("tenant") ?? "default", name: place.get("name") ?? "" };
export const startTurn = Number(place.get("turn")) || null;

const address = (path, query) =>
  `${path}?${new URLSearchParams(Object.entries(query).filter(([, v]) => v !== null && v !== undefined))}`;

/** The JSON behind a path; throws an Error whose message is the server's own sentence. */
export async function get(path, query = {}) {
  const response = await fetch(address(path, query), { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => ({ error: `the inspector answered ${response.status}` }));
  if (!response.ok) throw new Error(body.error ?? `the inspector answered ${response.status}`);
  return body;
}

export const ofThread = (path, query = {}) => get(path, { ...thread, ...query });
export const linkTo = (path, query) => address(path, { ...thread, ...query });

/** Server-sent events; `mark` shows whether the connection stands. */
export function listen(query, mark, onState) {
  const source = new EventSource(address("/api/events", query));
  const say = (text, state) => {
    mark.textContent = text;
    mark.dataset.state = state;
  };
  source.addEventListener("open", () => say("Live", "on"));
  source.addEventListener("error", () => say("Not connected", "off"));
  source.addEventListener("trouble", (event) => {
    source.close();
    say("Stopped", "off");
    mark.title = JSON.parse(event.data).error;
  });
  source.addEventListener("state", (event) => onState(JSON.parse(event.data)));
  window.addEventListener("pagehide", () => source.close());
  return source;
}
