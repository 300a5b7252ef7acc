// Regulators, targets and edges of all edges that pass, drawn or not.
const tables = {};

function summaries(rows, end) {
  const other = end === "source" ? "target" : "source", made = new Map();
  for (const row of rows) {
    const gene = held[end][row];
    if (!made.has(gene)) made.set(gene, { gene, genes: new Set(), edges: 0, up: 0, down: 0, best: -1, sum: 0 });
    const entry = made.get(gene);
    entry.genes.add(held[other][row]);
    entry.edges++;
    entry.sum += strengths[row];
    if (held.sign[row] > 0) entry.up++;
    if (held.sign[row] < 0) entry.down++;
    if (entry.best < 0 || strengths[row] > strengths[entry.best]) entry.best = row;
  }
  return [...made.values()];
}

function geneColumns(end) {
  const other = end === "source" ? "target" : "source";
  const many = end === "source" ? "Targets" : "Regulators";
  const count = (name, label, width, title) => ({ name, label, width, title, figure: true, value: (item) => item[name], text: (item) => shown(item[name]) });
  return [
    { name: "gene", label: end === "source" ? "Regulator" : "Target", width: 84, grow: true, value: (item) => genes[item.gene], text: (item) => genes[item.gene] },
    { name: "partners", label: many, width: end === "source" ? 92 : 104, figure: true, title: `${many} among the edges that pass`, value: (item) => item.genes.size, text: (item) => shown(item.genes.size) },
    count("up", "+", 42, "Edges that activate"),
    count("down", "−", 42, "Edges that repress"),
    { name: "strength", label: "Σ|weight|", width: 82, figure: true, title: "Sum of absolute weights", value: (item) => item.sum, text: (item) => shown(item.sum) },
    { name: "best", label: "Strongest", width: 80, title: `${other} of the strongest edge`, value: (item) => genes[held[other][item.best]], text: (item) => genes[held[other][item.best]] },
  ];
}

function edgeColumns() {
  const named = (end) => ({ name: end, label: end === "source" ? "Source" : "Target", width: 92, grow: true, value: (row) => genes[held[end][row]], text: (row) => genes[held[end][row]] });
  const rest = held.columns.map((column) => ({
    name: column.name, label: column.name, width: column.name === "sign" ? 58 : Math.min(150, Math.max(88, 9 * column.name.length + 22)),
    figure: isNumber(column.name),
    value: column.name === "weight" ? (row) => strengths[row] : (row) => cell(row, column.name),
    text: (row) => (isNumber(column.name) ? signed(cell(row, column.name) ?? NaN).replace("NaN", "–") : shown(cell(row, column.name))),
  }));
  return [named("source"), named("target"), ...rest];
}

function makeTables() {
  const chooseGene = (item, enter) => (enter ? focusOn([item.gene]) : choose({ gene: item.gene }, true));
  tables.regulators = new Table(byId("regulators"), "Regulators", geneColumns("source"), "partners", chooseGene);
  tables.targets = new Table(byId("targets"), "Targets", geneColumns("target"), "partners", chooseGene);
  tables.edges = new Table(byId("edges"), "Edges", edgeColumns(), "weight", (row, enter) => (enter ? focusOn([held.source[row], held.target[row]]) : choose({ row }, true)));
  const isGene = (item) => chosen !== null && chosen.gene === item.gene;
  tables.regulators.isChosen = isGene;
  tables.targets.isChosen = isGene;
  tables.edges.isChosen = (row) => chosen !== null && chosen.row === row;
}

function fillTables(rows) {
  const regulators = summaries(rows, "source"), targets = summaries(rows, "target");
  tables.regulators.show(regulators, `${shown(regulators.length)} regulators of the edges that pass`);
  tables.targets.show(targets, `${shown(targets.length)} targets of the edges that pass`);
  tables.edges.show(rows, `${shown(rows.length)} of ${shown(nEdges)} edges pass; weights are sorted by size`);
}

function paintTables() {
  Object.values(tables).forEach((table) => table.paint());
}
