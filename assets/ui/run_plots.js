/* The curves of a run or of several laid over one another: one large plot of the losses, small ones of the rest, one
   cursor through all of them by pointer or by keys, and a line that reads out where it stands. */
import { draw, range, shape, smooth, SHAPES } from "/look/curves.js";

const GB = 1e9;
const short = (v, digits = 3) => (v === null || v === undefined || !Number.isFinite(v) ? "–" : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(Number(v.toPrecision(digits))));
const whole = (v) => (Number.isInteger(v) ? v.toLocaleString("en") : String(Number(v.toPrecision(3))));
const SMALL = {
  grad: { words: (v) => short(v) },
  rate: { words: (v) => (v ? v.toExponential(1).replace("e-", "e−").replace(".0", "") : "0") },
  pace: { words: (v) => short(v) },
  memory: { words: (v) => (v >= GB ? `${short(v / GB)} GB` : `${short(v / 1e6)} MB`) },
};

export class Plots {
  constructor(frame, { by }) {
    this.frame = frame;
    this.by = by;
    this.runs = [];
    this.cursor = null; // a place along the axis, in the axis' units; null follows the end
    this.places = {};
    const at = (selector) => frame.querySelector(selector);
    this.slider = at("[data-smooth]");
    this.slider.addEventListener("input", () => this.render());
    for (const figure of frame.querySelectorAll("[data-plot]")) {
      const svg = figure.querySelector("svg");
      svg.addEventListener("pointermove", (event) => this.point(figure.dataset.plot, event.clientX - svg.getBoundingClientRect().left));
      svg.addEventListener("pointerleave", () => this.moveTo(null));
    }
    at("[data-plot=loss] svg").addEventListener("keydown", (event) => this.key(event));
    frame.addEventListener("focusin", (event) => this.told(event));
    frame.addEventListener("click", (event) => this.told(event));
    new ResizeObserver(() => this.render()).observe(at("[data-plots]"));
    addEventListener("scroll", () => this.scrolled(), { passive: true });
  }

  show(runs, by) {
    this.by = by;
    this.runs = runs.map(([id, known], i) => ({ id, known, i, ...axis(known, by) }));
    this.frame.querySelector("[data-plots]").hidden = !this.runs.some((r) => r.known.x.length);
    this.render();
  }

  render() {
    const place = this.frame.querySelector("[data-plots]");
    if (place.hidden || !place.clientWidth) return;
    const several = this.runs.length > 1;
    const weight = Number(this.slider.value);
    for (const run of this.runs) run.smoothed = smooth(run.known.loss, weight);
    const xs = [0, Math.max(1e-9, ...this.runs.map((r) => r.end))];
    this.xs = xs;
    this.late = new Set(["loss", ...Object.keys(SMALL)]);
    this.drawSeen();
    this.legend(several, weight);
    this.moveTo(this.cursor);
  }

  /* What is out of sight is drawn when it comes into sight. */
  drawSeen() {
    const [xs, several, weight] = [this.xs, this.runs.length > 1, Number(this.slider.value)];
    for (const name of [...this.late]) {
      const place = this.svg(name).getBoundingClientRect();
      if (place.height && (place.top > innerHeight + 100 || place.bottom < -100)) continue;
      this.late.delete(name);
      if (name === "loss") this.drawLoss(xs, several, weight);
      else this.drawSmall(name, xs, several);
    }
  }

  scrolled() {
    if (!this.late || !this.late.size || this.waking || !this.frame.isConnected) return;
    this.waking = requestAnimationFrame(() => {
      this.waking = 0;
      this.drawSeen();
      this.moveTo(this.cursor);
    });
  }

  drawLoss(xs, several, weight) {
    const lines = [], marks = [];
    for (const run of this.runs) {
      const look = several ? `em-c${run.i + 1}` : "";
      if (!several && weight > 0) lines.push({ x: run.x, y: run.known.loss, look: "em-raw" });
      lines.push({ x: run.x, y: run.smoothed, look: several ? `${look} em-thin` : "em-train" });
      lines.push({ x: run.valX, y: run.known.val.map(([, v]) => v), look: several ? look : "em-val", shape: SHAPES[several ? run.i : 0] });
    }
    const ys = range([...this.runs.map((r) => r.smoothed), ...this.runs.map((r) => r.known.val.map(([, v]) => v))]);
    const [low, high] = several ? ys : widen(ys, range([this.runs[0].known.loss], 0.02));
    const span = [low - 0.06 * (high - low), high + 0.08 * (high - low)];
    if (this.runs.length) marks.push(...marksOf(this.runs[0], several));
    const svg = this.svg("loss");
    const spec = { lines, marks, xs, ys: span, yText: (v) => short(v), xText: whole };
    this.places.loss = draw(svg, spec);
    svg.setAttribute("aria-valuemin", "0");
    svg.setAttribute("aria-valuemax", String(this.runs[0] ? this.runs[0].known.x.at(-1) || 0 : 0));
  }

