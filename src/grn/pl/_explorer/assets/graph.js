// The picture: a panel of cytoscape.js for each group side by side, else one.
let panels = [];
let colouredBy = "sign";
let chosen = null; // { gene } or { row }
let moving = false;

const dark = () => document.documentElement.dataset.theme === "dark";
const LIGHT_INK = {
  "#b2182b": "#ef8a72", "#2166ac": "#74b3dd", "#7f7f7f": "#a5a5a5", "#000000": "#d0d0d0",
  "#0072b2": "#4aa3df", "#d55e00": "#ff8c42", "#009e73": "#2cc79a",
};

// colours that are made for paper are lifted on dark ground
const onGround = (color) => (dark() && LIGHT_INK[color]) || color;
const signColor = (sign) => onGround(held.colors[String(sign)]);
const groupColor = (number) => onGround(held.group_colors[number % held.group_colors.length]);
const rowColor = (row) => (colouredBy === "group" && groupOf ? groupColor(groupOf[row]) : signColor(held.sign[row]));
const head = (row) => (held.points[row] ? { "1": "triangle", "-1": "tee", "0": "vee" }[String(held.sign[row])] : "none");

function ground() {
  return dark()
    ? { back: "#13161b", ink: "#e8eaed", target: "#2b323d", edge: "#aab2bf", regulator: "#dfe3e8", ring: "#f0b429", halo: "#13161b" }
    : { back: "#ffffff", ink: "#1a1a1a", target: "#ffffff", edge: "#3d4450", regulator: "#3d4450", ring: "#e69f00", halo: "#ffffff" };
}

function sheet(many) {
  const ink = ground();
  return [
    { selector: "node", style: {
      width: "data(size)", height: "data(size)", shape: "ellipse", "background-color": ink.target,
      "border-width": 1, "border-color": ink.edge, label: "" } },
    { selector: "node.regulator", style: { shape: "diamond", "background-color": ink.regulator, "border-color": ink.back } },
    { selector: "node.focus", style: { "border-width": 3.5, "border-color": ink.ring } },
    { selector: "node.chosen", style: { "border-width": 3.5, "border-color": ink.ring, "overlay-color": ink.ring, "overlay-opacity": 0.18, "overlay-padding": 4 } },
    { selector: "edge", style: {
      width: "data(width)", "line-color": "data(color)", "target-arrow-color": "data(color)", "target-arrow-shape": "data(head)",
      "arrow-scale": 0.75, "curve-style": many ? "straight" : "bezier", "control-point-step-size": 26, opacity: 0.72 } },
    { selector: "edge.chosen", style: { width: 4, opacity: 1, "overlay-color": ink.ring, "overlay-opacity": 0.25, "overlay-padding": 3, "z-index": 9 } },
    { selector: "edge.near", style: { opacity: 1, "z-index": 5 } },
    { selector: ".faded", style: { opacity: 0.13 } },
  ];
}

function thickness(row, range, thin) {
  const share = range[1] > range[0] ? (strengths[row] - range[0]) / (range[1] - range[0]) : 0.4;
  const width = (0.9 + 2.6 * share) * thin;
  return { width, plain: width };
}

function elements(panel, places, range) {
  const rows = panel.rows;
  const used = new Set([...places.position.keys()].filter((gene) => filters.focus.includes(gene)));
  for (const row of rows) { used.add(held.source[row]); used.add(held.target[row]); }
  const nodes = [...used].map((gene) => ({
    group: "nodes",
    data: { id: "g" + gene, gene, plain: 2 * places.radius.get(gene), size: 2 * places.radius.get(gene), degree: places.degree.get(gene) || 0 },
    position: { ...places.position.get(gene) },
    classes: [places.regulators.has(gene) ? "regulator" : "", filters.focus.includes(gene) ? "focus" : ""].join(" ").trim(),
  }));
  const thin = Math.max(0.55, Math.min(1, Math.sqrt(150 / Math.max(1, rows.length))));
  const edges = [...rows].reverse().map((row) => ({
    group: "edges",
    data: {
      id: "e" + row, row, source: "g" + held.source[row], target: "g" + held.target[row], color: rowColor(row), head: head(row), ...thickness(row, range, thin),
    },
  }));
  return [...nodes, ...edges];
}

function draw(found) {
  panels.forEach((panel) => panel.cy.destroy());
  const picture = byId("picture");
  picture.replaceChildren();
  const wanted = panelsOf(found), places = placesOf(wanted);
  const rows = wanted.flatMap((panel) => panel.rows), all = rows.map((row) => strengths[row]);
  const range = [Math.min(...all), Math.max(...all)];
  const many = wanted.length > 1;
  picture.classList.toggle("many", many);
  byId("view").classList.toggle("tall", many);
  const across = many && innerWidth > 760 ? Math.min(2, wanted.length) : 1;
  picture.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
  panels = wanted.map((panel) => {
    const canvas = make("div", { class: "canvas" }), names = make("canvas", { class: "names" });
    const title = panel.name === null ? null : make("h3", {}, `${panel.name} (${shown(panel.rows.length)} edges)`);
    const nothing = panel.rows.length ? null : make("p", { class: "nothing" }, "No edge passes these filters.");
    const box = make("div", { class: title ? "inner titled" : "inner" }, canvas, names, nothing);
    picture.append(make("div", { class: "panel" }, title, box));
    const cy = cytoscape({
      container: canvas, elements: elements(panel, places, range), style: sheet(rows.length > 2000), layout: { name: "preset" },
      minZoom: 0.08, maxZoom: 6, boxSelectionEnabled: false,
      hideEdgesOnViewport: rows.length > 3000, pixelRatio: Math.min(2, devicePixelRatio || 1),
    });
    const made = { ...panel, cy, names, box };
    listen(made);
    return made;
  });
  return rows.length;
}

