// What happens when something is chosen or changed.
let current = { rows: [], steps: null };
let drawnCount = 0;

// for those who listen, and for a while in the line above the picture
let saying = 0;
function say(text) {
  byId("said").textContent = text;
  byId("statement").replaceChildren(text);
  clearTimeout(saying);
  saying = setTimeout(statement, 2500);
}

function listened(text) {
  byId("said").textContent = text;
}

function statement() {
  const pass = current.rows.length, place = byId("statement");
  const part = held.total > nEdges ? ` The page holds the ${shown(nEdges)} strongest of ${shown(held.total)}.` : "";
  const passes = pass === nEdges ? "" : ` that pass, of ${shown(nEdges)}`;
  place.replaceChildren("Showing ", make("strong", {}, `${shown(drawnCount)} of ${shown(pass)} edges`), `${passes}; filters apply to all.${part}`);
  listened(place.textContent);
}

function update() {
  current = passing();
  drawnCount = draw(current);
  fillTables(current.rows);
  fillFocus();
  fillLegend();
  fillDetails();
  statement();
  // the room for the picture is known now
  fit();
  enlarge();
  mark();
}

function choose(what, keepTab) {
  chosen = what;
  mark();
  fillDetails();
  paintTables();
  if (what === null) statement();
  else listened(`${byId("details").querySelector("h2").textContent}: ${byId("details").querySelector("p").textContent}`);
  if (what !== null && !keepTab) openTab("details");
}

function focusOn(list, hops) {
  filters.focus = list;
  if (hops) filters.hops = hops;
  chosen = list.length === 1 ? { gene: list[0] } : null;
  update();
  if (chosen !== null) openTab("details");
}

function openTab(name, moveFocus) {
  document.body.dataset.tab = name;
  for (const tab of document.querySelectorAll(".tabs button")) {
    const own = tab.id.slice(4), here = own === name;
    tab.setAttribute("aria-selected", String(here));
    tab.tabIndex = here ? 0 : -1;
    if (own !== "filters") byId(own).hidden = !here;
  }
  paintTables();
  if (moveFocus) (byId(name).querySelector(".scroll") || byId(name)).focus();
}

function switchTheme(theme) {
  document.documentElement.dataset.theme = theme || (dark() ? "light" : "dark");
  if (theme) return;
  fillFilters();
  fillLegend();
  fillDetails();
  restyle();
}

// what lines and shapes mean: [kind, label, colour, shape]
function legendEntries() {
  const rows = panels.flatMap((panel) => panel.rows), entries = [];
  if (colouredBy === "group" && groups.length) {
    groups.forEach((name, i) => { if (rows.some((row) => groupOf[row] === i)) entries.push(["line", name, groupColor(i), "none"]); });
    [["1", "triangle"], ["-1", "tee"], ["0", "vee"]].forEach(([sign, shape]) => {
      if (rows.some((row) => held.points[row] && String(held.sign[row]) === sign)) entries.push(["line", SIGNS[sign], ground().edge, shape]);
    });
  } else {
    ["1", "-1", "0"].forEach((sign) => {
      const own = rows.filter((row) => String(held.sign[row]) === sign);
      const row = own.find((candidate) => held.points[candidate]) ?? own[0];
      if (own.length) entries.push(["line", SIGNS[sign], signColor(sign), head(row)]);
    });
  }
  if (rows.some((row) => !held.points[row])) entries.push(["line", "no known direction", signColor(0), "none"]);
  const words = held.words.filter((word) => word !== held.no_direction && rows.some((row) => cell(row, "direction") === word));
  if (words.length) entries.push(["text", `direction by ${words.join(", ")}`]);
  if (panels.some((panel) => panel.cy.nodes(".regulator").length)) entries.push(["node", "regulator", null, "diamond"]);
  entries.push(["node", panels.some((panel) => panel.cy.nodes(".regulator").length) ? "target only" : "gene", null, "ellipse"]);
  return entries;
}

function mark_of([kind, , color, shape]) {
  const ink = ground();
  if (kind === "text") return "";
  if (kind === "node") return shape === "diamond" ? `<path d="M13 1L18 6L13 11L8 6Z" fill="${ink.regulator}"/>` : `<circle cx="13" cy="6" r="4.5" fill="${ink.target}" stroke="${ink.edge}"/>`;
  const ends = { triangle: `<path d="M26 6L19 2.5L19 9.5Z" fill="${color}"/>`, tee: `<path d="M25 1.5L25 10.5" stroke="${color}" stroke-width="2"/>`, vee: `<path d="M20 2L26 6L20 10" fill="none" stroke="${color}" stroke-width="1.6"/>`, none: "" };
  return `<path d="M1 6L${shape === "triangle" ? 20 : 25} 6" stroke="${color}" stroke-width="2"/>${ends[shape]}`;
}

function fillLegend() {
  byId("legend").replaceChildren(...legendEntries().map((entry) => {
    const item = make("li", {});
    if (entry[0] !== "text") {
      const figure = drawing("svg", { width: 27, height: 12, "aria-hidden": "true" });
      // only our own shapes and checked colours
      const parsed = new DOMParser().parseFromString(`<svg xmlns="http://www.w3.org/2000/svg">${mark_of(entry)}</svg>`, "image/svg+xml");
      figure.append(...parsed.documentElement.childNodes);
      item.append(figure);
    }
    item.append(entry[1]);
    return item;
  }));
}

function legendSvg() {
  const width = byId("picture").clientWidth, ink = ground();
  let x = 10, y = 16, text = "";
  for (const entry of legendEntries()) {
    const wide = 40 + nameWidth(entry[1], FONTS.target);
    if (x + wide > width && x > 10) { x = 10; y += 18; }
    text += `<g transform="translate(${x} ${y - 10})">${mark_of(entry)}</g><text x="${x + (entry[0] === "text" ? 0 : 32)}" y="${y}" fill="${ink.ink}">${xml(entry[1])}</text>`;
    x += wide;
  }
  return { text, height: y + 10 };
}

function start() {
  switchTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => { if (event.matches !== dark()) switchTheme(); });
  makeTables();
  openTab("regulators");
  update();
  fillFilters();
  fillAbout();
  listenSearch();
  listenKeys();
  document.querySelectorAll(".tabs button").forEach((tab) => tab.addEventListener("click", () => openTab(tab.id.slice(4))));
  document.querySelectorAll("[data-export]").forEach((button) => button.addEventListener("click", () => { byId("export").open = false; exportAs(button.dataset.export); }));
  document.addEventListener("click", (event) => { if (!byId("export").contains(event.target)) byId("export").open = false; });
  byId("theme").addEventListener("click", () => switchTheme());
  byId("help").addEventListener("click", () => openAbout());
  byId("close-about").addEventListener("click", () => byId("about").close());
  byId("fit").addEventListener("click", () => fit());
  byId("nearer").addEventListener("click", () => zoomBy(1.25));
  byId("farther").addEventListener("click", () => zoomBy(0.8));
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { panels.forEach((panel) => panel.cy.resize()); fit(); }, 150); });
}

start();