  drawSmall(name, xs, several) {
    const lines = [];
    let last = null;
    for (const run of this.runs) {
      const look = several ? `em-c${run.i + 1}` : "";
      if (name === "grad" && !several) {
        Object.entries(run.known.grad).forEach(([, y], i) => lines.push({ x: run.x, y, look: `em-part${i + 1}` }));
      } else lines.push({ x: run.x, y: column(run.known, name), look: several ? look : "em-train" });
      if (run.i === 0) last = column(run.known, name).findLast((v) => v !== null);
    }
    const figure = this.frame.querySelector(`[data-plot=${name}]`);
    const has = lines.some((l) => l.y.some((v) => v !== null));
    figure.hidden = !has;
    if (!has) return;
    const [low, high] = range(lines.map((l) => l.y), name === "grad" ? 0.005 : 0);
    const bottom = name === "memory" || name === "rate" || low < 0.6 * high ? 0 : low - 0.1 * (high - low);
    this.places[name] = draw(this.svg(name), { lines, xs, ys: [bottom, high + 0.06 * (high - bottom)], yText: SMALL[name].words, xText: whole });
    const parts = name === "grad" && !several ? Object.keys(this.runs[0].known.grad) : [];
    figure.querySelector("[data-last]").innerHTML =
      parts.length > 1 ? parts.map((part, i) => item(sign(`em-part${i + 1}`), text(part))).join("") : several ? "" : SMALL[name].words(last);
  }

  svg(name) {
    return this.frame.querySelector(`[data-plot=${name}] > svg`); // not a sign of the legend above it
  }

  legend(several, weight) {
    const marks = (this.runs[0] && this.runs[0].known.pieces.marks) || { checkpoints: [], alerts: [], resumes: [] };
    const parts = several
      ? this.runs.map((r) => item(sign(`em-c${r.i + 1}`, SHAPES[r.i]), text(r.id), r.i ? `<button class="em-takeout" data-drop="${text(r.id)}" aria-label="Take ${text(r.id)} out of the comparison">×</button>` : ""))
      : [item(sign("em-train"), weight ? "train, smoothed" : "train"), item(sign("em-val", "disc"), "validation")];
    if (several) parts.push('<span class="em-quiet">with shapes: validation; thin: train, smoothed</span>');
    if (marks.checkpoints.length) parts.push(item(`<svg class="em-sign em-mark-none" viewBox="0 0 22 12" aria-hidden="true">${shape("none", 11, 6, 5)}</svg>`, "checkpoint"));
    if (marks.alerts.length) parts.push(item(`<svg class="em-sign em-alert-mark" viewBox="0 0 22 12" aria-hidden="true">${shape("triangle", 11, 6, 5)}</svg>`, "alert"));
    if (marks.resumes.length) parts.push(item('<svg class="em-sign em-resume" viewBox="0 0 22 12" aria-hidden="true"><line x1="11" x2="11" y1="0" y2="12"/></svg>', "resumed"));
    const place = this.frame.querySelector("[data-legend]");
    const html = parts.join("");
    if (place.dataset.drawn !== html) {
      place.innerHTML = html;
      place.dataset.drawn = html;
    }
  }

  /* ---- the cursor */
  point(name, px) {
    const place = this.places[name];
    if (place) this.moveTo(Math.min(Math.max(place.value(px), this.xs[0]), this.xs[1]));
  }

