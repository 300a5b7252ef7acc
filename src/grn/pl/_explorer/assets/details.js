// What is known of the chosen gene or edge.
function partners(rows, end, heading) {
  const listed = rows.sort((a, b) => strengths[b] - strengths[a] || a - b).slice(0, 12);
  if (!listed.length) return [];
  const more = rows.length > listed.length ? ` (${listed.length} strongest of ${shown(rows.length)})` : ` (${rows.length})`;
  return [
    make("h3", {}, heading + more),
    make("ul", { class: "partners" }, ...listed.map((row) => {
      const label = genes[held[end][row]] + (groups.length ? ` · ${cell(row, "group")}` : "");
      const button = make("button", { type: "button", on: { click: () => choose({ row }, true) } },
        make("span", { class: "gene" }, label), make("span", { class: "figure" }, signed(weights[row])));
      return make("li", {}, button);
    })),
  ];
}

function geneDetails(gene) {
  const rows = current.rows;
  const out = rows.filter((row) => held.source[row] === gene), into = rows.filter((row) => held.target[row] === gene);
  const role = isSource[gene] ? "Regulator" : "Target";
  const act = (label, run) => make("button", { type: "button", on: { click: run } }, label);
  const focused = filters.focus.includes(gene);
  return [
    make("h2", {}, genes[gene]),
    make("p", {}, `${role}: ${shown(out.length)} outgoing and ${shown(into.length)} incoming of the edges that pass.`),
    make("div", { class: "acts" },
      act("Focus, 1 hop", () => focusOn([gene], 1)), act("Focus, 2 hops", () => focusOn([gene], 2)),
      filters.focus.length && !focused ? act("Add to the focus", () => focusOn([...filters.focus, gene])) : null),
    ...partners(out, "target", "Targets"),
    ...partners(into, "source", "Regulators"),
  ];
}

function edgeDetails(row) {
  const source = held.source[row], target = held.target[row];
  const list = make("dl", {});
  for (const name of columns.keys()) {
    const value = cell(row, name);
    const text = name === "direction" && EVIDENCE[value] ? `${value}: ${EVIDENCE[value]}` : typeof value === "number" ? value < 0 ? "−" + String(-value) : String(value) : shown(value);
    list.append(make("dt", {}, name), make("dd", {}, text));
  }
  const act = (gene) => make("button", { type: "button", on: { click: () => choose({ gene }, true) } }, genes[gene]);
  return [
    make("h2", {}, `${genes[source]} ${held.points[row] ? "→" : "–"} ${genes[target]}`),
    make("p", {}, `${SIGNS[String(held.sign[row])]}; ${held.points[row] ? "has a direction" : "has no known direction"}.`),
    make("div", { class: "acts" }, act(source), act(target),
      make("button", { type: "button", on: { click: () => focusOn([...new Set([source, target])]) } }, "Focus on both")),
    drawnRows().has(row) ? null : make("p", {}, "Not among the edges drawn: focus on it, or draw more."),
    list,
    ...sameEdge(row),
    ...curvesOf(row),
  ];
}

// the same pair in other groups, and the other way round
function sameEdge(row) {
  const others = [];
  for (let other = 0; other < nEdges; other++) {
    if (other === row) continue;
    const same = held.source[other] === held.source[row] && held.target[other] === held.target[row];
    const turned = held.source[other] === held.target[row] && held.target[other] === held.source[row];
    if (same || turned) others.push(other);
  }
  if (!others.length) return [];
  const body = others.map((other) => {
    const pair = `${genes[held.source[other]]} ${held.points[other] ? "→" : "–"} ${genes[held.target[other]]}`;
    const label = groups.length ? `${cell(other, "group")}: ${pair}` : pair;
    const button = make("button", { type: "button", on: { click: () => choose({ row: other }, true) } }, label);
    return make("tr", {}, make("td", {}, button), make("td", {}, signed(weights[other])), make("td", {}, SIGNS[String(held.sign[other])]));
  });
  const heads = ["", "weight", "sign"].map((text) => make("th", {}, text));
  return [make("h3", {}, groups.length ? "In other groups" : "The other way round"), make("table", { class: "mini" }, make("tr", {}, ...heads), ...body)];
}

function fillDetails() {
  const place = byId("details");
  place.scrollTop = 0;
  if (chosen === null) {
    place.replaceChildren(
      make("h2", {}, "Nothing chosen"),
      make("p", {}, "Choose a gene or an edge in the picture or in a table, or search a gene. Twice on a gene, or Enter, puts it in focus."),
      make("p", {}, held.summary));
    return;
  }
  place.replaceChildren(...(chosen.row === undefined ? geneDetails(chosen.gene) : edgeDetails(chosen.row)).filter((part) => part !== null));
}
