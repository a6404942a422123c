// Sorting and filtering of tables. Without it a table stands complete. Beyond a few hundred rows only those near the
// window are in the page, between two spacers as high as the rest; printing puts all of them back.
const MANY = 300;
const AROUND = 40;

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  let rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];

  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en") : a - b);

  let fitting = rows;
  const show = virtual(table, body, heads.length);

  const sort = (column, direction) => {
    const keyed = rows.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : direction * compare(a, b)));
    rows = keyed.map(([, row]) => row);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    filter();
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1));
    if (head.dataset.start) head.setAttribute("aria-sort", head.dataset.start);
  });

  const filters = document.createElement("div");
  filters.className = "filters";
  filters.setAttribute("role", "search");
  const text = Object.assign(document.createElement("input"), { type: "search", autocomplete: "off" });
  // one column may be chosen from a list: data-facet is its number, data-facet-name what the list is called
  const facet = document.createElement("select");
  const facetOf = (row) => row.cells[Number(table.dataset.facet)].textContent.trim();
  const facets = "facet" in table.dataset ? [...new Set(rows.map(facetOf))].sort() : [];
  for (const name of ["all", ...facets]) facet.add(new Option(name));
  const noun = table.dataset.noun ?? "runs";
  const count = Object.assign(document.createElement("output"), {});
  const label = (words, field) => { const box = document.createElement("label"); box.append(words, field); return box; };
  filters.append(label("Filter by any word", text), ...(facets.length > 1 ? [label(table.dataset.facetName, facet)] : []), count);
  table.parentElement.before(filters);

  const texts = new Map();
  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    fitting = !words.length && facet.selectedIndex === 0 ? rows : rows.filter((row) => {
      const content = (texts.get(row) ?? texts.set(row, row.textContent.toLowerCase()).get(row));
      return words.every((word) => content.includes(word)) && (facet.selectedIndex === 0 || facetOf(row) === facet.value);
    });
    show(fitting);
    count.textContent = `${fitting.length} of ${rows.length} ${noun}`;
  };
  text.addEventListener("input", filter);
  facet.addEventListener("change", filter);
  filter();
}

// Gives the function that puts rows into a table's body, all of them or those near the window.
function virtual(table, body, columns) {
  let rows = [];
  let height = 0;
  let first = -1;
  const spacer = () => {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.setAttribute("aria-hidden", "true");
    row.append(Object.assign(document.createElement("td"), { colSpan: columns }));
    return row;
  };
  const [above, below] = [spacer(), spacer()];

  const put = (from, count, before = "", after = "") => {
    const shown = rows.slice(from, from + count);
    shown.forEach((row, index) => row.setAttribute("aria-rowindex", from + index + 2));
    body.replaceChildren(...[before, ...shown, after].filter(Boolean));
  };
  const paint = (force) => {
    if (rows.length <= MANY) return;
    height ||= body.querySelector("tr:not(.spacer)")?.getBoundingClientRect().height || 40;
    const top = -body.getBoundingClientRect().top / height;
    const count = Math.ceil(innerHeight / height) + 2 * AROUND;
    const from = Math.max(0, Math.min(rows.length - count, Math.floor(top) - AROUND));
    if (!force && Math.abs(from - first) < AROUND / 2) return;
    first = from;
    above.firstChild.style.height = `${from * height}px`;
    below.firstChild.style.height = `${Math.max(0, rows.length - from - count) * height}px`;
    put(from, count, above, below);
  };
  addEventListener("scroll", () => paint(false), { passive: true });
  addEventListener("resize", () => { height = 0; paint(true); });
  addEventListener("beforeprint", () => { if (rows.length > MANY) put(0, rows.length); });
  addEventListener("afterprint", () => paint(true));

  return (wanted) => {
    rows = wanted;
    table.setAttribute("aria-rowcount", rows.length + 1);
    if (rows.length > MANY) paint(true);
    else put(0, rows.length);
  };
}
