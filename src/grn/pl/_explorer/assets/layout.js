// Places of genes: springs along edges, repulsion between all pairs, a pull to the middle. It begins with a spiral in
// the order of degree and uses no random number, so that the same edges give the same picture.
function place(count, pairs, radii) {
  const x = new Float64Array(count), y = new Float64Array(count);
  const vx = new Float64Array(count), vy = new Float64Array(count);
  const degree = new Float64Array(count);
  for (const [a, b] of pairs) { degree[a]++; degree[b]++; }
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => degree[b] - degree[a] || a - b);
  order.forEach((node, rank) => {
    const angle = rank * 2.399963229728653, distance = 14 * Math.sqrt(rank + 0.5);
    x[node] = distance * Math.cos(angle);
    y[node] = distance * Math.sin(angle);
  });
  const apart = outside(count, pairs);
  const rounds = Math.max(60, Math.min(300, Math.round(1.2e8 / Math.max(1, count * count))));
  const decay = 1 - Math.pow(0.001, 1 / rounds);
  for (let round = 0, heat = 1; round < rounds; round++, heat *= 1 - decay) {
    pull(pairs, degree, x, y, vx, vy, heat);
    repel(count, radii, x, y, vx, vy, heat);
    for (let i = 0; i < count; i++) {
      // single pairs and small pieces stay near the rest
      const middle = (apart[i] ? 0.15 : 0.11) * heat;
      vx[i] = (vx[i] - x[i] * middle) * 0.6;
      vy[i] = (vy[i] - y[i] * middle) * 0.6;
      x[i] += vx[i];
      y[i] += vy[i];
    }
  }
  return { x, y };
}

// genes that are not connected with the largest piece
function outside(count, pairs) {
  const parent = Int32Array.from({ length: count }, (_, i) => i);
  const root = (i) => { while (parent[i] !== i) i = parent[i] = parent[parent[i]]; return i; };
  for (const [a, b] of pairs) parent[Math.max(root(a), root(b))] = Math.min(root(a), root(b));
  const size = new Int32Array(count);
  for (let i = 0; i < count; i++) size[root(i)]++;
  const largest = size.indexOf(Math.max(...size));
  return Array.from({ length: count }, (_, i) => root(i) !== largest);
}

function pull(pairs, degree, x, y, vx, vy, heat) {
  for (const [a, b] of pairs) {
    if (a === b) continue;
    const dx = x[b] + vx[b] - x[a] - vx[a] || 1e-6, dy = y[b] + vy[b] - y[a] - vy[a] || 1e-6;
    const length = Math.sqrt(dx * dx + dy * dy);
    const force = (heat * (length - 36)) / length / Math.min(degree[a], degree[b]);
    const share = degree[a] / (degree[a] + degree[b]);
    vx[b] -= dx * force * share; vy[b] -= dy * force * share;
    vx[a] += dx * force * (1 - share); vy[a] += dy * force * (1 - share);
  }
}

function repel(count, radii, x, y, vx, vy, heat) {
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      const dx = x[j] - x[i], dy = y[j] - y[i];
      const square = Math.max(dx * dx + dy * dy, 4);
      let force = (150 * heat) / square;
      const room = radii[i] + radii[j] + 7;
      if (square < room * room) force += (0.25 * (room - Math.sqrt(square))) / Math.sqrt(square);
      vx[i] -= dx * force; vy[i] -= dy * force;
      vx[j] += dx * force; vy[j] += dy * force;
    }
  }
}
