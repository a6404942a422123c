// Why one run beats another, for any two runs of the board. The page has the pairs that are asked for most without it.
const NAMES = ["SegNet term", "PoseNet term", "rate term"];
const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");
const signed = (value, digits) => (Number(value.toFixed(digits)) === 0 ? (0).toFixed(digits) : (value > 0 ? "+" : "−") + Math.abs(value).toFixed(digits));
const bytes = (value) => value.toLocaleString("en");

for (const box of document.querySelectorAll("[data-against]")) {
  const answer = await fetch(box.dataset.src);
  if (!answer.ok) continue;
  const { runs } = await answer.json();
  const byId = new Map(runs.map((run) => [run.id, run]));
  const families = [...new Set(runs.map((run) => run.family))];
  const asked = new URLSearchParams(location.hash.slice(1));

  const choice = (words, chosen) => {
    const select = document.createElement("select");
    for (const family of families) {
      const group = Object.assign(document.createElement("optgroup"), { label: family });
      for (const run of runs.filter((one) => one.family === family)) group.append(new Option(`${run.name} (${fixed(run.score, 4)})`, run.id));
      select.append(group);
    }
    select.value = byId.has(chosen) ? chosen : runs[0].id;
    select.addEventListener("change", show);
    const label = document.createElement("label");
    label.append(words, select);
    box.querySelector(".filters").append(label);
    return select;
  };
  const link = (run) => Object.assign(document.createElement("a"), { href: run.page, textContent: run.name });

  function show() {
    const [a, b] = [byId.get(first.value), byId.get(second.value)];
    const gap = a.score - b.score;
    const moves = NAMES.map((name, index) => [name.replace(" term", ""), a.terms[index] - b.terms[index]]).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
    const listed = (sign) => moves.filter(([, move]) => sign * move > 0).map(([name, move]) => `${name} (${signed(move, 4)})`).join(" and ") || "no term";
    box.querySelector(".finding").replaceChildren(
      link(a), ` scores ${fixed(Math.abs(gap), 4)} ${gap < 0 ? "lower" : gap > 0 ? "higher" : "from"} ${gap === 0 ? "" : "than "}`, link(b),
      `. It gains in ${listed(-1)} and pays in ${listed(1)}. ${a.parent === b.id ? `B is its parent; changed: ${a.changed}.` : b.parent === a.id ? `A is the parent of B; changed: ${b.changed}.` : ""}`,
    );
    const rows = [
      ["score", a.score, b.score, 6], ...NAMES.map((name, index) => [name, a.terms[index], b.terms[index], 6]),
      ["bytes", a.bytes, b.bytes, 0], ["SegNet", a.segnet, b.segnet, 8], ["PoseNet", a.posenet, b.posenet, 8],
    ].map(([name, mine, theirs, digits]) => {
      const row = document.createElement("tr");
      row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: name }));
      const print = digits ? (value) => fixed(value, digits) : bytes;
      const change = mine - theirs;
      const words = digits ? signed(change, digits) : (change > 0 ? "+" : change < 0 ? "−" : "") + bytes(Math.abs(change));
      for (const text of [print(mine), print(theirs), words]) row.append(Object.assign(document.createElement("td"), { className: "number", textContent: text }));
      row.lastChild.classList.add("delta", change < 0 ? "better" : change > 0 ? "worse" : "same");
      return row;
    });
    box.querySelector("tbody").replaceChildren(...rows);
    history.replaceState(null, "", `#a=${a.id}&b=${b.id}`);
  }

  const first = choice("A", asked.get("a"));
  const second = choice("B", asked.get("b") ?? runs[1]?.id);
  box.hidden = false;
  show();
}
