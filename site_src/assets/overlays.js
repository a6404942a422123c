// What evidence says of each frame, drawn over the panes: SegNet's class maps, where they disagree, the pose error.
// A pair has one map and one error; they are shown on both of its frames.

// A sheet of class maps as lab.answers writes it: red 20 + 40 * class on the decode, blue 20 + 40 * class on the source.
export class Maps {
  constructor({ answers, pairs, mapWidth, mapHeight }) {
    Object.assign(this, { src: answers, count: Number(pairs), width: Number(mapWidth), height: Number(mapHeight) });
  }

  async open() {
    const answer = await fetch(this.src);
    if (!answer.ok) throw new Error(`${answer.status}`);
    const picture = await createImageBitmap(await answer.blob());
    const columns = Math.round(picture.width / this.width), { width, height } = this;
    const canvas = new OffscreenCanvas(picture.width, height), context = canvas.getContext("2d", { willReadFrequently: true });
    this.source = new Uint8Array(this.count * width * height);
    this.decode = new Uint8Array(this.count * width * height);
    for (let row = 0; row * columns < this.count; row++) {
      context.drawImage(picture, 0, -row * height);
      const { data } = context.getImageData(0, 0, picture.width, height);
      for (let column = 0; column < columns && row * columns + column < this.count; column++) {
        let to = (row * columns + column) * width * height;
        for (let y = 0; y < height; y++) {
          let from = 4 * (y * picture.width + column * width);
          for (let x = 0; x < width; x++, from += 4, to++) {
            this.decode[to] = data[from] / 40;
            this.source[to] = data[from + 2] / 40;
          }
        }
      }
    }
    picture.close();
  }

  // A picture of one pair: "classes" of source or decode in the palette, or "differs" between them.
  drawn(kind, pair, original, palette) {
    this.canvas ??= new OffscreenCanvas(this.width, this.height);
    const context = this.canvas.getContext("2d"), picture = context.createImageData(this.width, this.height);
    const start = pair * this.width * this.height, shown = original ? this.source : this.decode;
    for (let at = 0, to = 0; at < this.width * this.height; at++, to += 4) {
      const here = shown[start + at], odd = this.source[start + at] !== this.decode[start + at];
      const [red, green, blue, alpha] = kind === "classes" ? palette[here] : odd ? palette.odd : palette.even;
      picture.data[to] = red;
      picture.data[to + 1] = green;
      picture.data[to + 2] = blue;
      picture.data[to + 3] = alpha;
    }
    context.putImageData(picture, 0, 0);
    return this.canvas;
  }
}

// Colours of the stylesheet as numbers; the classes take the tones in their order.
export function palette(count) {
  const style = getComputedStyle(document.documentElement);
  const read = (name, alpha) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).concat(alpha);
  };
  const found = Array.from({ length: count }, (_, at) => read(`--tone-${at}`, 165));
  return Object.assign(found, { odd: read("--lane", 255), even: [0, 0, 0, 130] });
}

// `pair,segnet,posenet` of a run.
export async function readPairs(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const [, ...rows] = (await answer.text()).trim().split("\n");
  return rows.map((row) => row.split(",").map(Number)).map(([, segnet, posenet]) => ({ segnet, posenet }));
}

// The pose error of every pair shown, square root to one scale, along the lower edge; the current pair stands out.
export function drawPose(context, pairs, pair, count, highest) {
  const { width, height } = context.canvas, style = getComputedStyle(document.documentElement);
  const tall = height * 0.2, step = width / count;
  context.fillStyle = "#000b";
  context.fillRect(0, height - tall - 6, width, tall + 6);
  for (let at = 0; at < count; at++) {
    const bar = tall * Math.sqrt(pairs[at].posenet / highest);
    context.fillStyle = at === pair ? style.getPropertyValue("--lane") : "#c8cdd0";
    context.fillRect(at * step, height - bar, Math.max(step - 1, 1), bar);
  }
}
