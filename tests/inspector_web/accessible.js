// What is wrong with the page as it stands, one sentence each, by the rules of WCAG 2.2 AA that can be computed.
() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const told = (node) => node.outerHTML.replace(/\s+/g, " ").slice(0, 110);
  const isShown = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest("[aria-hidden=true]");
  const textOf = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const named = "button, a, summary, caption, [role=button], [role=link], [role=tab]";
  const nameOf = (node) => (node.getAttribute("aria-labelledby") ? textOf(node.getAttribute("aria-labelledby")) : "")
    || node.getAttribute("aria-label") || [...(node.labels ?? [])].map((label) => label.textContent).join(" ")
    || (node.matches(named) ? node.textContent : "") || node.getAttribute("title")
    || node.getAttribute("alt") || "";
  const expect = (holds, what, node) => holds || found.push(node ? `${what}: ${told(node)}` : what);

  expect(document.documentElement.lang, "the page says no language");
  expect(document.title.trim(), "the page has no title");
  expect(all("main").length === 1, "not one main landmark");
  expect(all("body > header, [role=banner]").length === 1, "not one banner");
  expect(document.querySelector("meta[name=viewport]") && !/user-scalable=no|maximum-scale=1\b/.test(
    document.querySelector("meta[name=viewport]").content), "the page can't be magnified");

  const controls = "button, a[href], input:not([type=hidden]), select, textarea, summary, "
    + "[role=button], [role=link], [role=tab], [role=img], [role=region], [tabindex='0'], dialog[open], nav";
  for (const node of all(controls).filter(isShown)) expect(nameOf(node).trim(), "has no name", node);
  for (const node of all("img")) expect(node.hasAttribute("alt"), "a picture that says not whether it says anything", node);
  for (const node of all("[tabindex]")) expect(node.tabIndex <= 0, "jumps the order of the keyboard", node);
  for (const node of all("button button, button a[href], a[href] a, a[href] button")) expect(false, "a control in a control", node);

  let level = 0;
  const open = document.querySelector("dialog[open]") ?? document;
  const headings = [...open.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(isShown);
  if (open === document) expect(headings.filter((node) => node.tagName === "H1").length === 1, "not one first heading");
  for (const node of headings) {
    const next = Number(node.tagName[1]);
    expect(level === 0 || next <= level + 1, "a heading skips a level", node);
    level = next;
  }

  for (const table of all("table").filter(isShown)) {
    expect(nameOf(table.caption ?? table).trim(), "a table without a caption", table);
    const heads = [...table.querySelectorAll("th")];
    expect(heads.some((head) => head.scope === "col"), "a table without column headers", table);
    for (const head of heads) expect(head.scope, "a header that says not of what", head);
    for (const head of heads.filter(isShown)) expect(head.textContent.trim(), "an empty header", head);
  }

  const ids = all("[id]").map((node) => node.id);
  for (const id of ids.filter((id, n) => ids.indexOf(id) !== n)) found.push(`the id ${id} stands twice`);
  for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "aria-owns", "for"])
    for (const node of all(`[${name}]`).filter(isShown))
      for (const id of node.getAttribute(name).split(/\s+/)) expect(document.getElementById(id), `${name} names nothing`, node);

  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  const rgba = (css) => {
    if (!colours.has(css)) {
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = css;
      pixel.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
      colours.set(css, [r, g, b, a / 255]);
    }
    return colours.get(css);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const backgroundOf = (node) => {
    if (!node) return rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "#121212" : "#fff");
    const own = rgba(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, node.matches("dialog") ? [255, 255, 255, 1] : backgroundOf(node.parentElement));
  };
  const opacityOf = (node) => (node ? Number(getComputedStyle(node).opacity) * opacityOf(node.parentElement) : 1);
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(node) || !isShown(node)) continue;
    seen.add(node);
    if (node.closest(":disabled") || !node.getClientRects().length || (open !== document && !open.contains(node))) continue;
    const style = getComputedStyle(node);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const background = backgroundOf(node);
    const [r, g, b, a] = rgba(style.color);
    const ratio = contrast(over([r, g, b, a * opacityOf(node)], background), background);
    expect(ratio >= (isLarge ? 3 : 4.5), `contrast ${ratio.toFixed(2)} (${style.color} on ${background.slice(0, 3)})`, node);
  }
  return found;
}
