// Names on the picture: the most connected first, none over another name or over a gene that has one.
const NAME_SIZE = 12;
const measuring = document.createElement("canvas").getContext("2d");
const FONTS = {
  regulator: `600 ${NAME_SIZE}px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif`,
  target: `italic ${NAME_SIZE}px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif`,
};
const widths = new Map();

function nameWidth(name, font) {
  const key = font + name;
  if (!widths.has(key)) { measuring.font = font; widths.set(key, measuring.measureText(name).width); }
  return widths.get(key);
}

const short = (name) => (name.length > 24 ? name.slice(0, 22) + "…" : name);

const PER_NAME = 4600; // square pixels of the picture for each name

// nodes: { name, x, y, r, regulator, first, degree } on the screen; gives those with a place for their name
function namePlaces(nodes, width, height) {
  const taken = new Map(), size = 64;
  const cells = (box) => {
    const keys = [];
    for (let i = Math.floor(box[0] / size); i <= Math.floor(box[2] / size); i++) {
      for (let j = Math.floor(box[1] / size); j <= Math.floor(box[3] / size); j++) keys.push(i * 4096 + j);
    }
    return keys;
  };
  const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const free = (box, owner, overNodes) => cells(box).every((key) => (taken.get(key) || []).every(
    (other) => other.owner === owner || (overNodes && other.small) || !meets(box, other.box)));
  const put = (box, owner, small) => cells(box).forEach((key) => { if (!taken.has(key)) taken.set(key, []); taken.get(key).push({ box, owner, small }); });
  nodes.filter((node) => node.first || node.r > 4).forEach((node) => put([node.x - node.r, node.y - node.r, node.x + node.r, node.y + node.r], node.name, !node.first && node.degree < 5));
  const placed = [];
  const order = [...nodes].sort((a, b) => b.first - a.first || b.degree - a.degree || (a.name < b.name ? -1 : 1));
  for (const node of order) {
    if (placed.length > (width * height) / PER_NAME) break;
    if (node.x < -20 || node.y < -20 || node.x > width + 20 || node.y > height + 20) continue;
    const font = node.regulator ? FONTS.regulator : FONTS.target;
    const text = short(node.name), half = nameWidth(text, font) / 2 + 2, tall = NAME_SIZE / 2 + 1;
    const choices = [
      [node.x, node.y + node.r + tall + 1], [node.x, node.y - node.r - tall - 1],
      [node.x + node.r + half + 1, node.y], [node.x - node.r - half - 1, node.y],
    ];
    const spot = (overNodes) => choices.find(([x, y]) => {
      const box = [x - half, y - tall, x + half, y + tall];
      return box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height && free(box, node.name, overNodes);
    });
    // a hub is surrounded by its targets: its name may lie over them
    const place = spot(false) || (node.first || node.degree >= 5 ? spot(true) : undefined);
    if (!place) continue;
    const [x, y] = place;
    put([x - half, y - tall, x + half, y + tall], "", false);
    placed.push({ text, x, y, font, regulator: node.regulator });
  }
  return placed;
}
