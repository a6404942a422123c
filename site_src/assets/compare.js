// The explorer: two to four runs beside the original. Runs of the atlas come from one video; other choices are decoded
// in lockstep where the browser has WebCodecs, and are shown one at a time where it has not.
import { Lockstep, Stacked, described } from "./frames.js";
import { Maps, drawPose, palette, readPairs } from "./overlays.js";
import { Player, element } from "./player.js";

const [LEAST, MOST] = [2, 4];

class Explorer {
  constructor(box) {
    this.box = box;
    this.stage = box.querySelector("[data-stage]");
    this.status = box.querySelector("[data-status]");
    this.link = box.querySelector("[data-link]");
    this.button = box.querySelector("[data-load]");
    this.runs = new Map([...box.querySelectorAll("[data-run]")].map((row) => [row.dataset.run, { ...row.dataset, row }]));
    this.atlas = described(this.stage.dataset);
    this.classes = Number(box.dataset.classes);
    this.view = { frame: Number(this.stage.dataset.first), x: 0.5, y: 0.55, zoom: 3 };
    this.chosen = [...this.runs.keys()].filter((id) => this.runs.get(id).pane).slice(0, LEAST);
    this.kind = "none";
    this.read();
    for (const { row, run } of this.runs.values()) {
      const tick = element("input", { type: "checkbox", checked: this.chosen.includes(run) });
      tick.setAttribute("aria-label", `Compare ${row.dataset.name}`);
      tick.addEventListener("change", () => this.choose(run, tick.checked));
      row.querySelector("[data-tick]").append(tick);
      row.tick = tick;
    }
    for (const part of box.querySelectorAll("[data-tick], [data-live]")) part.hidden = false;
    for (const radio of box.querySelectorAll("input[name=overlay]")) {
      radio.checked = radio.value === this.kind;
      radio.addEventListener("change", () => this.cover(radio.value));
    }
    this.button.addEventListener("click", () => this.open());
    this.limit();
    this.tell();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.palette = null; this.player?.repaint(); });
    if (location.hash.includes("runs=") || "later" in box.dataset) this.open();
  }

  // The view that an address names; what it does not know is left out.
  read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const runs = (asked.get("runs") ?? "").split(",").filter((id) => this.runs.has(id)).slice(0, MOST);
    if (runs.length >= LEAST) this.chosen = runs;
    for (const name of ["frame", "x", "y", "zoom"]) {
      const value = Number(asked.get(name) ?? NaN);
      if (Number.isFinite(value) && value >= 0) this.view[name] = name === "frame" ? Math.floor(value) : value;
    }
    this.view.zoom = Math.min(Math.max(this.view.zoom, 1.5), 8);
    if (["classes", "differs", "pose"].includes(asked.get("overlay"))) this.kind = asked.get("overlay");
  }

  keep() {
    if (this.player) this.view = { frame: this.player.frame, x: this.player.x, y: this.player.y, zoom: this.player.zoom };
    const { frame, x, y, zoom } = this.view;
    const now = `#runs=${this.chosen.join(",")}&frame=${frame}&x=${x.toFixed(3)}&y=${y.toFixed(3)}&zoom=${zoom.toFixed(2)}&overlay=${this.kind}`;
    this.link.href = now;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => history.replaceState(null, "", now), 250);
  }

  choose(run, wanted) {
    this.chosen = wanted ? [...this.chosen, run] : this.chosen.filter((id) => id !== run);
    this.limit();
    if (this.chosen.length < LEAST) this.say(`Choose ${LEAST} to ${MOST} runs.`);
    else if (this.player) this.open();
    else this.tell();
  }

  limit() {
    const full = this.chosen.length >= MOST;
    for (const { row, run } of this.runs.values()) row.tick.disabled = full && !this.chosen.includes(run);
    this.button.disabled = this.chosen.length < LEAST;
  }

  say(words) { this.status.textContent = words; }

  mode() {
    if (this.chosen.every((id) => this.runs.get(id).pane)) return "atlas";
    return Lockstep.available() ? "lockstep" : "single";
  }

  tell() {
    const words = {
      atlas: "These runs stand in one video, so every pane shows the same frame.",
      lockstep: "These runs are decoded frame by frame and drawn together.",
      single: "This browser cannot decode several videos together: the runs are shown one at a time, on the same frame.",
    };
    this.say(words[this.mode()]);
  }

  // Build the panes anew around a source; view and overlay stay.
  async open() {
    const turn = (this.turn = {}), mode = this.mode();
    const runs = this.chosen.map((id) => this.runs.get(id));
    if (mode === "single" && !this.chosen.includes(this.single)) this.single = this.chosen[0];
    const shown = mode === "single" ? [this.runs.get(this.single)] : runs;
    const source = mode === "atlas" ? new Stacked(this.atlas)
      : mode === "lockstep" ? new Lockstep(runs.map(described)) : new Stacked(described(shown[0]));
    this.button.disabled = true;
    this.say("Loading the clips.");
    try {
      await Promise.all([source.open(), ...shown.map((run) => this.facts(run))]);
    } catch (error) {
      this.say(`The clips did not load (${error.message}).`);
      this.button.disabled = false;
      return;
    }
    if (turn !== this.turn) { source.close(); return; }
    const focused = this.stage.contains(document.activeElement) || document.activeElement === this.button;
    this.player?.close();
    this.shown = shown;
    this.stage.querySelector(".panes").replaceChildren(...[null, ...shown].map((run) => this.pane(run)));
    this.stage.classList.toggle("many", shown.length > 1);
    const panes = [{ pane: 0, words: "Original" }];
    shown.forEach((run, at) => panes.push({ pane: mode === "atlas" ? Number(run.pane) : at + 1, words: run.name }));
    const { width, height } = this.atlas;
    this.view.frame = Math.min(this.view.frame, source.frames - 1);
    this.player = new Player(this.stage, source, panes, {
      ...this.view, width, height,
      overlay: (context, at, frame, crop) => this.draw(context, at, frame, crop),
      onchange: () => this.player && this.keep(),
    });
    const paint = this.player.paint.bind(this.player);
    source.onframe = (frame) => { paint(frame); this.number(frame); };
    this.turns(mode);
    await this.player.seek(this.view.frame);
    this.button.hidden = true;
    this.tell();
    this.cover(this.kind);
    if (focused) this.player.play.focus();
  }

  // Which of the runs is shown, where only one can be.
  turns(mode) {
    this.tabs?.remove();
    if (mode !== "single") return;
    this.tabs = element("div", { className: "controls" }, ...this.chosen.map((id) => {
      const tab = element("button", { type: "button", textContent: this.runs.get(id).name });
      tab.setAttribute("aria-pressed", String(id === this.single));
      tab.addEventListener("click", () => { this.single = id; this.keep(); this.open(); });
      return tab;
    }));
    this.stage.prepend(this.tabs);
  }

  pane(run) {
    const words = run ? `${run.name}, ${run.score} with ${run.bytes} bytes` : "Original";
    const caption = element("figcaption", {}, words, element("span", { className: "per-pair", textContent: "\u00a0" }));
    return element("figure", { className: "pane" }, caption, element("div", { className: "screen" }));
  }

  // Pairs of a run, and its class maps where an overlay asks for them.
  async facts(run) {
    run.pairs ??= run.series ? await readPairs(run.series) : [];
    if (["classes", "differs"].includes(this.kind) && run.answers && !run.maps) {
      const maps = new Maps({ answers: run.answers, pairs: run.pairs.length, ...this.box.dataset });
      await maps.open();
      run.maps = maps;
    }
  }

  number(frame) {
    const pair = Math.floor(frame / 2);
    this.stage.querySelectorAll(".per-pair").forEach((place, at) => {
      const found = at && this.shown[at - 1].pairs[pair];
      if (found) place.textContent = `pair ${pair}: SegNet ${(100 * found.segnet).toFixed(3)} %, PoseNet ${found.posenet.toExponential(2)}`;
    });
  }

  async cover(kind) {
    this.kind = kind;
    this.box.dataset.overlay = kind;
    if (this.player) {
      try {
        await Promise.all(this.shown.map((run) => this.facts(run)));
      } catch (error) {
        this.say(`The evidence did not load (${error.message}).`);
      }
      const without = this.shown.filter((run) => !run.maps).map((run) => run.name);
      if (["classes", "differs"].includes(kind) && without.length) this.say(`The ledger keeps no class maps of ${without.join(", ")}.`);
      else this.tell();
      this.player.repaint();
    }
    this.keep();
  }

  draw(context, at, frame, [left, top, wide, high]) {
    const pair = Math.floor(frame / 2), { width, height } = context.canvas;
    const run = at ? this.shown[at - 1] : this.shown.find((one) => one.maps);
    if (this.kind === "pose" && at && wide === 1) {
      const count = Math.ceil(this.player.source.frames / 2);
      const all = this.shown.flatMap((one) => one.pairs.slice(0, count).map(({ posenet }) => posenet));
      if (run.pairs.length >= count) drawPose(context, run.pairs, pair, count, Math.max(...all) || 1);
    }
    if (!["classes", "differs"].includes(this.kind) || !run?.maps || (this.kind === "differs" && !at)) return;
    this.palette ??= palette(this.classes);
    const map = run.maps.drawn(this.kind, pair, !at, this.palette);
    context.imageSmoothingEnabled = false;
    context.drawImage(map, left * map.width, top * map.height, wide * map.width, high * map.height, 0, 0, width, height);
  }
}

for (const box of document.querySelectorAll("[data-compare]")) new Explorer(box);
