// A tip beside a mark of a chart, on hover and on focus. The charts are complete without it: every mark has a title,
// which names its link; the tip takes its place, and the link keeps the name.
for (const figure of document.querySelectorAll("figure.chart")) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  figure.append(tip);

  const show = (point) => {
    const [name, facts] = point.getAttribute("aria-label").split(/: (.*)/s);
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: name }), document.createElement("br"), facts);
    tip.hidden = false;
    const frame = figure.getBoundingClientRect();
    const mark = point.querySelector(".hit").getBoundingClientRect();
    const left = Math.min(Math.max(mark.left - frame.left - tip.offsetWidth / 2, 0), frame.width - tip.offsetWidth);
    tip.style.left = `${left}px`;
    tip.style.top = `${mark.top - frame.top - tip.offsetHeight - 8}px`;
  };
  const hide = () => { tip.hidden = true; };

  for (const point of figure.querySelectorAll("a.point")) {
    const title = point.querySelector("title");
    point.setAttribute("aria-label", title.textContent);
    title.remove();
    point.addEventListener("pointerenter", () => show(point));
    point.addEventListener("pointerleave", hide);
    point.addEventListener("focus", () => show(point));
    point.addEventListener("blur", hide);
    point.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }
}
