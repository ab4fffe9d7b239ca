"use strict";

const PARTS = 4; // of a pixel, to which the place and the size of a dot are rounded
const LARGEST = 40; // pixels across
const MARGIN = LARGEST / 2 + 2; // pixels around the picture, so that no dot is cut at its edge
const SIDE = 65520; // of the box that positions lie in
const USUAL = 64; // weight of a usual cell
const WHITE = 0xffffffff;
const GREY = pixelOf(209, 209, 209);

/** Return a colour as a pixel of ImageData is stored. */
function pixelOf(red, green, blue) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * Draws points between two of their frames, pixel by pixel.
 *
 * WebGL is not used: where there is no graphics card, as on servers, it is emulated, and a frame of
 * 50,000 points took six times as long there as this does (Chromium 156, 85 and 13 ms of a core).
 */
class Scatter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.resize();
  }

  resize() {
    const { canvas } = this;
    this.ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * this.ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * this.ratio));
    this.width = canvas.width + 2 * MARGIN;
    this.height = canvas.height + 2 * MARGIN;
    this.image = this.context.createImageData(this.width, this.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.behind = new Uint32Array(this.pixels.length).fill(WHITE);
    this.stamps = new Array((PARTS * LARGEST + 1) * PARTS * PARTS).fill(null);
  }

  /** Draw points that stay behind all others until the view changes; null for none. */
  drawBehind(cloud, zoom) {
    this.behind.fill(WHITE);
    if (cloud) this.stampAll(this.behind, cloud, 0, 0, zoom);
  }

  /** Draw points, `part` of the way from frame k to the next. */
  draw(cloud, k, part, zoom) {
    this.pixels.set(this.behind);
    this.stampAll(this.pixels, cloud, k, part, zoom);
    this.context.putImageData(this.image, -MARGIN, -MARGIN);
  }

  stampAll(pixels, cloud, k, part, zoom) {
    const { n, positions: at, weights, shades, moves } = cloud;
    const { left, top, across, up } = placement(zoom, this.canvas.width, this.canvas.height);
    const [now, next] = part > 0 ? [k * n, (k + 1) * n] : [k * n, k * n];
    const [before, after] = moves ? [2 * now, 2 * next] : [0, 0];
    const usual = this.ratio * diameterOf(n);
    for (let i = 0; i < n; i++) {
      const a = before + 2 * i;
      const b = after + 2 * i;
      const x = MARGIN + left + across * (at[a] + part * (at[b] - at[a]));
      const y = MARGIN + top - up * (at[a + 1] + part * (at[b + 1] - at[a + 1]));
      const weight = weights ? weights[now + i] * (1 - part) + weights[next + i] * part : USUAL;
      const diameter = (usual * weight) / USUAL;
      if (this.isSeen(x, y) && diameter > 0.3) {
        this.stamp(pixels, x, y, diameter, shades ? shades[i] : GREY);
      }
    }
  }

  isSeen(x, y) {
    const edge = MARGIN / 2;
    return x > edge && y > edge && x < this.width - edge && y < this.height - edge;
  }

  /** Mix the colour of a dot into the pixels that it covers. */
  stamp(pixels, x, y, diameter, shade) {
    const stamp = this.stampOf(x, y, diameter);
    const middle = Math.floor(y) * this.width + Math.floor(x);
    for (let j = 0; j < stamp.length; j += 2) {
      const at = middle + stamp[j];
      const cover = stamp[j + 1];
      if (cover === 256) {
        pixels[at] = shade;
        continue;
      }
      // red and blue at once, and green: each has eight bits of room above it
      const old = pixels[at];
      const outer = old & 0xff00ff;
      const green = old & 0xff00;
      const newOuter = outer + ((((shade & 0xff00ff) - outer) * cover) >> 8);
      const newGreen = green + ((((shade & 0xff00) - green) * cover) >> 8);
      pixels[at] = 0xff000000 | (newOuter & 0xff00ff) | (newGreen & 0xff00);
    }
  }

  /** Return which pixels a dot covers, from that of its middle, each with how much of it, of 256. */
  stampOf(x, y, diameter) {
    const size = Math.min(PARTS * LARGEST, Math.round(PARTS * diameter));
    const right = Math.floor(PARTS * (x - Math.floor(x)));
    const down = Math.floor(PARTS * (y - Math.floor(y)));
    const which = (size * PARTS + down) * PARTS + right;
    const known = this.stamps[which];
    if (known) return known;
    this.stamps[which] = this.newStamp(size / PARTS / 2, right / PARTS, down / PARTS);
    return this.stamps[which];
  }

  newStamp(radius, right, down) {
    const stamp = [];
    const reach = Math.ceil(radius + 1);
    const most = 256 * Math.min(1, 2 * radius); // a dot smaller than a pixel is faint
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const away = Math.hypot(dx + 0.5 - right - 0.5 / PARTS, dy + 0.5 - down - 0.5 / PARTS);
        const cover = Math.round(most * Math.min(1, Math.max(0, radius + 0.5 - away)));
        if (cover > 8) stamp.push(dy * this.width + dx, cover);
      }
    }
    return Int32Array.from(stamp);
  }
}

/** Return the diameter of a usual dot, smaller the more there are, in pixels of the page. */
function diameterOf(n) {
  return Math.min(8, Math.max(2.5, 600 / Math.sqrt(n)));
}

/** Return where a position (x, y) is shown: at left + across x and top - up y. */
function placement(zoom, width, height) {
  const [across, up] = [(zoom.scale * width) / SIDE, (zoom.scale * height) / SIDE];
  return {
    across,
    up,
    left: width / 2 - zoom.scale * width * zoom.x,
    top: height / 2 + zoom.scale * height * zoom.y,
  };
}
