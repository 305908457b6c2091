"use strict";
// Plots of points as SVG: colours come from the page's classes, so they follow dark mode and print.
const SVG = "http://www.w3.org/2000/svg";
const MARKS = [
  (x, y) => `M${x} ${y}h0`,
  (x, y) => `M${x - 3} ${y}h6m-3 -3v6`,
  (x, y) => `M${x - 3} ${y - 3}l6 6m0 -6l-6 6`,
  (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
];
const PAD = { left: 58, right: 14, top: 10, bottom: 44 };
const REACH = 18; // px around a point in which it is found

const make = (name, attributes = {}, parent = null) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
};
const html = (name, kind, parent, words = "") => {
  const element = document.createElement(name);
  element.className = kind;
  element.textContent = words;
  parent.append(element);
  return element;
};
const round = (value) => Math.round(value * 10) / 10;
// Steps of 1, 2 or 5 times a power of ten, about `wanted` of them.
const ticksOf = (low, high, wanted) => {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) {
    ticks.push(Number((n * step).toPrecision(10)));
  }
  return ticks;
};

class Plot {
  constructor(data) {
    this.data = data;
    this.root = document.getElementById(data.id);
    this.root.plot = this;
    this.hidden = new Set();
    this.points = data.series.flatMap((one, series) =>
      one.x.map((x, index) => ({ x, y: one.y[index], series, index })));
    this.whole = this.bounds();
    this.view = { ...this.whole };
    this.bar = html("div", "plot-bar", this.root);
    this.legend();
    this.tools();
    this.frame = html("div", "plot-frame", this.root);
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "application");
    this.frame.setAttribute("aria-label", `${this.root.dataset.label}. Arrow keys go from point to`
      + " point, plus and minus zoom, 0 shows everything.");
    this.svg = make("svg", { class: "plot-svg" }, this.frame);
    this.tip = html("div", "plot-tip", this.frame);
    this.tip.setAttribute("role", "status");
    this.tip.hidden = true;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.frame);
    this.draw();
  }

  bounds() {
    const span = (values) => {
      let low = Infinity;
      let high = -Infinity;
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
      if (low > high) return [0, 1];
      const edge = 0.04 * (high - low) || 1;
      return [low - edge, high + edge];
    };
    const xs = this.points.map((point) => point.x);
    const ys = this.points.map((point) => point.y);
    if (this.data.diagonal) xs.push(0, ...span(ys)), ys.push(0, ...span(xs));
    const [left, right] = span(xs);
    const [bottom, top] = span(ys);
    return { left, right, bottom, top };
  }

  legend() {
    this.data.series.forEach((one, series) => {
      const button = html("button", `plot-key ${one.kind}`, this.bar, one.name);
      button.type = "button";
      button.disabled = this.data.series.length < 2;
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const shown = !this.hidden.delete(series);
        if (shown) this.hidden.add(series);
        button.setAttribute("aria-pressed", String(!shown));
        this.draw();
      });
    });
  }

  tools() {
    const tools = html("span", "plot-tools", this.bar);
    const add = (sign, label, action) => {
      const button = html("button", "plot-tool", tools, sign);
      button.type = "button";
      button.title = label;
      button.setAttribute("aria-label", `${label}: ${this.root.dataset.label}`);
      button.addEventListener("click", action);
    };
    add("+", "Zoom in", () => this.zoom(0.5));
    add("\u2212", "Zoom out", () => this.zoom(2));
    add("\u27F2", "Show everything", () => this.show(this.whole));
  }

  show(view) {
    this.view = { ...view };
    this.choose(null);
    this.draw();
  }

  zoom(factor, at = null) {
    const { left, right, bottom, top } = this.view;
    const x = at ? at.x : (left + right) / 2;
    const y = at ? at.y : (bottom + top) / 2;
    this.show({
      left: x - (x - left) * factor,
      right: x + (right - x) * factor,
      bottom: y - (y - bottom) * factor,
      top: y + (top - y) * factor,
    });
  }

  // Places inside the drawing, px, and back.
  toX(x) {
    return PAD.left + (x - this.view.left) / (this.view.right - this.view.left) * this.inner.width;
  }

  toY(y) {
    return PAD.top + (this.view.top - y) / (this.view.top - this.view.bottom) * this.inner.height;
  }

  fromPixels(px, py) {
    const { left, right, bottom, top } = this.view;
    return {
      x: left + (px - PAD.left) / this.inner.width * (right - left),
      y: top - (py - PAD.top) / this.inner.height * (top - bottom),
    };
  }

  draw() {
    const width = Math.max(240, this.frame.clientWidth || 480);
    const height = width < 420 ? 280 : 340;
    this.inner = { width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const clip = `clip-${this.data.id}`;
    const area = { x: PAD.left, y: PAD.top, width: this.inner.width, height: this.inner.height };
    make("rect", area, make("clipPath", { id: clip }, make("defs", {}, this.svg)));
    make("rect", { ...area, class: "plot-area" }, this.svg);
    this.axes(area, width, height);
    const group = make("g", { "clip-path": `url(#${clip})` }, this.svg);
    if (this.data.diagonal) {
      const low = Math.min(this.view.left, this.view.bottom);
      const high = Math.max(this.view.right, this.view.top);
      make("line", { class: "plot-equal", x1: this.toX(low), y1: this.toY(low),
        x2: this.toX(high), y2: this.toY(high) }, group);
    }
    this.data.series.forEach((one, series) => {
      if (!this.hidden.has(series)) this.marks(one, series, group);
    });
    this.ring = make("circle", { class: "plot-ring", r: 9, visibility: "hidden" }, group);
    this.box = make("rect", { class: "plot-box", visibility: "hidden" }, this.svg);
    this.choose(this.chosen);
  }

  axes(area, width, height) {
    const base = area.y + area.height;
    for (const tick of ticksOf(this.view.left, this.view.right, area.width / 80)) {
      const x = round(this.toX(tick));
      make("path", { class: "plot-grid", d: `M${x} ${area.y}V${base}` }, this.svg);
      make("text", { x, y: base + 16, "text-anchor": "middle" }, this.svg).textContent = tick;
    }
    for (const tick of ticksOf(this.view.bottom, this.view.top, area.height / 50)) {
      const y = round(this.toY(tick));
      make("path", { class: "plot-grid", d: `M${area.x} ${y}H${area.x + area.width}` }, this.svg);
      make("text", { x: area.x - 6, y: y + 4, "text-anchor": "end" }, this.svg).textContent = tick;
    }
    const [below, beside] = this.data.labels;
    make("text", { class: "plot-label", x: area.x + area.width / 2, y: height - 8,
      "text-anchor": "middle" }, this.svg).textContent = below;
    make("text", { class: "plot-label", "text-anchor": "middle",
      transform: `translate(13 ${area.y + area.height / 2}) rotate(-90)` }, this.svg)
      .textContent = beside;
  }

  // One path for all points of a size: thousands of points stay fast.
  marks(one, series, group) {
    const sizes = new Map();
    const mark = MARKS[one.count ? 0 : series % MARKS.length];
    for (let index = 0; index < one.x.length; index += 1) {
      const x = round(this.toX(one.x[index]));
      const y = round(this.toY(one.y[index]));
      if (x < -50 || y < -50 || x > this.inner.width + 150 || y > this.inner.height + 100) continue;
      const size = one.count ? Math.round(5 + 2.5 * Math.log2(one.count[index])) : 0;
      sizes.set(size, (sizes.get(size) || "") + mark(x, y));
    }
    for (const [size, d] of [...sizes].sort((a, b) => b[0] - a[0])) {
      const width = size || (mark === MARKS[0] ? 5.5 : 1.6);
      make("path", { class: `plot-points ${one.kind}`, d, "stroke-width": width }, group);
    }
  }

  nearest(px, py) {
    let best = null;
    let least = REACH ** 2;
    for (const point of this.points) {
      if (this.hidden.has(point.series)) continue;
      const distance = (this.toX(point.x) - px) ** 2 + (this.toY(point.y) - py) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  choose(point) {
    this.chosen = point;
    const seen = point && !this.hidden.has(point.series);
    this.tip.hidden = !seen;
    if (this.ring) this.ring.setAttribute("visibility", seen ? "visible" : "hidden");
    if (!seen) return;
    const [x, y] = [this.toX(point.x), this.toY(point.y)];
    this.ring.setAttribute("cx", x);
    this.ring.setAttribute("cy", y);
    this.tip.replaceChildren();
    for (const [label, field, unit] of this.data.tips) {
      html("span", "plot-tip-label", this.tip, label);
      html("span", "", this.tip, `${this.valueOf(point, field)}${unit && ` ${unit}`}`);
    }
    const scale = this.frame.clientWidth / this.svg.viewBox.baseVal.width;
    const right = x * scale + 14 + this.tip.offsetWidth > this.frame.clientWidth;
    const left = right ? x * scale - 14 - this.tip.offsetWidth : x * scale + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${Math.max(0, y * scale - this.tip.offsetHeight / 2)}px`;
  }

  valueOf(point, field) {
    const one = this.data.series[point.series];
    if (field === "name") return one.name;
    if (field === "count") return one.count[point.index];
    if (field !== "address") return point[field];
    const [, height, width] = this.data.shape;
    const neuron = one.neuron[point.index];
    const channel = Math.floor(neuron / (height * width));
    return `(${channel}, ${Math.floor(neuron / width) % height}, ${neuron % width})`;
  }

  // The next point in order of x; it comes into view.
  step(direction) {
    const shown = this.points.filter((point) => !this.hidden.has(point.series)
      && point.x >= this.view.left && point.x <= this.view.right
      && point.y >= this.view.bottom && point.y <= this.view.top);
    if (!shown.length) return;
    shown.sort((a, b) => a.x - b.x || a.y - b.y);
    const now = shown.indexOf(this.chosen);
    const first = direction > 0 ? 0 : shown.length - 1;
    this.choose(shown[now < 0 ? first : (now + direction + shown.length) % shown.length]);
  }

  place(event) {
    const area = this.svg.getBoundingClientRect();
    const scale = this.svg.viewBox.baseVal.width / area.width;
    return [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
  }

  listen() {
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerleave", () => { if (!this.start) this.choose(null); });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) {
        this.start = this.place(event);
        this.svg.setPointerCapture(event.pointerId);
      } else {
        this.choose(this.nearest(...this.place(event)));
      }
    });
    this.svg.addEventListener("pointerup", (event) => this.drop(event));
    this.svg.addEventListener("pointercancel", () => { this.start = null; });
    this.svg.addEventListener("dblclick", () => this.show(this.whole));
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.fromPixels(...this.place(event)));
    }, { passive: false });
    const keys = {
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      "+": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.show(this.whole),
      Escape: () => this.choose(null),
    };
    this.frame.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  move(event) {
    const [x, y] = this.place(event);
    if (!this.start) {
      this.choose(this.nearest(x, y));
      return;
    }
    const [x0, y0] = this.start;
    for (const [key, value] of Object.entries({ x: Math.min(x, x0), y: Math.min(y, y0),
      width: Math.abs(x - x0), height: Math.abs(y - y0), visibility: "visible" })) {
      this.box.setAttribute(key, value);
    }
  }

  drop(event) {
    if (!this.start) return;
    const [a, b] = [this.start, this.place(event)];
    this.start = null;
    this.box.setAttribute("visibility", "hidden");
    const [wide, high] = [Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
    if (Math.max(wide, high) < 6) return;
    const [p, q] = [this.fromPixels(...a), this.fromPixels(...b)];
    // a drag along one axis keeps the other as it is
    const across = wide < 6 ? {} : { left: Math.min(p.x, q.x), right: Math.max(p.x, q.x) };
    const along = high < 6 ? {} : { bottom: Math.min(p.y, q.y), top: Math.max(p.y, q.y) };
    this.show({ ...this.view, ...across, ...along });
  }
}

for (const item of plotItems) new Plot(item);
document.documentElement.dataset.plots = "ready";
