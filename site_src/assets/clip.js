// The comparison of one run with its source: original and decode of every frame in one video.
import { Stacked, described } from "./frames.js";
import { Player } from "./player.js";

class Clip {
  constructor(box) {
    this.box = box;
    this.frame = Number(box.dataset.first);
    this.button = box.querySelector("[data-load]");
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.load());
    for (const link of document.querySelectorAll("a[data-frame]")) {
      link.addEventListener("click", () => {
        this.frame = Number(link.dataset.frame);
        if (this.player) this.player.step(this.frame - this.player.frame);
        else this.load();
      });
    }
  }

  async load() {
    const about = described(this.box.dataset), source = new Stacked(about);
    this.button.disabled = true;
    try {
      await source.open();
    } catch (error) {
      this.button.disabled = false;
      this.button.textContent = `The clip did not load (${error.message}): try again`;
      return;
    }
    this.button.parentElement.remove();
    const panes = ["Original", "Decoded"].map((words, pane) => ({ pane, words }));
    this.player = new Player(this.box, source, panes, { ...about, frame: this.frame });
    await this.player.seek(this.frame);
    this.player.play.focus();
  }
}

for (const box of document.querySelectorAll("[data-clip]")) new Clip(box);
