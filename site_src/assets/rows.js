// A long ledger: all rows are loaded at the first question, and a page of them is shown at a time.
import { filters, heads } from "./heads.js";

const SHOWN = 40;
const NUMBER = new Set([2, 3, 4, 7, 8]);
const LAST = 11;
const PAGE = 12; // has the run a page of its own?
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

// Indices in the order of their ranks, equal ones as they came; nothing comes last, up or down.
function sorted(indices, ranks, direction) {
  const most = ranks.reduce((a, b) => Math.max(a, b), -1);
  const place = (index) => (ranks[index] < 0 ? most + 1 : direction > 0 ? ranks[index] : most - ranks[index]);
  const next = new Uint32Array(most + 3);
  for (const index of indices) next[place(index) + 1]++;
  for (let at = 1; at < next.length; at++) next[at] += next[at - 1];
  const found = new Array(indices.length);
  for (const index of indices) found[next[place(index)]++] = index;
  return found;
}

for (const table of document.querySelectorAll("table[data-index]")) {
  const body = table.tBodies[0];
  const base = new URL(`../../runs/${table.dataset.contract}/`, document.baseURI).pathname;
  let rows = null, flagged = new Set(), texts = null, order = null, page = 0, last = [1, 1];
  const ranks = [];

  const load = async () => {
    if (rows) return true;
    const answer = await fetch(table.dataset.index);
    if (!answer.ok) { box.count.textContent = "The rows could not be loaded."; return false; }
    const data = await answer.json();
    flagged = new Set(data.flagged);
    texts = data.rows.map((row) => row.slice(0, PAGE).join(" ").toLowerCase());
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
    head.append(row[PAGE] ? Object.assign(document.createElement("a"), { href: `${base}${row[0]}/`, textContent: row[1] }) : row[1]);
    if (flagged.has(row[0])) head.append(" ", Object.assign(cell("span", "flagged", "note"), { title: "something in this record was withheld or made visible" }));
    element.append(head);
    for (let at = 2; at <= LAST; at++) {
      element.append(cell("td", SHOW[at] ? SHOW[at](row[at]) : row[at], NUMBER.has(at) ? "number" : at === 6 ? "words" : ""));
    }
    return element;
  };
  const draw = () => {
    const pages = Math.max(1, Math.ceil(order.length / SHOWN));
    page = Math.min(page, pages - 1);
    body.replaceChildren(...order.slice(page * SHOWN, (page + 1) * SHOWN).map((index) => line(rows[index])));
    box.count.textContent = `${order.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} runs, page ${page + 1} of ${pages}`;
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
  };
  // The rank of every row in a column, equal values alike and nothing -1: found once, by sorting what differs.
  const ranked = (at) => (ranks[at] ??= (() => {
    const values = [...new Set(rows.map((row) => row[at]).filter((value) => value !== null))];
    const steps = NUMBER.has(at) ? Float64Array.from(values).sort() : values.sort();
    const places = new Map();
    steps.forEach((value, rank) => places.set(value, rank));
    return Int32Array.from(rows, (row) => places.get(row[at]) ?? -1);
  })());
  const choose = ([column, direction]) => {
    last = [column, direction];
    const at = column === 0 ? 1 : column + 1;
    order = [];
    const all = !box.read();
    for (let index = 0; index < rows.length; index++) if (all || box.fits(texts[index], rows[index][5])) order.push(index);
    order = sorted(order, ranked(at), direction);
    page = 0;
    draw();
  };

  const step = (words, by) => {
    const button = Object.assign(cell("button", words, ""), { type: "button" });
    button.addEventListener("click", async () => { if (await load()) { page = Math.max(0, page + by); draw(); } });
    return button;
  };
  const back = step("Previous rows", -1), on = step("Further rows", 1);
  back.disabled = true;
  const box = filters(table, {
    name: "Verdict", all: "every verdict", choices: ["promoted", "rejected", "open"], tools: [back, on],
    change: async () => { if (await load()) choose(last); },
  });
  box.count.textContent = `${body.rows.length} of ${Number(table.dataset.total).toLocaleString("en")} runs`;
  heads(table, async (column, direction) => {
    if (!(await load())) return undefined;
    const start = performance.now();
    choose([column, direction]);
    return start;
  });
}
