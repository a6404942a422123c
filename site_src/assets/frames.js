// Where frames come from. Each source shows one frame of every pane at a time, so that panes cannot drift:
//   Stacked   one video that holds all panes of a frame, played by the browser
//   Lockstep  several videos decoded frame by frame and drawn together, where the browser has WebCodecs
// Both offer: frames, open(), close(), seek(frame), play(), pause(), paused, draw(...), and call `onframe`, `onstate`.

// Files are fetched whole: the host answers no range requests, and a blob seeks exactly.
async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

// What a tiled video says of itself, from the attributes of an element.
export function described({ src, index, frames, fps, width, height, pitchX, pitchY, columns }) {
  return { src, index, fps, frames: Number(frames), width: Number(width), height: Number(height), pitchX: Number(pitchX), pitchY: Number(pitchY), columns: Number(columns) };
}

const clamped = (value, low, high) => Math.min(Math.max(value, low), high);

export class Stacked {
  // facts: src, frames, fps ("30000/1001"), width, height of a pane, pitchX, pitchY between panes, columns
  constructor(facts) {
    const [rate, per] = facts.fps.split("/").map(Number);
    Object.assign(this, facts, { fps: rate / (per || 1), onframe: () => {}, onstate: () => {} });
  }

  async open() {
    this.video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true, preload: "auto" });
    this.video.src = URL.createObjectURL(await (await fetched(this.src)).blob());
    await new Promise((done, fail) => { this.video.onloadeddata = done; this.video.onerror = () => fail(new Error("this browser cannot play it")); });
    const tick = (_, facts) => {
      if (this.closed) return;
      this.take(facts.mediaTime);
      this.video.requestVideoFrameCallback(tick);
    };
    const poll = () => {
      if (this.closed) return;
      if (!this.paused) this.take(this.video.currentTime - 0.5 / this.fps);
      requestAnimationFrame(poll);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(tick);
    else requestAnimationFrame(poll);
    this.video.addEventListener("seeked", () => { if (this.paused && this.wanted != null) this.take(this.wanted / this.fps); });
    for (const name of ["play", "pause"]) this.video.addEventListener(name, () => this.onstate());
  }

  // Hold one picture before any pane is cut from it: the video goes on while panes are drawn. A VideoFrame knows its own
  // time; elsewhere the picture is copied, and the browser's word for the time stands. Between two pictures, as while it
  // seeks, a video may have none to give: then it is asked again, and the panes keep what they show.
  take(time) {
    cancelAnimationFrame(this.again);
    if (this.closed) return;
    if ("VideoFrame" in window) {
      let picture;
      try {
        picture = new VideoFrame(this.video);
      } catch (error) {
        if (error.name !== "InvalidStateError") throw error;
        this.again = requestAnimationFrame(() => this.take(time));
        return;
      }
      this.held?.close();
      this.held = picture;
      time = picture.timestamp / 1e6;
    } else {
      this.held = this.copy ??= Object.assign(document.createElement("canvas"), { width: this.video.videoWidth, height: this.video.videoHeight });
      this.copy.getContext("2d").drawImage(this.video, 0, 0);
    }
    this.onframe(clamped(Math.floor(time * this.fps + 0.5), 0, this.frames - 1));
  }

  get paused() { return this.video.paused; }

  play() {
    this.wanted = null;
    this.video.play();
  }

  pause() { this.video.pause(); }

  // Half a frame past its start, so that rounding can never land on a neighbour.
  seek(frame) {
    this.wanted = clamped(frame, 0, this.frames - 1);
    return new Promise((done) => {
      this.video.addEventListener("seeked", done, { once: true });
      this.video.currentTime = (this.wanted + 0.5) / this.fps;
    });
  }

  draw(context, pane, x, y, width, height) {
    const left = (pane % this.columns) * this.pitchX, top = Math.floor(pane / this.columns) * this.pitchY;
    const { canvas } = context;
    context.drawImage(this.held, left + x, top + y, width, height, 0, 0, canvas.width, canvas.height);
  }

  close() {
    this.closed = true;
    this.video.pause();
    this.held?.close?.();
    URL.revokeObjectURL(this.video.src);
  }
}

// One coded video, decoded a group of pictures at a time; frames of two groups are held, older ones are let go.
class Reel {
  constructor(src, index) { Object.assign(this, { src, index, groups: new Map(), chain: Promise.resolve() }); }

