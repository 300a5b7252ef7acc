// Keys, and the panel that lists them.
const KEYS = [
  ["/", "search a gene; arrows choose, Enter puts it in focus"],
  ["1  2", "focus with one or two hops"],
  ["Esc", "leave the search, the choice, the focus"],
  ["n  p", "next or previous gene of the picture, the most connected first"],
  ["Enter", "put the chosen gene in focus (in the picture or a table)"],
  ["← ↑ → ↓", "move the picture, or walk through a table"],
  ["+  −  f", "zoom in, out, fit"],
  ["r  t  e  i", "regulators, targets, edges, details"],
  ["g", "next group"],
  ["d", "light or dark"],
  ["?", "this help"],
];

function walk(step) {
  const shownGenes = panels.flatMap((panel) => panel.cy.nodes().map((node) => [node.data("gene"), node.data("degree")]));
  const degree = new Map(shownGenes);
  const order = [...degree.keys()].sort((a, b) => degree.get(b) - degree.get(a) || a - b);
  if (!order.length) return;
  const at = chosen && chosen.gene !== undefined ? order.indexOf(chosen.gene) : step > 0 ? -1 : 0;
  choose({ gene: order[(at + step + order.length) % order.length] });
}

function nextGroup() {
  if (!groups.length) return;
  const next = filters.sideBySide ? -1 : filters.group + 1;
  byId("group").value = String(next >= groups.length ? -1 : next);
  setGroup(byId("group").value);
}

function escape() {
  if (byId("export").open) { byId("export").open = false; return; }
  if (chosen !== null) choose(null);
  else if (filters.focus.length) focusOn([]);
}

const ANYWHERE = {
  "/": () => byId("search").focus(),
  "?": () => openAbout(),
  Escape: escape,
  "1": () => filters.focus.length && focusOn(filters.focus, 1),
  "2": () => filters.focus.length && focusOn(filters.focus, 2),
  f: () => fit(),
  "+": () => zoomBy(1.25),
  "=": () => zoomBy(1.25),
  "-": () => zoomBy(0.8),
  n: () => walk(1),
  p: () => walk(-1),
  r: () => openTab("regulators", true),
  t: () => openTab("targets", true),
  e: () => openTab("edges", true),
  i: () => openTab("details", true),
  g: nextGroup,
  d: () => switchTheme(),
};
const IN_PICTURE = {
  ArrowLeft: () => moveBy(60, 0),
  ArrowRight: () => moveBy(-60, 0),
  ArrowUp: () => moveBy(0, 60),
  ArrowDown: () => moveBy(0, -60),
  Enter: () => chosen && chosen.gene !== undefined && focusOn([chosen.gene]),
};

function listenKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("about").open) return;
    if (event.target.matches("input, select") && event.target.type !== "checkbox") return;
    const run = (event.target === byId("picture") && IN_PICTURE[event.key]) || ANYWHERE[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  });
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = [...document.querySelectorAll(".tabs button")].filter((tab) => tab.offsetParent !== null);
    const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
    openTab(next.id.slice(4));
    next.focus();
  });
}

function fillAbout() {
  const keys = make("dl", {});
  for (const [key, what] of KEYS) keys.append(make("dt", {}, ...key.split("  ").flatMap((k) => [make("kbd", {}, k), " "])), make("dd", {}, what));
  const origin = make("dl", {});
  for (const [name, value] of held.provenance) origin.append(make("dt", {}, name), make("dd", {}, value));
  const part = held.total > nEdges ? `This page holds the ${shown(nEdges)} strongest of ${shown(held.total)} edges.` : `This page holds all ${shown(nEdges)} edges.`;
  byId("about-text").replaceChildren(
    make("p", {}, `${held.summary}. ${part} An edge is a prediction, not an observation.`),
    make("p", {}, "Filters act on all edges of the page, then the strongest of those that pass are drawn; tables and exports hold all that pass. An edge has an arrow only where the network says what tells its direction; other edges are drawn once, without one."),
    make("h3", {}, "Keys"), keys,
    make("h3", {}, "Provenance"), held.provenance.length ? origin : make("p", {}, "The network says nothing about where it comes from."),
    make("p", {}, "Made with grn. The picture is drawn by cytoscape.js (MIT licence, © The Cytoscape Consortium). This page asks no server for anything."));
}

function openAbout() {
  byId("about").showModal();
}
