// Filters, search, focus and legend.
function bound(id, label, low, high, value, whole, onChange) {
  const step = whole ? 1 : "any";
  const number = make("input", { type: "number", id, min: low, max: high, step, value, "aria-label": label });
  const slide = make("input", { type: "range", min: low, max: high, step: whole ? 1 : (high - low) / 200 || 0.01, value, tabindex: "-1", "aria-hidden": "true" });
  const set = (text, from) => {
    if (from !== number) number.value = text;
    if (from !== slide) slide.value = text;
    onChange(text === "" ? null : Number(text));
  };
  number.addEventListener("change", () => set(number.value, number));
  slide.addEventListener("input", () => { number.value = Number(Number(slide.value).toPrecision(4)); });
  slide.addEventListener("change", () => set(String(Number(Number(slide.value).toPrecision(4))), slide));
  return make("fieldset", {}, make("span", { class: "name" }, label), make("div", { class: "bound" }, slide, number));
}

function extent(name) {
  let low = Infinity, high = -Infinity;
  for (let row = 0; row < nEdges; row++) {
    const value = cell(row, name);
    if (value !== null && Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  return low > high ? [0, 1] : [low, high];
}

function ticked(legend, kind, entries) {
  return make("fieldset", {}, make("legend", {}, legend), ...entries.map(({ label, color, count, on, run }, i) => {
    const input = make("input", { type: "checkbox", id: `${kind}-${i}`, checked: on, on: { change: (event) => run(event.target.checked) } });
    const swatch = color ? make("span", { class: "swatch", style: `background:${color}` }) : null;
    return make("label", { class: "tick" }, input, swatch, label, make("small", {}, shown(count)));
  }));
}

function picked(id, label, options, value, run) {
  const select = make("select", { id, "aria-label": label, on: { change: (event) => run(event.target.value) } },
    ...options.map(([key, text]) => make("option", { value: key, selected: String(key) === String(value) }, text)));
  return make("fieldset", {}, make("span", { class: "name" }, label), select);
}

function has(set, item, on) {
  if (on) set.add(item); else set.delete(item);
  update();
}

function fillFilters() {
  const parts = [];
  if (groups.length) {
    const side = groups.length > 1 && groups.length <= 12 ? [["side", "Side by side"]] : [];
    const options = [["-1", groups.length > 1 ? `All ${groups.length} together` : "All"], ...side, ...groups.map((name, i) => [String(i), name])];
    parts.push(picked("group", "Group", options, filters.sideBySide ? "side" : filters.group, (value) => setGroup(value)));
    parts.push(picked("colour", "Colours", [["sign", "by sign"], ["group", "by group"]], colouredBy, (value) => { colouredBy = value; update(); }));
  }
  const steps = [100, 300, 600, 1000, 2000, 5000].filter((n) => n < nEdges);
  const counts = [...new Set([...steps, Math.min(held.max_drawn, nEdges), Math.min(nEdges, 5000)])].sort((a, b) => a - b);
  parts.push(picked("limit", "Edges to draw", counts.map((n) => [n, n === nEdges ? `all ${shown(n)}` : `the ${shown(n)} strongest`]), Math.min(filters.limit, nEdges), (value) => { filters.limit = Number(value); update(); }));
  const top = extent("weight");
  const size = Math.max(Math.abs(top[0]), Math.abs(top[1]));
  parts.push(bound("min-weight", "|weight| at least", 0, Number((size * 1.0005).toPrecision(4)), filters.minWeight ?? 0, false, (value) => { filters.minWeight = value; update(); }));
  for (const { name, label, least } of BOUNDS) {
    const value = filters.bounds[name] ?? (least ? 0 : 1);
    parts.push(bound(`bound-${name}`, label, 0, 1, value, false, (number) => { filters.bounds[name] = number === (least ? 0 : 1) ? null : number; update(); }));
  }
  const most = Math.max(...summaries([...byStrength], "target").map((entry) => entry.edges));
  parts.push(bound("top", "Strongest per target", 1, most, filters.topPerTarget ?? most, true, (number) => { filters.topPerTarget = number === null || number >= most ? null : number; update(); }));
  const count = (test) => { let n = 0; for (let row = 0; row < nEdges; row++) n += test(row); return n; };
  const signs = [1, -1, 0].map((sign) => ({ sign, label: SIGNS[sign], color: signColor(sign), count: count((row) => held.sign[row] === sign), on: filters.signs.has(sign), run: (on) => has(filters.signs, sign, on) })).filter((entry) => entry.count);
  parts.push(ticked("Sign", "sign", signs));
  if (held.words.length) {
    parts.push(ticked("Direction told by", "direction", held.words.map((word) => ({ label: word, count: count((row) => cell(row, "direction") === word), on: filters.words.has(word), run: (on) => has(filters.words, word, on) }))));
  }
  parts.push(make("button", { type: "button", id: "reset", on: { click: () => reset() } }, "Reset all filters"));
  byId("filters").replaceChildren(...parts);
}

function setGroup(value) {
  filters.sideBySide = value === "side";
  filters.group = value === "side" ? -1 : Number(value);
  update();
}

function reset() {
  filters = freshFilters();
  colouredBy = "sign";
  fillFilters();
  update();
}

// search: names that begin with the text, then those that hold it
function matches(text) {
  const wanted = text.trim().toUpperCase();
  if (!wanted) return [];
  const ranked = [];
  genes.forEach((name, gene) => {
    const at = name.toUpperCase().indexOf(wanted);
    if (at >= 0) ranked.push([name.length === wanted.length ? 0 : at === 0 ? 1 : 2, -isSource[gene], name.length, gene]);
  });
  return ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]).slice(0, 8).map((entry) => entry[3]);
}