function listen(panel) {
  const cy = panel.cy;
  cy.on("tap", "node", (event) => choose({ gene: event.target.data("gene") }));
  cy.on("tap", "edge", (event) => choose({ row: event.target.data("row") }));
  cy.on("tap", (event) => { if (event.target === cy) choose(null); });
  cy.on("dbltap", "node", (event) => focusOn([event.target.data("gene")]));
  cy.on("render", () => writeNames(panel));
  cy.on("viewport", () => {
    if (moving) return;
    moving = true;
    panels.forEach((other) => { if (other !== panel) other.cy.viewport({ zoom: cy.zoom(), pan: cy.pan() }); });
    moving = false;
  });
  cy.on("position", "node", (event) => {
    if (moving) return;
    moving = true;
    panels.forEach((other) => { if (other !== panel) other.cy.getElementById(event.target.id()).position(event.target.position()); });
    moving = false;
  });
}

const drawnRows = () => new Set(panels.flatMap((panel) => panel.rows));

function onScreen(panel) {
  const zoom = panel.cy.zoom(), pan = panel.cy.pan();
  return panel.cy.nodes().map((node) => {
    const { x, y } = node.position();
    return {
      name: genes[node.data("gene")], x: x * zoom + pan.x, y: y * zoom + pan.y, r: (node.data("size") / 2) * zoom,
      regulator: node.hasClass("regulator"), first: (node.hasClass("chosen") ? 2 : 0) + (node.hasClass("focus") ? 1 : 0),
      degree: node.data("degree"), faded: node.hasClass("faded"),
    };
  });
}

function writeNames(panel) {
  const ratio = Math.min(2, devicePixelRatio || 1), width = panel.box.clientWidth, height = panel.box.clientHeight;
  const canvas = panel.names, ink = ground();
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  const nodes = onScreen(panel).filter((node) => !node.faded);
  for (const label of namePlaces(nodes, width, height)) {
    pen.font = label.font;
    pen.lineWidth = 3.5;
    pen.strokeStyle = ink.halo;
    pen.strokeText(label.text, label.x, label.y);
    pen.fillStyle = ink.ink;
    pen.fillText(label.text, label.x, label.y);
  }
  if (!document.documentElement.dataset.painted) document.documentElement.dataset.painted = performance.now().toFixed(1);
}

function fit() {
  panels.forEach((panel) => panel.cy.resize());
  const boxes = panels.filter((panel) => panel.cy.nodes().length).map((panel) => panel.cy.nodes().boundingBox());
  if (!boxes.length) return;
  const box = boxes.reduce((a, b) => ({ x1: Math.min(a.x1, b.x1), x2: Math.max(a.x2, b.x2), y1: Math.min(a.y1, b.y1), y2: Math.max(a.y2, b.y2) }));
  const cy = panels[0].cy, margin = panels.length > 1 ? 20 : 30;
  const across = (cy.width() - 2 * margin) / Math.max(1, box.x2 - box.x1), down = (cy.height() - 2 * margin) / Math.max(1, box.y2 - box.y1);
  const zoom = Math.max(0.08, Math.min(2.2, across, down));
  const pan = { x: cy.width() / 2 - (zoom * (box.x1 + box.x2)) / 2, y: cy.height() / 2 - (zoom * (box.y1 + box.y2)) / 2 };
  cy.viewport({ zoom, pan });
}

// genes and lines of a wide picture are drawn larger, or nobody would see them
function enlarge() {
  const factor = Math.max(1, Math.min(1.9, 0.95 / panels[0].cy.zoom()));
  for (const { cy } of panels) {
    cy.batch(() => {
      cy.nodes().forEach((node) => { node.data("size", node.data("plain") * factor); });
      cy.edges().forEach((edge) => { edge.data("width", edge.data("plain") * factor); });
    });
  }
}

function zoomBy(factor) {
  const cy = panels[0].cy;
  cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
}

function moveBy(x, y) {
  panels[0].cy.panBy({ x, y });
}

// what is chosen stands out, and what it touches
function mark() {
  for (const { cy } of panels) {
    cy.batch(() => {
      cy.elements().removeClass("chosen near faded");
      if (chosen === null) return;
      const element = cy.getElementById(chosen.row === undefined ? "g" + chosen.gene : "e" + chosen.row);
      if (!element.length) return;
      element.addClass("chosen");
      const near = element.isNode() ? element.closedNeighborhood() : element.connectedNodes().union(element);
      cy.elements().difference(near).addClass("faded");
      near.edges().addClass("near");
    });
  }
}

function restyle() {
  for (const panel of panels) {
    panel.cy.batch(() => panel.cy.edges().forEach((edge) => { edge.data("color", rowColor(edge.data("row"))); }));
    panel.cy.style(sheet(panel.cy.edges().length > 2000));
    writeNames(panel);
  }
}
