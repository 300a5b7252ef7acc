// Which of the edges that pass are drawn, and as what: as grn.network.direction.as_drawn does it.
function pairKey(row, withGroup) {
  const a = Math.min(held.source[row], held.target[row]), b = Math.max(held.source[row], held.target[row]);
  const pair = a * genes.length + b;
  return withGroup && groupOf ? groupOf[row] * genes.length * genes.length + pair : pair;
}

// of a pair that points nowhere the stronger row stays, of a pair with direction the rows that have it
function asDrawn(rows, withGroup) {
  const pointing = new Set(rows.filter((row) => held.points[row]).map((row) => pairKey(row, withGroup)));
  const seen = new Set();
  return rows.filter((row) => {
    if (held.points[row]) return true;
    const key = pairKey(row, withGroup);
    if (pointing.has(key) || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

// of a pair in several groups the strongest, where colours do not tell groups apart
function oncePerPair(rows) {
  const seen = new Set();
  return rows.filter((row) => {
    const key = held.source[row] * genes.length + held.target[row];
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function panelsOf(found) {
  const inside = new Set(found.rows);
  let rows = byStrength.filter((row) => inside.has(row));
  if (found.steps) {
    const nearest = (row) => Math.min(found.steps.get(held.source[row]), found.steps.get(held.target[row]));
    const step = new Map(rows.map((row) => [row, nearest(row)]));
    rows = rows.map((row, rank) => [step.get(row), rank, row]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((item) => item[2]);
  }
  if (!filters.sideBySide || !groups.length) {
    const apart = colouredBy === "group" && filters.group < 0;
    const once = groups.length && filters.group < 0 && !apart ? oncePerPair(rows) : rows;
    const name = filters.group >= 0 ? groups[filters.group] : null;
    return [{ name, rows: asDrawn(once, apart).slice(0, filters.limit) }];
  }
  const share = Math.ceil(filters.limit / groups.length);
  return groups.map((name, number) => {
    const own = rows.filter((row) => groupOf[row] === number);
    return { name, rows: asDrawn(own, true).slice(0, share) };
  });
}

// one set of places for all panels, so that a gene is at the same place in each
function placesOf(panels) {
  const rows = panels.flatMap((panel) => panel.rows);
  const used = [...new Set([...filters.focus, ...rows.flatMap((row) => [held.source[row], held.target[row]])])].sort((a, b) => a - b);
  const at = new Map(used.map((gene, i) => [gene, i]));
  const pairs = new Map(), degree = new Map(), sources = new Set();
  for (const row of rows) {
    const ends = [at.get(held.source[row]), at.get(held.target[row])];
    pairs.set(pairKey(row, false), ends);
    if (held.points[row] || !held.words.length) sources.add(held.source[row]);
    else { sources.add(held.source[row]); sources.add(held.target[row]); }
  }
  for (const [a, b] of pairs.values()) for (const i of [a, b]) degree.set(used[i], (degree.get(used[i]) || 0) + 1);
  const most = Math.max(1, ...degree.values());
  const radius = new Map(used.map((gene) => [gene, 4.5 + 8 * Math.sqrt((degree.get(gene) || 0) / most)]));
  const places = place(used.length, [...pairs.values()], used.map((gene) => radius.get(gene)));
  const position = new Map(used.map((gene, i) => [gene, { x: places.x[i], y: places.y[i] }]));
  const undirected = rows.length > 0 && !rows.some((row) => held.points[row]) && !held.words.length;
  return { position, radius, degree, regulators: undirected ? new Set() : sources };
}