  key(event) {
    const xs = this.runs[0] ? this.runs[0].x : [];
    if (!xs.length || event.target.closest("a")) return;
    const now = this.cursor === null ? xs.length - 1 : nearest(xs, this.cursor);
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: xs.length - 1 }[event.key];
    if (event.key === "Escape") return this.moveTo(null);
    if (to === undefined) return;
    event.preventDefault();
    this.moveTo(xs[Math.min(Math.max(to, 0), xs.length - 1)]);
  }

  moveTo(x) {
    this.cursor = x;
    for (const [name, place] of Object.entries(this.places)) {
      if (this.late && this.late.has(name)) continue;
      const line = this.svg(name).querySelector("[data-cursor]");
      const px = x === null ? -9 : place.x(x);
      if (!line) continue;
      line.setAttribute("x1", px);
      line.setAttribute("x2", px);
      line.setAttribute("display", x === null ? "none" : "inline");
    }
    const said = this.runs.map((run) => this.reading(run, x)).filter(Boolean);
    const readout = this.frame.querySelector("[data-readout]");
    if (!this.pinned) readout.textContent = said.join("\n");
    const svg = this.svg("loss");
    const first = this.runs[0];
    if (!first || !first.x.length) return;
    svg.setAttribute("aria-valuenow", String(first.known.x[x === null ? first.x.length - 1 : nearest(first.x, x)]));
    svg.setAttribute("aria-valuetext", said.join("; "));
  }

  reading(run, x) {
    const known = run.known;
    if (!run.x.length) return "";
    const at = x === null ? run.x.length - 1 : nearest(run.x, x);
    const several = this.runs.length > 1;
    const parts = [`${several ? `${run.id} ` : ""}step ${known.x[at]}, epoch ${known.epoch[at]}`, `train ${short(known.loss[at], 4)}`];
    const val = run.valX.findLastIndex((v) => v <= run.x[at] + 1e-9);
    if (val >= 0) parts.push(`validation ${short(known.val[val][1], 4)}`);
    if (several) return parts.join(" · ");
    const norms = Object.entries(known.grad).map(([part, y]) => `${part} ${short(y[at])}`);
    if (norms.length) parts.push(`gradient ${norms.join(", ")}`);
    for (const [name, word] of [["rate", "rate"], ["pace", "tokens/s"], ["memory", "memory"]]) {
      const value = column(known, name)[at];
      if (value !== null && value !== undefined) parts.push(`${word} ${SMALL[name].words(value)}`);
    }
    return parts.join(" · ");
  }

  /* What a mark says, for those who cannot hover: while it has the focus, and after a tap. */
  told(event) {
    const mark = event.target.closest("[data-told]");
    this.pinned = Boolean(mark);
    if (mark) this.frame.querySelector("[data-readout]").textContent = mark.dataset.told;
  }
}

const sign = (look, name) => `<svg class="em-sign" viewBox="0 0 22 12" aria-hidden="true"><g class="${look}"><path d="M0 6H22" class="em-line-path"/>${name ? shape(name, 11, 6, 4) : ""}</g></svg>`;
const item = (signed, word, more = "") => `<span class="em-legend-item">${signed}<span>${word}</span>${more}</span>`;
const text = (raw) => raw.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const widen = (a, b) => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

function column(known, name) {
  if (name !== "grad") return known[name].map((v) => (name === "memory" && !v ? null : v));
  const parts = Object.values(known.grad);
  return known.x.map((_, i) => (parts.length ? Math.hypot(...parts.map((p) => p[i] || 0)) : null));
}

/* Where each step lies: by step as it is, by epoch as a share of its epoch's steps. */
function axis(known, by) {
  const val = known.val.map(([step]) => step);
  if (by === "step") return { x: known.x, valX: val, end: Math.max(known.over ? 0 : known.total || 0, known.x.at(-1) || 0, val.at(-1) || 0) };
  const first = new Map();
  known.x.forEach((step, i) => first.has(known.epoch[i]) || first.set(known.epoch[i], step));
  const starts = [...first].sort((a, b) => a[0] - b[0]); // [epoch, its first step]
  const usual = known.epochs && known.total ? known.total / known.epochs : 0;
  const at = (step) => {
    if (!starts.length) return 0;
    let i = starts.findLastIndex(([, from]) => from <= step);
    if (i < 0) return 0;
    const next = starts[i + 1];
    const seen = (known.x.at(-1) || 0) - starts[i][1] + 1;
    const size = next ? (next[1] - starts[i][1]) / (next[0] - starts[i][0]) : Math.max(usual, seen);
    return starts[i][0] - 1 + Math.min(1, (step - starts[i][1] + 1) / size);
  };
  const x = known.x.map(at);
  return { x, valX: val.map(at), end: Math.max(known.over ? 0 : known.epochs || 0, x.at(-1) || 0) };
}

function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle;
    else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

/* Beside other runs the shapes on the lines say which run it is: checkpoints are on the axis then. */
function marksOf(run, several) {
  const { checkpoints, alerts, resumes } = run.known.pieces.marks || { checkpoints: [], alerts: [], resumes: [] };
  const { x, known } = run;
  const place = (step) => (x.length ? x[nearest(known.x, step)] : 0);
  const height = (step) => {
    const val = known.val.find(([s]) => s === step);
    return val ? val[1] : run.smoothed[nearest(known.x, step)];
  };
  if (!x.length) return [];
  return [
    ...resumes.map((step) => ({ kind: "resume", step, x: place(step), text: `resumed after step ${step}` })),
    ...checkpoints.map((c) => ({ ...c, kind: "checkpoint", x: place(c.step), y: several ? null : height(c.step) })),
    ...alerts.map((a) => ({ ...a, kind: "alert", x: place(a.step) })),
  ];
}
