// Curves of probes: how the target answers to the value of the source.
const CHART = { width: 360, height: 190, left: 50, right: 10, top: 10, bottom: 36 };

function curvesOf(row) {
  const own = groups.length ? cell(row, "group") : null;
  const probes = new Map();
  for (const curve of held.curves) {
    if (!curve.values[row]) continue;
    if (curve.group && own !== null && held.curves.some((other) => other.key === curve.key && other.group === own) && curve.group !== own) continue;
    if (!probes.has(curve.key)) probes.set(curve.key, []);
    probes.get(curve.key).push(curve);
  }
  return [...probes].flatMap(([key, curves]) => [make("h3", {}, `Curve of ${key}`), chart(row, curves)]);
}

function withBaseline(curve, row) {
  const points = curve.grid.map((x, i) => [x, curve.values[row][i]]).filter((point) => point[1] !== null);
  if (!curve.gradient && curve.virtual && !curve.grid.includes(curve.baseline)) points.push([curve.baseline, 0]);
  return points.sort((a, b) => a[0] - b[0]);
}

function ticks(low, high) {
  const step = Math.pow(10, Math.floor(Math.log10(high - low || 1)));
  const width = [1, 2, 4, 5, 10].map((n) => (n * step) / 2).find((size) => (high - low) / size <= 5) || step * 5;
  const made = [];
  for (let value = Math.ceil(low / width) * width; value <= high + width * 1e-9; value += width) made.push(Number(value.toPrecision(6)));
  return made;
}

function chart(row, curves) {
  const lines = curves.map((curve) => withBaseline(curve, row));
  const xs = lines.flat().map((point) => point[0]), ys = [0, ...lines.flat().map((point) => point[1])];
  const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  if (box[2] === box[3]) box[3] = box[2] + 1;
  const { width, height, left, right, top, bottom } = CHART;
  const x = (value) => left + ((value - box[0]) / (box[1] - box[0] || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - box[2]) / (box[3] - box[2])) * (height - top - bottom);
  const first = curves[0];
  const label = `${genes[held.target[row]]} by the value of ${genes[held.source[row]]}`;
  const figure = drawing("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const value of ticks(box[2], box[3])) {
    figure.append(drawing("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--line)", "stroke-width": value === 0 ? 1.5 : 0.6 }));
    figure.append(drawing("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const value of ticks(box[0], box[1])) figure.append(drawing("text", { x: x(value), y: height - bottom + 15, "text-anchor": "middle" }, String(value)));
  const unit = first.scale;
  figure.append(drawing("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, `value of the source (${unit})`));
  lines.forEach((line, i) => {
    const color = curves.length > 1 ? groupColor(i) : signColor(held.sign[row]);
    const path = line.map((point, j) => `${j ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
    figure.append(drawing("path", { d: path, fill: "none", stroke: color, "stroke-width": 2 }));
    line.forEach((point) => figure.append(drawing("circle", { cx: x(point[0]), cy: y(point[1]), r: 2.6, fill: color })));
  });
  const what = first.gradient ? "gradient of the target" : "change of the target";
  return make("figure", { style: "margin:0" }, figure, make("figcaption", {},
    what + (curves.length > 1 ? `: ${curves.map((curve) => curve.group).join(", ")}` : first.group ? `, ${first.group}` : "")));
}