  async open() {
    const [video, index] = await Promise.all([fetched(this.src), fetched(this.index)]);
    this.bytes = new Uint8Array(await video.arrayBuffer());
    const { codec, description, samples } = await index.json();
    this.settings = { codec, description: Uint8Array.from(atob(description), (c) => c.charCodeAt(0)), hardwareAcceleration: "prefer-software" };
    if (!(await VideoDecoder.isConfigSupported(this.settings)).supported) throw new Error("this browser cannot decode it");
    this.samples = samples;
    this.starts = samples.flatMap(([, , key], at) => (key ? [at] : []));
    this.firsts = this.starts.map((at) => samples[at][3]);
  }

  group(frame) { return this.firsts.findLastIndex((first) => first <= frame); }

  // Frames of a group by number; one decoder at a time. The group that was asked for last is the last to go.
  load(group) {
    const known = this.groups.get(group);
    if (known) {
      this.groups.delete(group);
      this.groups.set(group, known);
    } else {
      for (const [old, job] of this.groups) {
        if (this.groups.size < 2) break;
        this.groups.delete(old);
        job.then(release, () => {});
      }
      this.chain = this.chain.catch(() => {}).then(() => this.decode(group));
      this.groups.set(group, this.chain);
    }
    return this.groups.get(group);
  }

  async decode(group) {
    const found = new Map();
    let failure = null;
    const decoder = new VideoDecoder({ output: (frame) => found.set(frame.timestamp, frame), error: (error) => { failure = error; } });
    decoder.configure(this.settings);
    for (const [offset, size, key, number] of this.samples.slice(this.starts[group], this.starts[group + 1])) {
      decoder.decode(new EncodedVideoChunk({ type: key ? "key" : "delta", timestamp: number, data: this.bytes.subarray(offset, offset + size) }));
    }
    await decoder.flush();
    decoder.close();
    if (failure) throw failure;
    return found;
  }

  async frame(number) {
    const found = await this.load(this.group(number));
    return found.get(number)?.clone();
  }

  close() { for (const job of this.groups.values()) job.then(release, () => {}); }
}

function release(frames) { for (const frame of frames.values()) frame.close(); }

export class Lockstep {
  static available() { return "VideoDecoder" in window; }

  // clips: facts of two-pane videos as for Stacked, each with `index`; pane 0 is the original, pane k the k-th decode
  constructor(clips) {
    const [rate, per] = clips[0].fps.split("/").map(Number);
    this.clips = clips;
    this.frames = Math.min(...clips.map((clip) => clip.frames));
    this.reels = clips.map((clip) => new Reel(clip.src, clip.index));
    Object.assign(this, { fps: rate / (per || 1), paused: true, shown: [], at: 0, turn: 0, onframe: () => {}, onstate: () => {} });
  }

  async open() { await Promise.all(this.reels.map((reel) => reel.open())); }

  // All panes get the frame, or none does.
  async show(frame) {
    const turn = ++this.turn;
    const found = await Promise.all(this.reels.map((reel) => reel.frame(frame)));
    const late = this.closed || turn !== this.turn;
    for (const one of late ? found : this.shown) one?.close();
    if (late) return false;
    if (found.some((one) => !one)) throw new Error(`frame ${frame} is missing`);
    Object.assign(this, { shown: found, at: frame });
    this.onframe(frame);
    return true;
  }

  async seek(frame) { await this.show(clamped(frame, 0, this.frames - 1)); }

  // The clock waits for frames that are not decoded yet; nothing is skipped by one pane alone.
  async play() {
    this.paused = false;
    this.onstate();
    const round = (this.round = {});
    let start = performance.now() - (this.at * 1000) / this.fps;
    while (!this.paused && this.round === round && !this.closed) {
      const now = await new Promise(requestAnimationFrame);
      const due = Math.floor(((now - start) * this.fps) / 1000), frame = due % this.frames;
      if (due <= this.at) continue;
      if (!(await this.show(frame))) break;
      for (const reel of this.reels) reel.load((reel.group(frame) + 1) % reel.starts.length);
      if (due !== frame || performance.now() - now > 500 / this.fps) start = performance.now() - (frame * 1000) / this.fps;
    }
  }

  pause() {
    this.paused = true;
    this.onstate();
  }

  draw(context, pane, x, y, width, height) {
    const clip = this.clips[Math.max(pane - 1, 0)], picture = this.shown[Math.max(pane - 1, 0)];
    const { canvas } = context;
    context.drawImage(picture, x, (pane ? clip.pitchY : 0) + y, width, height, 0, 0, canvas.width, canvas.height);
  }

  close() {
    this.closed = true;
    this.paused = true;
    for (const one of this.shown) one.close();
    for (const reel of this.reels) reel.close();
  }
}
