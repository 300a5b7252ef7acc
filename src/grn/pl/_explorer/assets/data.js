// What the page holds, and small tools for elements. Names of users only ever become text.
const held = JSON.parse(document.getElementById("network-data").textContent);
const nEdges = held.source.length;
const genes = held.genes;
const columns = new Map(held.columns.map((column) => [column.name, column]));
const groups = columns.has("group") ? columns.get("group").levels : [];
const groupOf = columns.has("group") ? columns.get("group").codes : null;
const weights = columns.get("weight").values;
const strengths = weights.map(Math.abs);
const geneNumber = new Map(genes.map((name, number) => [name, number]));
// all edges, strongest first; equal ones as in the table
const byStrength = Array.from({ length: nEdges }, (_, row) => row).sort((a, b) => strengths[b] - strengths[a] || a - b);
const isSource = new Uint8Array(genes.length);
held.source.forEach((gene) => { isSource[gene] = 1; });
const SIGNS = { "1": "activation", "-1": "repression", "0": "sign unknown" };
const EVIDENCE = {
  motif: "told by a motif of the regulator", prior: "told by what was known before",
  response: "told by a measured or modelled response", role: "told by the list of regulators only", none: "nothing tells it",
};

function cell(row, name) {
  const column = columns.get(name);
  if (column.kind === "word") return column.codes[row] < 0 ? null : column.levels[column.codes[row]];
  const value = column.values[row];
  if (column.kind === "flag") return value === 1;
  return value === "inf" ? Infinity : value === "-inf" ? -Infinity : value;
}

function isNumber(name) {
  return columns.get(name).kind === "number" || columns.get(name).kind === "whole";
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll(",", "\u202f");
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : value.toPrecision(4);
}

const signed = (value) => (value < 0 ? "−" + shown(-value) : shown(value));

function byId(id) {
  return document.getElementById(id);
}

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else if (name === "class") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function drawing(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
