// The player around a source of frames: panes, one zoom window that moves in all of them, controls and keys.

const ZOOMS = [1.5, 2, 3, 4, 6, 8];

export function element(name, facts, ...children) {
  const made = Object.assign(document.createElement(name), facts);
  made.append(...children);
  return made;
}

export class Player {
  // box: element with .panes, whose .screen elements take the canvases; source: see frames.js
  // panes: [{pane, words}] in the order of the screens; overlay(context, index, frame, crop): drawn over every canvas
  constructor(box, source, panes, { width, height, frame = 0, x = 0.5, y = 0.55, zoom = 3, overlay = () => {}, onchange = () => {} }) {
    Object.assign(this, { box, source, panes, width, height, frame, x, y, zoom, overlay, onchange });
    box.classList.add("live");
    this.canvases = [...box.querySelectorAll(".screen")].map((screen, at) => this.screen(screen, panes[at].words));
    const zooms = element("div", { className: "panes zoom" });
    this.details = panes.map(({ words }) => {
      const canvas = this.canvas(`${words}, enlarged`);
      zooms.append(element("figure", { className: "pane" }, canvas, element("figcaption", { textContent: `${words}, enlarged` })));
      return canvas.getContext("2d");
    });
    this.parts = [this.controls(), zooms];
    box.querySelector(".panes").after(...this.parts);
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Comparison player");
    this.listener = (event) => this.key(event);
    box.addEventListener("keydown", this.listener);
    source.onframe = (number) => this.paint(number);
    source.onstate = () => this.state();
    this.move(0, 0);
  }

  close() {
    this.source.close();
    this.box.removeEventListener("keydown", this.listener);
    for (const part of this.parts) part.remove();
  }

  canvas(words) {
    const canvas = element("canvas", { width: this.width, height: this.height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    return canvas;
  }

  screen(screen, words) {
    const canvas = this.canvas(words), grip = element("div", { className: "grip" });
    const lens = element("div", { className: "lens" }, grip);
    screen.replaceChildren(canvas, lens);
    let act = null;
    screen.addEventListener("pointerdown", (event) => {
      screen.setPointerCapture(event.pointerId);
      act = event.target === grip ? this.stretch : this.point;
      act.call(this, screen, event);
    });
    screen.addEventListener("pointermove", (event) => { if (screen.hasPointerCapture(event.pointerId)) act?.call(this, screen, event); });
    return { context: canvas.getContext("2d"), lens };
  }

  controls() {
    const button = (text, label, act) => {
      const made = element("button", { type: "button", textContent: text, title: label });
      made.setAttribute("aria-label", label);
      made.addEventListener("click", act);
      return made;
    };
    this.play = button("Play", "Play", () => this.toggle());
    this.slider = element("input", { type: "range", min: 0, max: this.source.frames - 1, step: 1, value: this.frame });
    this.slider.setAttribute("aria-label", "Frame");
    this.slider.addEventListener("input", () => { this.source.pause(); this.seek(Number(this.slider.value)); });
    this.label = element("output", {});
    this.label.setAttribute("aria-live", "off");
    const step = element("span", { className: "group" }, button("‹", "One frame back", () => this.step(-1)), button("›", "One frame on", () => this.step(1)));
    const size = element("span", { className: "group" }, button("−", "Zoom out", () => this.scale(-1)), button("+", "Zoom in", () => this.scale(1)));
    const way = element("span", { className: "group" },
      button("←", "Move the window left", () => this.move(-1, 0)), button("↑", "Move the window up", () => this.move(0, -1)),
      button("↓", "Move the window down", () => this.move(0, 1)), button("→", "Move the window right", () => this.move(1, 0)));
    const keys = element("p", { className: "keys" });
    keys.innerHTML = "<kbd>space</kbd> play · <kbd>←</kbd> <kbd>→</kbd> one frame · <kbd>+</kbd> <kbd>−</kbd> zoom · <kbd>shift</kbd> and arrows, or drag: move the window; drag its corner: resize it";
    return element("div", {}, element("div", { className: "controls" }, this.play, step, this.slider, this.label, size, way), keys);
  }

  state() {
    const words = this.source.paused ? "Play" : "Pause";
    this.play.textContent = words;
    this.play.title = words;
    this.play.setAttribute("aria-label", words);
  }

  toggle() {
    if (this.source.paused) this.source.play();
    else this.step(0);
  }

  step(by) {
    this.source.pause();
    return this.seek(this.frame + by);
  }

  async seek(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.source.frames - 1);
    await this.source.seek(this.frame);
    this.onchange();
  }

  paint(frame) {
    this.frame = frame;
    this.painted = true;
    const { width, height, zoom } = this;
    const [w, h] = [width / zoom, height / zoom], [left, top] = [this.x * width - w / 2, this.y * height - h / 2];
    this.panes.forEach(({ pane }, at) => {
      const whole = this.canvases[at].context, detail = this.details[at];
      this.source.draw(whole, pane, 0, 0, width, height);
      this.overlay(whole, at, frame, [0, 0, 1, 1]);
      detail.imageSmoothingEnabled = false;
      this.source.draw(detail, pane, left, top, w, h);
      this.overlay(detail, at, frame, [left / width, top / height, 1 / zoom, 1 / zoom]);
    });
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `frame ${frame}`);
    this.label.textContent = `frame ${frame} of ${this.source.frames}, pair ${Math.floor(frame / 2)}`;
  }

  repaint() { if (this.painted) this.paint(this.frame); }

  point(screen, event) {
    const area = screen.getBoundingClientRect();
    this.place((event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height);
  }

  // The corner that is pulled follows the pointer, the opposite one stays.
  stretch(screen, event) {
    const area = screen.getBoundingClientRect(), half = 0.5 / this.zoom;
    const [left, top] = [this.x - half, this.y - half];
    const side = Math.max((event.clientX - area.left) / area.width - left, (event.clientY - area.top) / area.height - top);
    const kept = Math.min(Math.max(side, 1 / ZOOMS.at(-1)), 1 / ZOOMS[0], 1 - left, 1 - top);
    this.zoom = 1 / kept;
    this.place(left + kept / 2, top + kept / 2);
  }

  move(dx, dy) { this.place(this.x + (dx * 0.25) / this.zoom, this.y + (dy * 0.25) / this.zoom); }

  scale(by) {
    const next = by > 0 ? ZOOMS.find((zoom) => zoom > this.zoom + 0.01) : ZOOMS.findLast((zoom) => zoom < this.zoom - 0.01);
    this.zoom = next ?? this.zoom;
    this.move(0, 0);
  }

  place(x, y) {
    const half = 0.5 / this.zoom;
    this.x = Math.min(Math.max(x, half), 1 - half);
    this.y = Math.min(Math.max(y, half), 1 - half);
    for (const { lens } of this.canvases) {
      Object.assign(lens.style, { left: `${100 * (this.x - half)}%`, top: `${100 * (this.y - half)}%`, width: `${200 * half}%`, height: `${200 * half}%` });
    }
    this.repaint();
    this.onchange();
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = arrows[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target.tagName !== "BUTTON") this.toggle();
    else if (way && event.shiftKey) this.move(...way);
    else if (way && way[0] && event.target !== this.slider) this.step(way[0]);
    else if (event.key === "+" || event.key === "=") this.scale(1);
    else if (event.key === "-") this.scale(-1);
    else return;
    event.preventDefault();
  }
}
