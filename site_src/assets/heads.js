// What tables that sort have in common: buttons in the head, and above the table a box of filters with a count.
const make = (name, values) => Object.assign(document.createElement(name), values);

// Puts a button into every heading. `sort(column, direction)` puts the rows in order; it may wait for them first, and
// gives the time when it had them, or nothing where there are none. Each sort that came to its end leaves a measure.
export function heads(table, sort) {
  const cells = [...table.tHead.rows[0].cells];
  cells.forEach((head, column) => {
    const button = make("button", { type: "button", className: "sort", textContent: head.textContent });
    head.replaceChildren(button);
    if (head.dataset.start) head.setAttribute("aria-sort", head.dataset.start);
    button.addEventListener("click", async () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const start = await sort(column, direction);
      if (start === undefined) return;
      for (const other of cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      performance.measure("sort", { start, detail: { column, direction } });
    });
  });
}

// Puts a box of filters above a table: words, one of some choices where there are several, further tools, a count.
// `read` takes what was asked for and says whether that is anything; `fits` is then told a row's text, in lower case,
// and its choice.
export function filters(table, { name, all, choices, change, tools = [] }) {
  const text = make("input", { type: "search", autocomplete: "off" });
  const choice = document.createElement("select");
  for (const one of [all, ...choices]) choice.add(new Option(one));
  const count = document.createElement("output");
  const label = (words, field) => { const box = document.createElement("label"); box.append(words, field); return box; };
  const box = make("div", { className: "filters" });
  box.setAttribute("role", "search");
  box.append(label("Filter by any word", text), ...(choices.length > 1 ? [label(name, choice)] : []), ...tools, count);
  table.parentElement.before(box);
  text.addEventListener("input", change);
  choice.addEventListener("change", change);
  let words = [], wanted = "";
  return {
    count,
    read: () => {
      words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      wanted = choice.selectedIndex === 0 ? "" : choice.value;
      return words.length > 0 || wanted !== "";
    },
    fits: (content, chosen) => words.every((word) => content.includes(word)) && (!wanted || chosen === wanted),
  };
}
