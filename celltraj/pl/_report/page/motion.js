"use strict";

const SECONDS = 10; // that the whole course takes to play
const NEAR = 12; // pixels from the pointer within which a cell is meant
const FAINT = 6; // weight, of 64, below which a cell is not there
const MISSING = 255; // code of a cell without a value
const PLAIN = pixelOf(40, 90, 160); // where there is nothing to colour by

const find = (id) => document.getElementById(id);

function made(tag, text, parent) {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

/** Read "#rrggbb" as a pixel. */
function pixelOfHex(hex) {
  return pixelOf(...[1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
}

/** Everything that the page shows of moving cells. */
class Motion {
  constructor(data, blocks) {
    Object.assign(this, { data, ...blocks });
    this.canvas = find("cells");
    this.scatter = new Scatter(this.canvas);
    this.time = data.times[0];
    this.zoom = { scale: 1, x: 0.5, y: 0.5 };
    this.picked = null;
    this.nDrawn = 0; // counted, so that a test can tell how many are drawn in a second
    this.cloud = {
      n: data.n,
      positions: this.positions,
      weights: this.weights,
      shades: new Uint32Array(data.n),
      moves: data.moves,
    };
    this.observed = { n: data.background.n, positions: this.background };
    this.listen();
    this.color(0);
    this.redraw({ all: true });
  }

  /** Return the last frame at or before the time, and the way from it to the next, 0 to 1. */
  moment() {
    const { times } = this.data;
    let k = times.length - 1;
    while (k > 0 && times[k] > this.time) k--;
    if (k === times.length - 1) return [k, 0];
    return [k, (this.time - times[k]) / (times[k + 1] - times[k])];
  }

  draw() {
    this.waits = false;
    if (this.isViewNew) {
      this.scatter.drawBehind(find("background").checked ? this.observed : null, this.zoom);
      this.drawTrail();
    }
    this.isViewNew = false;
    const [k, part] = this.moment();
    this.scatter.draw(this.cloud, k, part, this.zoom);
    this.mark(k, part);
    find("time").value = this.time;
    const beyond = this.data.beyond[part < 0.5 ? k : k + 1] ? ", beyond the data" : "";
    find("now").textContent = `${this.data.time_label} ${this.timeText()}${beyond}`;
    this.nDrawn += 1;
  }

  timeText() {
    const span = this.data.times.at(-1) - this.data.times[0];
    const digits = span > 0 ? Math.max(0, Math.ceil(-Math.log10(span / 100))) : 2;
    return this.time.toFixed(Math.min(digits, 20));
  }

  /** Draw at the next frame of the screen, however many changes there were until then. */
  redraw({ all = false } = {}) {
    this.isViewNew = this.isViewNew || all;
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => this.draw());
  }

  /** Return where the canvas shows positions, in pixels of the page. */
  placement() {
    return placement(this.zoom, this.canvas.clientWidth, this.canvas.clientHeight);
  }

  /** Return where cell i is, in pixels of the page from the upper left of the canvas. */
  pixel(i, k, part, { left, top, across, up }) {
    const { positions: at } = this;
    const { n, moves } = this.data;
    const before = moves ? 2 * (k * n + i) : 2 * i;
    const after = moves && part > 0 ? before + 2 * n : before;
    const x = at[before] + part * (at[after] - at[before]);
    const y = at[before + 1] + part * (at[after + 1] - at[before + 1]);
    return [left + across * x, top - up * y];
  }

  isThere(i, k, part) {
    if (!this.weights) return true;
    const now = this.weights[k * this.data.n + i];
    const next = part > 0 ? this.weights[(k + 1) * this.data.n + i] : now;
    return now + part * (next - now) > FAINT;
  }

  /** Return the cell nearest to a pixel, null where none is near. */
  nearest(left, top) {
    const [k, part] = this.moment();
    const placed = this.placement();
    let best = null;
    let least = NEAR * NEAR;
    for (let i = 0; i < this.data.n; i++) {
      const [x, y] = this.pixel(i, k, part, placed);
      const away = (x - left) * (x - left) + (y - top) * (y - top);
      if (away < least && this.isThere(i, k, part)) {
        best = i;
        least = away;
      }
    }
    return best;
  }

  /** Draw the way of the cell that was picked; what moves with it is marked frame by frame. */
  drawTrail() {
    const placed = this.placement();
    const moves = this.picked !== null && this.data.moves;
    const stops = moves ? this.data.times.map((_, k) => this.pixel(this.picked, k, 0, placed)) : [];
    find("way").setAttribute("points", stops.map((stop) => stop.join(",")).join(" "));
  }

  mark(k, part) {
    const ring = find("ring");
    const isShown = this.picked !== null && this.isThere(this.picked, k, part);
    ring.setAttribute("r", isShown ? 7 : 0);
    if (!isShown) return;
    const [x, y] = this.pixel(this.picked, k, part, this.placement());
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
  }

  /** Colour the cells by one of the annotations, and say what the colours mean. */
  color(which) {
    const legend = find("legend");
    legend.replaceChildren();
    const { shades } = this.cloud;
    const one = this.data.annotations[which];
    if (one) {
      const palette = (one.colors ?? this.data.scale).map(pixelOfHex);
      palette[MISSING] = GREY;
      this.codes[which].forEach((code, i) => (shades[i] = palette[code]));
      if (one.labels) this.listLabels(one, legend);
      else this.showScale(one, legend);
    } else {
      shades.fill(PLAIN);
    }
    this.redraw();
  }

  listLabels(one, legend) {
    const list = made("ul", "", legend);
    one.labels.forEach((label, k) => {
      const item = made("li", "", list);
      made("span", "", item).style.background = one.colors[k];
      item.append(label);
    });
  }

  showScale(one, legend) {
    const bar = made("div", "", legend);
    bar.className = "scale";
    bar.style.background = `linear-gradient(to right, ${this.data.scale.join(",")})`;
    const ends = made("div", "", legend);
    ends.className = "ends";
    made("span", one.low, ends);
    made("span", one.high, ends);
  }

  /** Return what an annotation says of a cell. */
  valueOf(which, i) {
    const one = this.data.annotations[which];
    const code = this.codes[which][i];
    if (code === MISSING) return "none";
    if (one.labels) return one.labels[code];
    const value = one.from + (code / 254) * (one.to - one.from);
    return String(Number(value.toPrecision(3)));
  }

  hover(event) {
    const hint = find("hint");
    const found = this.nearest(event.offsetX, event.offsetY);
    hint.hidden = found === null;
    if (found === null) return;
    const which = find("color").value;
    const one = this.data.annotations[which];
    const value = one ? `\n${one.name}: ${this.valueOf(which, found)}` : "";
    hint.textContent = this.names[found] + value;
    const isRight = event.offsetX > this.canvas.clientWidth / 2;
    hint.style.left = isRight ? "" : `${event.offsetX + 14}px`;
    hint.style.right = isRight ? `${this.canvas.clientWidth - event.offsetX + 14}px` : "";
    hint.style.top = `${event.offsetY + 14}px`;
  }

  pick(i) {
    this.picked = i;
    const box = find("picked");
    box.replaceChildren();
    this.drawTrail();
    this.redraw();
    if (i === null) {
      made("p", "Click a cell for its fates and its annotations.", box);
      return;
    }
    made("h3", this.names[i], box);
    if (this.data.fates) this.showFates(i, box);
    const list = made("dl", "", box);
    this.data.annotations.forEach((one, k) => {
      made("dt", one.name, list);
      made("dd", this.valueOf(k, i), list);
    });
  }

  showFates(i, box) {
    const { names, colors } = this.data.fates;
    const shares = names.map((_, k) => this.shares[i * names.length + k]);
    if (shares.some((share) => share === MISSING)) {
      made("p", "No fates are known of this cell.", box);
      return;
    }
    made("p", "Share of its descendants in each fate", box);
    const bars = made("div", "", box);
    bars.className = "fates";
    names.forEach((name, k) => {
      made("span", name, bars);
      const bar = made("div", "", made("div", "", bars));
      bar.style.width = `${shares[k] / 2}%`;
      bar.style.background = colors[k];
      made("span", `${(shares[k] / 2).toFixed(0)} %`, bars);
    });
  }

  play() {
    this.plays = !this.plays;
    find("play").textContent = this.plays ? "Pause" : "Play";
    if (!this.plays) return;
    const [first, last] = [this.data.times[0], this.data.times.at(-1)];
    if (this.time >= last) this.time = first;
    let before = null;
    const step = (now) => {
      if (!this.plays) return;
      const seconds = before === null ? 0 : (now - before) / 1000;
      const speed = (Number(find("speed").value) * (last - first)) / SECONDS;
      this.time = Math.min(last, this.time + seconds * speed);
      before = now;
      this.draw();
      if (this.time >= last) this.play();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  listen() {
    const { canvas } = this;
    find("play").addEventListener("click", () => this.play());
    find("time").addEventListener("input", (event) => {
      this.time = Number(event.target.value);
      this.redraw();
    });
    find("color").addEventListener("change", (event) => this.color(Number(event.target.value)));
    find("background").addEventListener("change", () => this.redraw({ all: true }));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerleave", () => (find("hint").hidden = true));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = { x: event.offsetX, y: event.offsetY, far: 0 };
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.drag && this.drag.far < 4) this.pick(this.nearest(event.offsetX, event.offsetY));
      this.drag = null;
    });
    canvas.addEventListener("wheel", (event) => this.zoomAt(event), { passive: false });
    canvas.addEventListener("dblclick", () => {
      this.zoom = { scale: 1, x: 0.5, y: 0.5 };
      this.redraw({ all: true });
    });
    new ResizeObserver(() => {
      this.scatter.resize();
      this.redraw({ all: true });
    }).observe(canvas);
  }

  move(event) {
    if (!this.drag) {
      this.hover(event);
      return;
    }
    const { clientWidth, clientHeight } = this.canvas;
    const [right, down] = [event.offsetX - this.drag.x, event.offsetY - this.drag.y];
    this.zoom.x -= right / clientWidth / this.zoom.scale;
    this.zoom.y += down / clientHeight / this.zoom.scale;
    const far = this.drag.far + Math.abs(right) + Math.abs(down);
    this.drag = { x: event.offsetX, y: event.offsetY, far };
    this.redraw({ all: true });
  }

  /** Zoom so that what is under the pointer stays there. */
  zoomAt(event) {
    event.preventDefault();
    const { clientWidth, clientHeight } = this.canvas;
    const before = this.zoom.scale;
    const scale = Math.min(60, Math.max(1, before * Math.exp(-event.deltaY / 400)));
    const [right, up] = [event.offsetX / clientWidth - 0.5, 0.5 - event.offsetY / clientHeight];
    this.zoom.x += right / before - right / scale;
    this.zoom.y += up / before - up / scale;
    this.zoom.scale = scale;
    this.redraw({ all: true });
  }
}

async function start() {
  const data = JSON.parse(find("motion-data").textContent);
  const nFrames = data.moves ? data.times.length : 1;
  const blocks = {
    positions: await unpackedFrames(data.positions, nFrames),
    weights: data.weights && (await unpacked(data.weights)),
    background: await unpackedFrames(data.background.positions, 1),
    names: await unpackedTexts(data.names),
    codes: await Promise.all(data.annotations.map((one) => unpacked(one.codes))),
    shares: data.fates && (await unpacked(data.fates.shares)),
  };
  window.motion = new Motion(data, blocks);
  find("motion").dataset.ready = "yes";
}

if (find("motion-data")) {
  start().catch((error) => {
    find("trouble").hidden = false;
    find("trouble").textContent = `The moving cells cannot be shown: ${error.message}.`;
  });
}
