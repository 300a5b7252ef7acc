// A table that only makes the rows in sight. Columns: { name, label, width, figure, value(item), text(item) }.
const ROW = 30, HEAD = 34;

class Table {
  constructor(place, label, listed, sortBy, onChoose) {
    Object.assign(this, { listed, onChoose, items: [], sort: sortBy, up: false, at: -1, isChosen: () => false });
    this.head = make("div", { class: "head", role: "rowgroup" });
    this.body = make("div", { class: "body", role: "rowgroup" });
    this.table = make("div", { class: "table", role: "table", "aria-label": label }, this.head, this.body);
    this.scroll = make("div", {
      class: "scroll", tabindex: "0", role: "region",
      "aria-label": `${label}; arrow keys walk through rows, Enter chooses`,
      on: { scroll: () => this.paint(), keydown: (event) => this.key(event) },
    }, this.table);
    this.note = make("p", { class: "note" });
    place.replaceChildren(this.scroll, this.note);
    this.layout = listed.map((column) => (column.grow ? `minmax(${column.width}px, 1fr)` : `${column.width}px`)).join(" ");
    this.table.style.minWidth = `max(100%, ${listed.reduce((sum, column) => sum + column.width, 0)}px)`;
    new ResizeObserver(() => this.paint()).observe(this.scroll);
    this.heads();
  }

  heads() {
    const row = make("div", { class: "row", role: "row" });
    row.style.gridTemplateColumns = this.layout;
    for (const column of this.listed) {
      const here = column.name === this.sort;
      const mark = here ? (this.up ? " ▲" : " ▼") : "";
      const button = make("button", { type: "button", title: column.title || column.label, on: { click: () => this.sortBy(column.name) } }, column.label + mark);
      row.append(make("div", {
        role: "columnheader", class: column.figure ? "figure" : "", "data-column": column.name,
        "aria-sort": here ? (this.up ? "ascending" : "descending") : "none",
      }, button));
    }
    this.head.replaceChildren(row);
  }

  sortBy(name) {
    const column = this.listed.find((item) => item.name === name);
    this.up = name === this.sort ? !this.up : !column.figure;
    this.sort = name;
    this.heads();
    this.show(this.items);
    this.head.querySelector(`[data-column="${CSS.escape(name)}"] button`).focus();
  }

  show(items, note) {
    const column = this.listed.find((item) => item.name === this.sort);
    const way = this.up ? 1 : -1;
    const keyed = items.map((item, rank) => ({ item, rank, key: column.value(item) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.rank - b.rank;
      return (a.key < b.key ? -way : a.key > b.key ? way : 0) || a.rank - b.rank;
    });
    this.items = keyed.map((entry) => entry.item);
    this.at = -1;
    this.table.setAttribute("aria-rowcount", this.items.length + 1);
    this.body.style.height = `${this.items.length * ROW}px`;
    if (note !== undefined) this.note.textContent = note;
    this.scroll.scrollTop = 0;
    this.paint();
  }

  paint() {
    const tall = this.scroll.clientHeight;
    if (!tall) return;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - 4);
    const last = Math.min(this.items.length, Math.ceil((this.scroll.scrollTop + tall) / ROW) + 4);
    const rows = [];
    for (let i = first; i < last; i++) {
      const item = this.items[i];
      const row = make("div", {
        class: this.isChosen(item) ? "row chosen" : "row", role: "row", "aria-rowindex": i + 2,
        "aria-selected": this.isChosen(item) ? "true" : "false", on: { click: () => { this.at = i; this.onChoose(item); } },
      }, ...this.listed.map((column) => {
        const text = column.text(item);
        return make("div", { role: "cell", class: column.figure ? "figure" : "", title: text }, text);
      }));
      row.style.top = `${i * ROW}px`;
      row.style.gridTemplateColumns = this.layout;
      rows.push(row);
    }
    this.body.replaceChildren(...rows);
  }

  key(event) {
    if (event.target !== this.scroll) return;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW) - 2);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.items.length, End: this.items.length }[event.key];
    if (event.key === "Enter" && this.items[this.at]) this.onChoose(this.items[this.at], true);
    if (step === undefined || !this.items.length) return;
    event.preventDefault();
    this.at = Math.max(0, Math.min(this.items.length - 1, this.at + step));
    const top = this.at * ROW, tall = this.scroll.clientHeight - HEAD;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    if (top + ROW > this.scroll.scrollTop + tall) this.scroll.scrollTop = top + ROW - tall;
    this.onChoose(this.items[this.at]);
    this.paint();
  }
}
