// Checks a published archive in the reader's own browser: fetch, size, SHA-256, sections by the published field tables,
// the anatomy on record beside them, the score recomputed from its components. Every step is shown.
import { differing, member, payload } from "./archive.js";

const whole = (value) => Number(value).toLocaleString("en");

function made(tag, text = "", ...children) {
  const item = document.createElement(tag);
  item.textContent = text;
  item.append(...children);
  return item;
}

function table(heads, rows) {
  const cell = (value, tag) => {
    const one = made(tag, typeof value === "number" ? whole(value) : value);
    if (typeof value === "number") one.className = "number";
    return one;
  };
  const head = heads.map(([text, number]) => Object.assign(made("th", text), { scope: "col", className: number ? "number" : "" }));
  const body = rows.map((row) => made("tr", "", ...row.map((value) => cell(value, "td"))));
  const box = made("div", "", made("table", "", made("thead", "", made("tr", "", ...head)), made("tbody", "", ...body)));
  box.className = "scroll";
  return box;
}

async function fetched(address, what) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${what} did not load: ${answer.status}`);
  return answer;
}

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Header fields and sections of a payload, and of the payload inside it.
function shown({ family, fields, sections }) {
  const rows = sections.map(({ name, holds, offset, bytes }) => [name, holds, offset, bytes]);
  const inner = sections.flatMap(({ inside }) => (inside ? shown(inside) : []));
  const open = made("details", "", made("summary", `${family}: ${fields.length} fields of the header`));
  open.append(table([["field"], ["value", true], ["what it is"]], fields.map(({ name, value, says }) => [name, value, says])));
  return [open, table([[`section of ${family}`], ["what it holds"], ["offset", true], ["bytes", true]], rows), ...inner];
}

async function parsed(bytes, { start, held }, facts, say) {
  const read = payload(bytes, start, held, await (await fetched(facts.formats, "the field tables")).json());
  const total = read.sections.reduce((sum, section) => sum + section.bytes, 0);
  say(`By the published field tables: family ${read.family}, ${read.sections.length} sections that tile its ${whole(total)} bytes.`, total === held, ...shown(read));
  if (!facts.anatomy) return;
  const recorded = (await (await fetched(facts.anatomy, "the anatomy")).json()).sections.find(({ offset }) => offset === start);
  const odd = differing(read.sections, recorded?.children);
  say(odd.length ? `The anatomy on record differs: ${odd.join(", ")}.` : "The anatomy on record has the same sections at the same bytes.", !odd.length);
}

async function check(facts, say) {
  const bytes = new Uint8Array(await (await fetched(facts.archive, "the archive")).arrayBuffer());
  const size = bytes.length;
  say(`Fetched ${whole(size)} bytes; on record ${whole(facts.bytes)}.`, size === Number(facts.bytes));
  const hex = await sha256(bytes);
  say(`SHA-256 ${hex}, ${hex === facts.sha256 ? "the digest on record" : `on record ${facts.sha256}`}.`, hex === facts.sha256);
  const { name, start, size: held, whole: summed } = member(bytes);
  say(`Container: one stored member, ${name}, of ${whole(held)} bytes; ${whole(size - held)} bytes of headers; its CRC-32 is ${summed ? "that" : "not that"} of both headers.`, summed);
  await parsed(bytes, { start, held }, facts, say).catch(({ message }) =>
    say(`The field tables, which are those of today's syntax, do not read this payload: ${message}.`, false));
  const [a, b, c] = facts.weights.split(" ").map(Number);
  const terms = [a * facts.segnet, Math.sqrt(b * facts.posenet), (c * size) / facts.sourceBytes];
  const score = terms[0] + terms[1] + terms[2];
  const sum = `${a} · ${facts.segnet} + √(${b} · ${facts.posenet}) + ${c} · ${size} / ${facts.sourceBytes}`;
  say(`Score from its components: ${sum} = ${terms.map((term) => term.toFixed(6)).join(" + ")} = ${score}; on record ${facts.total}.`, Math.abs(score - facts.total) < 1e-9);
}

for (const box of document.querySelectorAll("[data-verify]")) {
  const button = box.querySelector("button");
  const steps = box.querySelector(".verify-steps");
  if (!globalThis.crypto?.subtle) continue;
  button.hidden = false;
  const say = (text, good, ...more) => {
    const item = made("li", "", made("span", text), ...more);
    item.className = good ? "good" : "bad";
    steps.append(item);
  };
  button.addEventListener("click", async () => {
    steps.replaceChildren();
    button.disabled = true;
    await check(box.dataset, say).catch((error) => say(String(error.message), false));
    button.disabled = false;
  });
}