function suggest(found, at) {
  const list = byId("suggestions"), input = byId("search");
  list.replaceChildren(...found.map((gene, i) => make("li", {
    role: "option", id: `suggestion-${i}`, "aria-selected": i === at ? "true" : "false",
    on: { mousedown: (event) => { event.preventDefault(); take(gene); } },
  }, make("span", { class: "gene" }, genes[gene]), make("small", {}, isSource[gene] ? "regulator" : "target"))));
  if (!found.length && input.value.trim()) list.replaceChildren(make("li", { role: "option", "aria-disabled": "true" }, `No gene of the network is like “${short(input.value.trim())}”`));
  list.hidden = !list.children.length;
  input.setAttribute("aria-expanded", String(!list.hidden));
  if (at >= 0 && found.length) input.setAttribute("aria-activedescendant", `suggestion-${at}`);
  else input.removeAttribute("aria-activedescendant");
}

function take(gene) {
  byId("search").value = "";
  suggest([], -1);
  byId("search").blur();
  byId("picture").focus({ preventScroll: true });
  focusOn([gene]);
}

function listenSearch() {
  const input = byId("search");
  let found = [], at = 0;
  input.addEventListener("input", () => { found = matches(input.value); at = 0; suggest(found, at); });
  input.addEventListener("blur", () => { byId("suggestions").hidden = true; });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(1, found.length);
      suggest(found, at);
    }
    if (event.key === "Enter" && found.length) take(found[at]);
    if (event.key === "Escape") { input.value = ""; found = []; suggest(found, -1); input.blur(); }
  });
}

function fillFocus() {
  const bar = byId("focusbar");
  bar.hidden = !filters.focus.length;
  if (bar.hidden) return;
  const hop = (n) => make("button", { type: "button", "aria-pressed": String(filters.hops === n), on: { click: () => focusOn(filters.focus, n) } }, n === 1 ? "1 hop" : "2 hops");
  bar.replaceChildren("Focus", ...filters.focus.map((gene) => make("button", {
    type: "button", class: "chip", "aria-label": `Take ${genes[gene]} out of the focus`, on: { click: () => focusOn(filters.focus.filter((other) => other !== gene)) },
  }, `${genes[gene]} ✕`)), hop(1), hop(2), make("button", { type: "button", id: "whole", on: { click: () => focusOn([]) } }, "Whole network"));
}
