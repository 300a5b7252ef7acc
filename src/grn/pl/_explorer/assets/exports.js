// Files: the edges that pass as CSV and GraphML, the picture as SVG and PNG.
function save(name, text, kind) {
  const address = URL.createObjectURL(text instanceof Blob ? text : new Blob([text], { type: kind }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 2000);
  say(`Wrote ${name}`);
}

// as grn writes tables: a name that a spreadsheet would compute gets an apostrophe
const harmless = (text) => (/^[=+\-@]/.test(text) ? "'" + text : text);

function csvCell(value) {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
  const text = harmless(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function edgesCsv(rows) {
  const names = [...columns.keys()];
  const line = (values) => values.map(csvCell).join(",") + "\n";
  const head = line(["source", "target", ...names]);
  return head + rows.map((row) => line([genes[held.source[row]], genes[held.target[row]], ...names.map((name) => cell(row, name))])).join("");
}

// XML holds no control characters
const xml = (text) => String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

// as Network.to_graphml: of a pair without direction the stronger row, in a graph with arrows once each way
function edgesGraphml(passing) {
  const rows = asDrawn(passing, true), arrows = rows.some((row) => held.points[row]);
  const names = [...columns.keys()], sources = new Set(), used = new Set();
  const both = arrows ? rows.flatMap((row) => (held.points[row] || held.source[row] === held.target[row] ? [[row, false]] : [[row, false], [row, true]])) : rows.map((row) => [row, false]);
  const ends = both.map(([row, turned]) => (turned ? [held.target[row], held.source[row]] : [held.source[row], held.target[row]]));
  ends.forEach(([a, b]) => { sources.add(a); used.add(a).add(b); });
  const kinds = { flag: "boolean", whole: "long", number: "double", word: "string" };
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
    '<key id="n0" for="node" attr.name="name" attr.type="string"/>', '<key id="n1" for="node" attr.name="regulator" attr.type="boolean"/>',
    ...names.map((name, i) => `<key id="e${i}" for="edge" attr.name="${xml(name)}" attr.type="${kinds[columns.get(name).kind]}"/>`),
    `<graph id="grn" edgedefault="${arrows ? "directed" : "undirected"}">`];
  for (const gene of [...used].sort((a, b) => a - b)) {
    lines.push(`<node id="${xml(genes[gene])}"><data key="n0">${xml(genes[gene])}</data><data key="n1">${sources.has(gene)}</data></node>`);
  }
  both.forEach(([row], k) => {
    const values = names.map((name, i) => [i, cell(row, name)]).filter(([, value]) => value !== null && (typeof value !== "number" || Number.isFinite(value)));
    const data = values.map(([i, value]) => `<data key="e${i}">${xml(value)}</data>`).join("");
    lines.push(`<edge source="${xml(genes[ends[k][0]])}" target="${xml(genes[ends[k][1]])}">${data}</edge>`);
  });
  return [...lines, "</graph>", "</graphml>", ""].join("\n");
}

function edgePath(edge, zoom, pan) {
  const at = (point) => `${(point.x * zoom + pan.x).toFixed(1)} ${(point.y * zoom + pan.y).toFixed(1)}`;
  const from = edge.sourceEndpoint(), to = edge.targetEndpoint(), bends = edge.controlPoints() || [];
  if (!bends.length) return { path: `M${at(from)}L${at(to)}`, from, to };
  let path = `M${at(from)}`;
  bends.forEach((bend, i) => {
    const next = bends[i + 1];
    const end = next ? { x: (bend.x + next.x) / 2, y: (bend.y + next.y) / 2 } : to;
    path += `Q${at(bend)} ${at(end)}`;
  });
  return { path, from: bends[bends.length - 1], to };
}

function arrowHead(row, from, to, zoom, pan, color, width) {
  const x = to.x * zoom + pan.x, y = to.y * zoom + pan.y, angle = Math.atan2(to.y - from.y, to.x - from.x);
  const size = 3.5 + 2 * width, cos = Math.cos(angle), sin = Math.sin(angle);
  const point = (back, side) => `${(x - back * cos - side * sin).toFixed(1)} ${(y - back * sin + side * cos).toFixed(1)}`;
  if (held.sign[row] > 0) return `<path d="M${point(0, 0)}L${point(size, size * 0.5)}L${point(size, -size * 0.5)}Z" fill="${color}"/>`;
  const d = held.sign[row] < 0 ? `M${point(0, size * 0.55)}L${point(0, -size * 0.55)}` : `M${point(size, size * 0.5)}L${point(0, 0)}L${point(size, -size * 0.5)}`;
  return `<path d="${d}" fill="none" stroke="${color}" stroke-width="${(width + 0.6).toFixed(2)}"/>`;
}

function panelSvg(panel, left, top) {
  const ink = ground(), zoom = panel.cy.zoom(), pan = panel.cy.pan();
  const width = panel.box.clientWidth, height = panel.box.clientHeight, parts = [];
  panel.cy.edges().forEach((edge) => {
    const row = edge.data("row"), color = rowColor(row), thick = edge.data("width") * zoom, seen = edge.hasClass("faded") ? 0.13 : 0.85;
    const { path, from, to } = edgePath(edge, zoom, pan);
    const arrow = held.points[row] ? arrowHead(row, from, to, zoom, pan, color, thick) : "";
    parts.push(`<g opacity="${seen}"><path d="${path}" fill="none" stroke="${color}" stroke-width="${thick.toFixed(2)}"/>${arrow}</g>`);
  });
  const nodes = onScreen(panel);
  nodes.forEach(({ x, y, r, regulator, first, faded }) => {
    const line = first ? `stroke="${ink.ring}" stroke-width="3"` : `stroke="${regulator ? ink.back : ink.edge}" stroke-width="1"`;
    const seen = faded ? ' opacity="0.13"' : "";
    parts.push(regulator
      ? `<path d="M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z" fill="${ink.regulator}" ${line}${seen}/>`
      : `<circle cx="${x}" cy="${y}" r="${r}" fill="${ink.target}" ${line}${seen}/>`);
  });
  for (const label of namePlaces(nodes.filter((node) => !node.faded), width, height)) {
    const style = label.regulator ? 'font-weight="600"' : 'font-style="italic"';
    parts.push(`<text x="${label.x.toFixed(1)}" y="${(label.y + 4).toFixed(1)}" text-anchor="middle" ${style} fill="${ink.ink}" stroke="${ink.halo}" stroke-width="3" paint-order="stroke" stroke-linejoin="round">${xml(label.text)}</text>`);
  }
  const title = panel.name === null ? "" : `<text x="${left + 10}" y="${top - 10}" font-weight="600" fill="${ink.ink}">${xml(panel.name)}</text>`;
  return `${title}<svg x="${left}" y="${top}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join("")}</svg>`;
}

function pictureSvg() {
  const origin = panels[0].box.parentElement.getBoundingClientRect(), foot = legendSvg();
  const boxes = panels.map((panel) => panel.box.getBoundingClientRect());
  const width = Math.max(...boxes.map((box) => box.right)) - origin.left;
  const height = Math.max(...boxes.map((box) => box.bottom)) - origin.top;
  const body = panels.map((panel, i) => panelSvg(panel, boxes[i].left - origin.left, boxes[i].top - origin.top)).join("\n");
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + foot.height}" viewBox="0 0 ${width} ${height + foot.height}" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12">` +
    `<title>${xml(held.title)}</title><rect width="100%" height="100%" fill="${ground().back}"/>${body}<g transform="translate(0 ${height})">${foot.text}</g></svg>\n`;
  return { text, width, height: height + foot.height };
}

async function savePng() {
  const { text, width, height } = pictureSvg(), scale = 2;
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  await image.decode();
  const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save("network.png", blob), "image/png");
}

function exportAs(kind) {
  if (kind === "csv") save("edges.csv", edgesCsv(current.rows), "text/csv");
  if (kind === "graphml") save("network.graphml", edgesGraphml(current.rows), "application/xml");
  if (kind === "svg") save("network.svg", pictureSvg().text, "image/svg+xml");
  if (kind === "png") savePng();
}
