// A long ledger: all rows are loaded at the first question, and a page of them is shown at a time.
const SHOWN = 40;
const NUMBER = new Set([2, 3, 4, 7, 8]);
const MINUS = "\u2212";
const signed = (value) => (value > 0 ? "+" : value < 0 ? MINUS : "") + Math.abs(value).toFixed(6);
const small = (value) => (value === 0 || Math.abs(value) >= 1e-5 ? Number(value.toPrecision(3)).toString() : value.toExponential(2));
const SHOW = {
  2: (value) => value.toFixed(6),
  3: (value) => (value === null ? "\u2013" : signed(value)),
  4: (value) => value.toLocaleString("en"),
  7: (value) => `${(100 * value).toFixed(3)}\u202f%`,
  8: small,
};

for (const table of document.querySelectorAll("table[data-index]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const base = new URL(body.querySelector("a").href).pathname.replace(/[^/]+\/$/, "");
  let rows = null, flagged = new Set(), texts = null, order = null, page = 0, sorted = [0, 1];

  const load = async () => {
    if (rows) return true;
    const answer = await fetch(table.dataset.index);
    if (!answer.ok) { count.textContent = "The rows could not be loaded."; return false; }
    const data = await answer.json();
    flagged = new Set(data.flagged);
    texts = data.rows.map((row) => row.join(" ").toLowerCase());
    rows = data.rows;
    order = rows.map((_, index) => index);
    return true;
  };
  const cell = (name, text, kind) => Object.assign(document.createElement(name), { textContent: text, className: kind });
  const line = (row) => {
    const element = document.createElement("tr");
    element.className = row[5];
    const head = document.createElement("th");
    head.scope = "row";
    head.append(Object.assign(document.createElement("a"), { href: `${base}${row[0]}/`, textContent: row[1] }));
    if (flagged.has(row[0])) head.append(" ", Object.assign(cell("span", "flagged", "note"), { title: "something in this record was withheld or made visible" }));
    element.append(head);
    for (let at = 2; at < row.length; at++) {
      element.append(cell("td", SHOW[at] ? SHOW[at](row[at]) : row[at], NUMBER.has(at) ? "number" : at === 6 ? "words" : ""));
    }
    return element;
  };
  const draw = () => {
    const last = Math.max(0, Math.ceil(order.length / SHOWN) - 1);
    page = Math.min(page, last);
    body.replaceChildren(...order.slice(page * SHOWN, (page + 1) * SHOWN).map((index) => line(rows[index])));
    count.textContent = `${order.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} runs, page ${page + 1} of ${last + 1}`;
    back.disabled = page === 0;
    on.disabled = page === last;
  };
  const choose = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [column, direction] = sorted;
    order = [];
    for (let index = 0; index < rows.length; index++) {
      if (words.every((word) => texts[index].includes(word)) && (verdict.selectedIndex === 0 || rows[index][5] === verdict.value)) order.push(index);
    }
    const at = column === 0 ? 1 : column + 1;
    const keys = rows.map((row) => row[at]);
    if (NUMBER.has(at)) {
      const values = Float64Array.from(keys, (value) => (value === null ? Infinity : direction * value)); // nothing comes last
      order.sort((a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b));
    } else {
      order.sort((a, b) => (keys[a] < keys[b] ? -direction : keys[a] > keys[b] ? direction : a - b));
    }
    page = 0;
    draw();
  };

  heads.forEach((head, column) => {
    const button = cell("button", head.textContent, "sort");
    button.type = "button";
    head.replaceChildren(button);
    if (head.dataset.start) head.setAttribute("aria-sort", head.dataset.start);
    button.addEventListener("click", async () => {
      if (!(await load())) return;
      const started = performance.now();
      sorted = [column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1];
      choose();
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted[1] > 0 ? "ascending" : "descending");
      table.dataset.sortMs = (performance.now() - started).toFixed(1);
    });
  });
  sorted = [heads.findIndex((head) => head.dataset.start), 1];

  const filters = cell("div", "", "filters");
  filters.setAttribute("role", "search");
  const text = Object.assign(document.createElement("input"), { type: "search", autocomplete: "off" });
  const verdict = document.createElement("select");
  for (const name of ["every verdict", "promoted", "rejected", "open"]) verdict.add(new Option(name));
  const count = document.createElement("output");
  const label = (words, field) => { const box = document.createElement("label"); box.append(words, field); return box; };
  const step = (words, by) => {
    const button = Object.assign(cell("button", words, ""), { type: "button" });
    button.addEventListener("click", async () => { if (await load()) { page = Math.max(0, page + by); draw(); } });
    return button;
  };
  const back = step("Previous rows", -1), on = step("Further rows", 1);
  back.disabled = true;
  count.textContent = `${body.rows.length} of ${Number(table.dataset.total).toLocaleString("en")} runs`;
  filters.append(label("Filter by any word", text), label("Verdict", verdict), back, on, count);
  table.parentElement.before(filters);
  for (const [field, event] of [[text, "input"], [verdict, "change"]]) {
    field.addEventListener(event, async () => { if (await load()) choose(); });
  }
}
