// The grid of a network matrix: one cell at a time is told in words, arrow keys move between cells, and rows and columns
// that nobody looks for are hidden.

const VERDICTS = { held: "as expected", broken: "broken", unknown: "cannot tell", unconfirmed: "unlike the guess", open: "left open" };
const DIFFERS = new Set(["broken", "unknown", "unconfirmed"]);

class ReachGrid {
  constructor(host) {
    this.data = JSON.parse(host.querySelector("script.data").textContent);
    this.table = host.querySelector("table.grid");
    this.words = host.querySelector(".cell");
    this.output = host.querySelector("output");
    [this.from, this.to, this.only] = [".from", ".to", ".only input"].map((what) => host.querySelector(what));
    this.rows = [...this.table.tBodies[0].rows];
    this.tds = this.rows.map((row) => [...row.cells].slice(1));
    this.heads = [...this.table.querySelectorAll("tr.to th")];
    this.ports = [...this.table.querySelectorAll("tr.port th")];
    this.groups = this.heads.map((head) => head.colSpan);
    this.shown = { rows: this.rows.map(() => true), columns: this.ports.map(() => true) };
    let column = 0;
    for (const size of this.groups) {
      for (const row of this.tds) row[column].classList.add("first");
      column += size;
    }
    host.querySelector(".tools").hidden = false;
    this.words.hidden = false;
    for (const field of [this.from, this.to, this.only]) field?.addEventListener("input", () => this.filter());
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.table.addEventListener("pointerover", (event) => this.at(event, (place) => this.tell(place)));
    this.table.addEventListener("pointerleave", () => this.current && this.tell(this.current));
    this.table.addEventListener("click", (event) => this.at(event, (place) => this.select(place)));
    this.choose(this.differences()[0] || this.places()[0]);
    this.filter();
  }

  cell([row, column]) {
    return this.data.cells[row][column];
  }

  at(event, act) {
    const td = event.target.closest("tbody td");
    if (!td) return;
    const place = [this.rows.indexOf(td.parentElement), td.cellIndex - 1];
    if (this.cell(place)) act(place);
  }

  // Cells that are shown and were asked, row by row.
  places() {
    const all = this.data.cells.flatMap((row, r) => row.map((cell, c) => (cell ? [r, c] : null)));
    return all.filter((place) => place && this.shown.rows[place[0]] && this.shown.columns[place[1]]);
  }

  differences() {
    return this.places().filter((place) => DIFFERS.has(this.cell(place)[0]));
  }

  // The one cell that the tab key reaches.
  choose(place) {
    if (this.current) this.tds[this.current[0]][this.current[1]].removeAttribute("tabindex");
    this.current = place;
    if (!place) return this.words.replaceChildren();
    this.tds[place[0]][place[1]].tabIndex = 0;
    this.tell(place);
  }

  select(place) {
    this.choose(place);
    const td = this.tds[place[0]][place[1]];
    td.setAttribute("aria-label", this.sentence(place).join(". "));
    td.focus({ preventScroll: true });
    this.reveal(td);
  }

  // Below the headings and beside the sources, which stay where they are.
  reveal(td) {
    const box = this.table.parentElement;
    const [outer, inner] = [box.getBoundingClientRect(), td.getBoundingClientRect()];
    const left = outer.left + this.rows[0].cells[0].offsetWidth;
    const top = outer.top + this.table.tHead.offsetHeight;
    if (inner.left < left) box.scrollLeft -= left - inner.left;
    if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right + 20;
    if (inner.top < top) box.scrollTop -= top - inner.top;
    if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 20;
  }

  sentence(place) {
    const [verdict, expected, seen, detail, policies] = this.cell(place);
    const { sources, columns, texts } = this.data;
    const what = `expected ${texts[expected]}, seen ${texts[seen]}${detail ? `: ${detail}` : ""}`;
    return [`${VERDICTS[verdict]}: ${sources[place[0]]} → ${columns[place[1]]}`, what, ...policies];
  }

  tell(place) {
    const verdict = this.cell(place)[0];
    const [head, ...rest] = this.sentence(place);
    const [word, where] = [head.slice(0, head.indexOf(": ")), head.slice(head.indexOf(": ") + 2)];
    this.words.className = `cell ${verdict}`;
    const mark = element("span", { class: `mark ${verdict}` }, word);
    const lines = rest.map((text, n) => element("p", n ? { class: "dim" } : {}, text));
    this.words.replaceChildren(element("p", {}, mark, ` ${where}`), ...lines);
  }

  key(event) {
    if (!this.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    let next;
    if (steps[event.key]) next = this.neighbour(steps[event.key]);
    else if (event.key === "Home" || event.key === "End") next = this.edge(event.key === "End");
    else if (event.key === "n" || event.key === "p") next = this.difference(event.key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
    if (next) this.select(next);
  }

  neighbour([down, right]) {
    let [row, column] = this.current;
    for (;;) {
      [row, column] = [row + down, column + right];
      if (row < 0 || column < 0 || row >= this.rows.length || column >= this.ports.length) return null;
      if (this.shown.rows[row] && this.shown.columns[column] && this.cell([row, column])) return [row, column];
    }
  }

  edge(last) {
    const row = this.places().filter((place) => place[0] === this.current[0]);
    return row[last ? row.length - 1 : 0];
  }

  difference(step) {
    const all = this.differences();
    const order = ([row, column]) => row * this.ports.length + column;
    const here = order(this.current);
    const beyond = all.filter((place) => (order(place) - here) * step > 0);
    return step > 0 ? beyond[0] || all[0] : beyond[beyond.length - 1] || all[all.length - 1];
  }

  filter() {
    const [from, to] = [this.from, this.to].map((field) => field.value.trim().toLowerCase());
    const only = Boolean(this.only?.checked);
    const { sources, columns, cells } = this.data;
    let rows = sources.map((name) => name.toLowerCase().includes(from));
    let ports = columns.map((name) => name.toLowerCase().includes(to));
    if (only) {
      const differs = (row, column) => rows[row] && ports[column] && DIFFERS.has(cells[row][column]?.[0]);
      const [inRows, inColumns] = [rows, ports];
      rows = inRows.map((_, row) => inColumns.some((_, column) => differs(row, column)));
      ports = inColumns.map((_, column) => inRows.some((_, row) => differs(row, column)));
    }
    this.show(rows, ports);
    this.table.classList.toggle("narrowed", only);
    const current = this.current;
    if (!current || !rows[current[0]] || !ports[current[1]]) this.choose(this.differences()[0] || this.places()[0]);
    this.output.textContent = `${this.places().length} cells shown, ${this.differences().length} differ`;
  }

  show(rows, columns) {
    const changed = columns.map((shown, column) => (shown === this.shown.columns[column] ? -1 : column)).filter((c) => c >= 0);
    this.rows.forEach((row, n) => (row.hidden = !rows[n]));
    for (const column of changed) {
      this.ports[column].hidden = !columns[column];
      for (const row of this.tds) row[column].hidden = !columns[column];
    }
    this.shown = { rows, columns };
    let column = 0;
    this.heads.forEach((head, n) => {
      const count = columns.slice(column, column + this.groups[n]).filter(Boolean).length;
      head.hidden = count === 0;
      head.colSpan = Math.max(count, 1);
      column += this.groups[n];
    });
  }
}
