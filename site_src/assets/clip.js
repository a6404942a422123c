// The comparison player. One stacked video holds both panes of every frame, so they cannot drift: whatever frame the
// browser shows, both halves belong to it. The file is fetched as a blob, because the host answers no range requests.

const ZOOMS = [2, 3, 4, 6, 8];

class Player {
  constructor(box) {
    const { src, frames, fps, width, height, pitch, first } = box.dataset;
    const [rate, per] = fps.split("/").map(Number);
    Object.assign(this, { box, src, frames: Number(frames), fps: rate / (per || 1), width: Number(width), height: Number(height), pitch: Number(pitch) });
    this.frame = Number(first);
    this.zoom = 3;
    this.x = 0.5;
    this.y = 0.55;
    this.button = box.querySelector("[data-load]");
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.load());
    for (const link of document.querySelectorAll("a[data-frame]")) {
      link.addEventListener("click", () => {
        this.frame = Number(link.dataset.frame);
        if (this.canvases) { this.video.pause(); this.seek(this.frame); } else this.load();
      });
    }
  }

  async load() {
    this.button.disabled = true;
    try {
      const answer = await fetch(this.src);
      if (!answer.ok) throw new Error(`${answer.status}`);
      this.video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true, preload: "auto" });
      this.video.src = URL.createObjectURL(await answer.blob());
      await new Promise((done, fail) => { this.video.onloadeddata = done; this.video.onerror = () => fail(new Error("this browser cannot play it")); });
    } catch (error) {
      this.button.disabled = false;
      this.button.textContent = `The clip did not load (${error.message}): try again`;
      return;
    }
    this.build();
    await this.seek(this.frame);
    this.play.focus();
  }

  build() {
    this.box.classList.add("live");
    this.button.parentElement.remove();
    this.canvases = [...this.box.querySelectorAll(".screen")].map((screen, pane) => this.screen(screen, pane));
    const zooms = element("div", { className: "panes zoom" });
    this.details = ["Original, enlarged", "Decoded, enlarged"].map((words) => {
      const canvas = element("canvas", { width: this.width, height: this.height });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", words);
      const figure = element("figure", { className: "pane" }, canvas, element("figcaption", { textContent: words }));
      zooms.append(figure);
      return canvas.getContext("2d");
    });
    this.box.querySelector(".panes").after(this.controls(), zooms);
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", "Comparison player");
    this.box.addEventListener("keydown", (event) => this.key(event));
    const tick = (_, facts) => {
      this.paint(Math.min(Math.floor(facts.mediaTime * this.fps + 0.5), this.frames - 1));
      this.video.requestVideoFrameCallback(tick);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(tick);
    else {
      const poll = () => { if (!this.video.paused) this.paint(Math.floor(this.video.currentTime * this.fps)); requestAnimationFrame(poll); };
      requestAnimationFrame(poll);
    }
    this.video.addEventListener("seeked", () => { if (this.video.paused) this.paint(this.wanted ?? this.frame); });
    for (const name of ["play", "pause"]) this.video.addEventListener(name, () => this.state());
    this.move(0, 0);
  }

  screen(screen, pane) {
    const canvas = element("canvas", { width: this.width, height: this.height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", pane ? "Decoded frame" : "Original frame");
    const lens = element("div", { className: "lens" });
    screen.replaceChildren(canvas, lens);
    screen.addEventListener("pointerdown", (event) => { screen.setPointerCapture(event.pointerId); this.point(screen, event); });
    screen.addEventListener("pointermove", (event) => { if (screen.hasPointerCapture(event.pointerId)) this.point(screen, event); });
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
    this.slider = element("input", { type: "range", min: 0, max: this.frames - 1, step: 1, value: this.frame });
    this.slider.setAttribute("aria-label", "Frame");
    this.slider.addEventListener("input", () => { this.video.pause(); this.seek(Number(this.slider.value)); });
    this.label = element("output", {});
    const step = element("span", { className: "group" }, button("‹", "One frame back", () => this.step(-1)), button("›", "One frame on", () => this.step(1)));
    const size = element("span", { className: "group" }, button("−", "Zoom out", () => this.scale(-1)), button("+", "Zoom in", () => this.scale(1)));
    const way = element("span", { className: "group" },
      button("←", "Move the window left", () => this.move(-1, 0)), button("↑", "Move the window up", () => this.move(0, -1)),
      button("↓", "Move the window down", () => this.move(0, 1)), button("→", "Move the window right", () => this.move(1, 0)));
    const keys = element("p", { className: "keys" });
    keys.innerHTML = "<kbd>space</kbd> play · <kbd>←</kbd> <kbd>→</kbd> one frame · <kbd>+</kbd> <kbd>−</kbd> zoom · <kbd>shift</kbd> and arrows, or drag: move the window";
    return element("div", {}, element("div", { className: "controls" }, this.play, step, this.slider, this.label, size, way), keys);
  }

  state() {
    const words = this.video.paused ? "Play" : "Pause";
    this.play.textContent = words;
    this.play.title = words;
    this.play.setAttribute("aria-label", words);
  }

  toggle() {
    if (this.video.paused) { this.wanted = null; this.video.play(); } else { this.video.pause(); this.step(0); }
  }

  step(by) {
    this.video.pause();
    return this.seek(this.frame + by);
  }

  // Half a frame past its start, so that rounding can never land on a neighbour.
  seek(frame) {
    this.wanted = Math.min(Math.max(frame, 0), this.frames - 1);
    this.frame = this.wanted;
    return new Promise((done) => {
      this.video.addEventListener("seeked", done, { once: true });
      this.video.currentTime = (this.wanted + 0.5) / this.fps;
    });
  }

  paint(frame) {
    if (this.wanted != null && this.video.paused) frame = this.wanted;
    this.frame = frame;
    const { width, height, zoom } = this;
    this.canvases.forEach(({ context }, pane) => context.drawImage(this.video, 0, pane * this.pitch, width, height, 0, 0, width, height));
    const [w, h] = [width / zoom, height / zoom];
    this.details.forEach((context, pane) => {
      context.imageSmoothingEnabled = false;
      context.drawImage(this.video, this.x * width - w / 2, pane * this.pitch + this.y * height - h / 2, w, h, 0, 0, width, height);
    });
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `frame ${frame}`);
    this.label.textContent = `frame ${frame} of ${this.frames}, pair ${Math.floor(frame / 2)}`;
  }

  point(screen, event) {
    const area = screen.getBoundingClientRect();
    this.place((event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height);
  }

  move(dx, dy) {
    this.place(this.x + (dx * 0.25) / this.zoom, this.y + (dy * 0.25) / this.zoom);
  }

  scale(by) {
    this.zoom = ZOOMS[Math.min(Math.max(ZOOMS.indexOf(this.zoom) + by, 0), ZOOMS.length - 1)];
    this.move(0, 0);
  }

  place(x, y) {
    const half = 0.5 / this.zoom;
    this.x = Math.min(Math.max(x, half), 1 - half);
    this.y = Math.min(Math.max(y, half), 1 - half);
    for (const { lens } of this.canvases) {
      Object.assign(lens.style, { left: `${100 * (this.x - half)}%`, top: `${100 * (this.y - half)}%`, width: `${200 * half}%`, height: `${200 * half}%` });
    }
    if (this.video.readyState >= 2) this.paint(this.frame);
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

function element(name, facts, ...children) {
  const made = Object.assign(document.createElement(name), facts);
  made.append(...children);
  return made;
}

for (const box of document.querySelectorAll("[data-clip]")) new Player(box);
