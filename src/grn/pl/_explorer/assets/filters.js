// Which edges pass: as grn.Network.filter does it, conditions first, then the limit per target, then the focus.
const BOUNDS = [
  { name: "probability", label: "Probability at least", least: true },
  { name: "qval", label: "q-value at most", least: false },
  { name: "stability", label: "Stability at least", least: true },
].filter((bound) => columns.has(bound.name));

function freshFilters() {
  return {
    minWeight: null,
    bounds: {},
    signs: new Set([1, -1, 0]),
    words: held.words.length ? new Set(held.words) : null,
    topPerTarget: null,
    group: -1, // all
    sideBySide: false,
    focus: [],
    hops: 1,
    limit: held.max_drawn,
  };
}

let filters = freshFilters();

function passesConditions(row) {
  if (filters.group >= 0 && groupOf[row] !== filters.group) return false;
  if (filters.minWeight !== null && !(strengths[row] >= filters.minWeight)) return false;
  for (const bound of BOUNDS) {
    const limit = filters.bounds[bound.name];
    if (limit === undefined || limit === null) continue;
    const value = cell(row, bound.name);
    if (value === null || !(bound.least ? value >= limit : value <= limit)) return false;
  }
  if (!filters.signs.has(held.sign[row])) return false;
  return filters.words === null || filters.words.has(cell(row, "direction"));
}

function strongestPerTarget(rows, limit) {
  const seen = new Map();
  return rows.filter((row) => {
    const key = (groupOf ? groupOf[row] : 0) * genes.length + held.target[row];
    const count = seen.get(key) || 0;
    seen.set(key, count + 1);
    return count < limit;
  });
}

// rows that pass, in the order of the table, and steps of genes from the focus
function passing() {
  let rows = [];
  for (let row = 0; row < nEdges; row++) if (passesConditions(row)) rows.push(row);
  if (filters.topPerTarget !== null) rows = strongestPerTarget(rows, filters.topPerTarget);
  if (!filters.focus.length) return { rows, steps: null };
  const steps = stepsFrom(filters.focus, rows, filters.hops);
  return { rows: rows.filter((row) => steps.has(held.source[row]) && steps.has(held.target[row])), steps };
}

function stepsFrom(focus, rows, hops) {
  const near = new Map();
  const join = (a, b) => { if (!near.has(a)) near.set(a, []); near.get(a).push(b); };
  for (const row of rows) { join(held.source[row], held.target[row]); join(held.target[row], held.source[row]); }
  const steps = new Map(focus.map((gene) => [gene, 0]));
  let edge = [...focus];
  for (let step = 1; step <= hops; step++) {
    const next = [];
    for (const gene of edge) {
      for (const other of near.get(gene) || []) {
        if (!steps.has(other)) { steps.set(other, step); next.push(other); }
      }
    }
    edge = next;
  }
  return steps;
}
