// Sorting and filtering of the ledger table. Without it the table stands complete, best score first.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];

  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en") : a - b);

  const sort = (column, direction) => {
    const keyed = rows.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : direction * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
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

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      const fits = words.every((word) => content.includes(word)) && (facet.selectedIndex === 0 || facetOf(row) === facet.value);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} ${noun}`;
  };
  text.addEventListener("input", filter);
  facet.addEventListener("change", filter);
  filter();
}
