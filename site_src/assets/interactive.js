// The figures once more, to zoom and to pan. Plotly's script is fetched from this origin when a figure is asked for; its
// colours are read from the stylesheet, by the classes that the drawings have.
const box = document.querySelector("[data-script]");
const [plot, status] = [box?.querySelector("[data-plot]"), box?.querySelector("[data-status]")];
const SVG = "http://www.w3.org/2000/svg";
let library = null;

function loaded() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = box.dataset.script;
    script.addEventListener("load", () => done(globalThis.Plotly));
    script.addEventListener("error", () => failed(new Error("the script did not load")));
    document.head.append(script);
  });
  return library;
}

// What a class of the drawings looks like in the scheme of this screen.
function look(name) {
  const frame = document.createElementNS(SVG, "svg");
  const part = frame.appendChild(document.createElementNS(SVG, "path"));
  frame.classList.add("plot");
  part.setAttribute("class", name);
  document.body.append(frame);
  const { fill, stroke, strokeWidth, strokeDasharray, fillOpacity } = getComputedStyle(part);
  const found = { fill, stroke, width: parseFloat(strokeWidth), dash: strokeDasharray.replaceAll(", ", ","), alpha: Number(fillOpacity) };
  frame.remove();
  return found;
}

function trace({ class: name, mode, x, y, shape, fill, symbol, tips, urls }) {
  const seen = look(name);
  const plain = { x, y, type: "scatter", showlegend: false };
  if (mode === "markers") {
    const tone = seen.stroke === "none" ? seen.fill : seen.stroke;
    const solid = symbol === "circle";
    const color = solid ? seen.fill : tone;
    const outline = solid ? getComputedStyle(document.body).backgroundColor : tone;
    return { ...plain, mode, hovertext: tips.map((tip) => tip.replaceAll("<", "&lt;")), hoverinfo: "text", customdata: urls, cliponaxis: false, marker: { color, size: 11, symbol, line: { width: 2, color: outline } } };
  }
  if (name.startsWith("band")) return { ...plain, mode: "none", fill, fillcolor: seen.fill, opacity: seen.alpha, hoverinfo: "skip" };
  const dash = seen.dash === "none" ? "solid" : seen.dash;
  return { ...plain, mode, fill, line: { color: seen.stroke, width: seen.width, dash, shape }, hoverinfo: "x+y" };
}

function layout({ xaxis, yaxis }) {
  const { color, backgroundColor, fontFamily } = getComputedStyle(document.body);
  const gridcolor = getComputedStyle(document.documentElement).getPropertyValue("--rule").trim();
  const axis = ({ title, type, range, tickvals, ticktext }) => ({ title: { text: title }, type, range, gridcolor, zeroline: false, ...(tickvals ? { tickvals, ticktext } : {}) });
  return { xaxis: axis(xaxis), yaxis: axis(yaxis), font: { color, family: fontFamily, size: 13 }, paper_bgcolor: backgroundColor, plot_bgcolor: backgroundColor, margin: { l: 64, r: 24, t: 16, b: 72 }, hovermode: "closest", dragmode: "zoom", height: Math.max(360, Math.min(640, innerHeight * 0.7)) };
}

async function show(item) {
  const title = item.querySelector("span").textContent;
  status.textContent = `Fetching: ${title}`;
  try {
    const [plotly, answer] = await Promise.all([loaded(), fetch(item.dataset.traces)]);
    if (!answer.ok) throw new Error(`its values did not load: ${answer.status}`);
    const told = await answer.json();
    for (const part of box.querySelectorAll("[hidden]")) part.hidden = false;
    await plotly.newPlot(plot, told.data.map(trace), layout(told.layout), { displayModeBar: false, scrollZoom: true, responsive: true });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", title);
    plot.removeAllListeners?.("plotly_click");
    plot.on("plotly_click", ({ points: [{ customdata }] }) => {
      if (customdata) location.href = new URL(`..${customdata}`, location.href);
    });
    box.querySelector("[data-home]").href = item.querySelector("a").href;
    box.querySelector("[data-all]").onclick = () => plotly.relayout(plot, { "xaxis.range": told.layout.xaxis.range, "yaxis.range": told.layout.yaxis.range });
    status.textContent = title;
  } catch ({ message }) {
    status.textContent = `${title}: ${message}`;
  }
}

if (box) {
  const items = [...document.querySelectorAll("[data-traces]")];
  for (const item of items) {
    const link = Object.assign(document.createElement("a"), { href: `#${item.id}`, textContent: "zoom and pan" });
    link.className = "here";
    item.querySelector("span").after(" ", link);
  }
  const asked = () => {
    const item = items.find(({ id }) => id === location.hash.slice(1));
    if (item) show(item).then(() => box.scrollIntoView());
  };
  addEventListener("hashchange", asked);
  asked();
}
