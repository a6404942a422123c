// Sorting and filtering of tables. Without it a table stands complete. Beyond a few hundred rows only those near the
// window are in the page, between two spacers as high as the rest; printing puts all of them back.
import { filters, heads } from "./heads.js";

const MANY = 300;
const AROUND = 40;

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  let rows = [...body.rows];

  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en") : a - b);
  // one column may be chosen from a list: data-facet is its number, data-facet-name what the list is called
  const faceted = "facet" in table.dataset;
  const facetOf = (row) => (faceted ? row.cells[Number(table.dataset.facet)].textContent.trim() : "");
  const show = virtual(table, body, table.tHead.rows[0].cells.length);

  const texts = new Map();
  const filter = () => {
    const textOf = (row) => texts.get(row) ?? texts.set(row, row.textContent.toLowerCase()).get(row);
    const fitting = box.read() ? rows.filter((row) => box.fits(textOf(row), facetOf(row))) : rows;
    show(fitting);
    box.count.textContent = `${fitting.length} of ${rows.length} ${table.dataset.noun ?? "runs"}`;
  };
  heads(table, (column, direction) => {
    const start = performance.now();
    const keyed = rows.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : direction * compare(a, b)));
    rows = keyed.map(([, row]) => row);
    filter();
    return start;
  });
  const choices = faceted ? [...new Set(rows.map(facetOf))].sort() : [];
  const box = filters(table, { name: table.dataset.facetName, all: "all", choices, change: filter });
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
