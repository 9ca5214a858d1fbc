/* Plots of a draft: four histograms and text length against duration. Drawn from columns of numbers, 10,000 rows at once.
   A bar filters the table, a point opens its row; arrow keys do both, and the table holds the same rows for everybody. */

import { escape, getJson } from "./desk_api.js";

const MARGIN = { left: 46, right: 14, top: 22, bottom: 34 };
const NEAR_PX = 14;
const CELL_PX = 16; // of the index that finds the point under the pointer
const INKS = ["--quiet", "--fail", "--wait", "--none"]; // by the worst finding: none, error, warning, note
const WORDS = ["", "error", "warning", "note"];

const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

/* Round steps of 1, 2 or 5 times a power of ten. */
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toPrecision(10)));
  return found;
}

/* Bars of a measure: `width` wide, doubled until there are few enough. */
export function bars(values, width, most = 48) {
  const known = values.filter((v) => v !== null);
  if (!known.length) return null;
  let low = Infinity;
  let high = -Infinity;
  for (const value of known) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  let step = width;
  while ((high - low) / step > most) step *= 2;
  const first = Math.floor(low / step);
  const counts = new Array(Math.floor(high / step) - first + 1).fill(0);
  for (const value of known) counts[Math.floor(value / step) - first] += 1;
  return { step, start: first * step, counts, known: known.length };
}

export class Plots {
  constructor(page) {
    this.page = page;
    this.points = null;
    this.asked = 0; // the latest request for them; older answers are let go
    this.draft = "";
    this.opened = "";
    new MutationObserver(() => this.paint()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  forget() {
    this.asked += 1;
    this.points = null;
  }

  async draw(pane) {
    const { draft } = this.page;
    if (!this.points || this.draft !== draft) {
      pane.innerHTML = '<p class="em-quiet">Gathering the numbers …</p>';
      this.asked += 1;
      const mine = this.asked;
      const points = await getJson(this.page.url("/points"));
      if (mine !== this.asked) return;
      Object.assign(this, { draft, points });
    }
    if (this.page.tab !== "plots" || this.page.draft !== draft) return;
    const { measures, ids } = this.points;
    pane.innerHTML = `<div class="em-deskplots"><figure class="em-deskplot em-scatter"><figcaption><h2>Text length against duration</h2>
      <p class="em-quiet">${ids.length.toLocaleString("en")} rows. A point far from the others has too much or too little text for its
      audio; click it to hear it.</p></figcaption><div class="em-canvas"><canvas tabindex="0" role="application" data-scatter
      aria-label="Text length against duration. Arrow keys go from row to row by duration, Enter opens the row. The table under
      Rows holds the same."></canvas><output class="em-tip" hidden></output></div>
      <p class="em-desklegend"><span class="em-state em-fail">error</span><span class="em-state em-wait">warning</span>
      <span class="em-state em-none">nothing, or a note</span></p></figure>
      ${measures.map((m, i) => `<figure class="em-deskplot"><figcaption><h2>${escape(m.title)}</h2></figcaption>
        <div class="em-canvas em-low"><canvas tabindex="0" role="application" data-bars="${i}" aria-label="Histogram of
        ${escape(m.title.toLowerCase())}. Arrow keys go from bar to bar, Enter shows the rows of a bar."></canvas>
        <output class="em-tip" hidden></output></div></figure>`).join("")}</div>`;
    this.scatter = null;
    this.charts = [...pane.querySelectorAll("canvas")].map((canvas) => (canvas.dataset.bars === undefined
      ? new Scatter(canvas, this) : new Histogram(canvas, this, measures[Number(canvas.dataset.bars)])));
    [this.scatter] = this.charts;
    this.watch?.disconnect();
    this.watch = new ResizeObserver(() => this.paint());
    this.watch.observe(pane);
    this.paint();
  }

  mark(row) {
    this.opened = row;
    if (this.scatter?.canvas.isConnected) this.scatter.paint();
  }

  paint() {
    this.charts?.forEach((chart) => { if (chart.canvas.isConnected) chart.paint(); });
  }
}

/* What both kinds of plot share: a sharp canvas, axes, a tip beside the pointer. */
class Chart {
  constructor(canvas, plots) {
    this.canvas = canvas;
    this.plots = plots;
    this.tip = canvas.parentElement.querySelector("output");
    this.at = -1;
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => { if (document.activeElement !== canvas) this.show(-1); });
    canvas.addEventListener("click", (event) => { this.point(event); this.choose(); });
    canvas.addEventListener("blur", () => this.show(-1));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  begin() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = '12px ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif';
    return pen;
  }

  axes(pen, xs, ys, xLabel, yLabel = "") {
    const bottom = this.height - MARGIN.bottom;
    pen.strokeStyle = css("--rule");
    pen.fillStyle = css("--quiet");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of ys) {
      const y = Math.round(this.y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(MARGIN.left, y);
      pen.lineTo(this.width - MARGIN.right, y);
      pen.stroke();
      pen.fillText(value.toLocaleString("en"), MARGIN.left - 6, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const value of xs) pen.fillText(String(value), this.x(value), bottom + 5);
    pen.textAlign = "right";
    pen.fillText(xLabel, this.width - MARGIN.right, bottom + 19);
    pen.textAlign = "left";
    pen.fillText(yLabel, 0, 0);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  tell(text, x, y) {
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    const room = this.width - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(4, Math.min(x + 10, room))}px`;
    this.tip.style.top = `${Math.max(0, y - 34)}px`;
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 20, PageDown: -20 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (step) this.move(step);
    else if (event.key === "Home") this.move(-Infinity);
    else if (event.key === "End") this.move(Infinity);
    else if (event.key === "Enter") this.choose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

class Histogram extends Chart {
  constructor(canvas, plots, measure) {
    super(canvas, plots);
    this.measure = measure;
    this.bars = bars(measure.values, measure.width);
  }

  x(value) {
    const { start, step, counts } = this.bars;
    return MARGIN.left + ((value - start) / (step * counts.length)) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(value) {
    const bottom = this.height - MARGIN.bottom;
    return bottom - (value / this.most) * (bottom - MARGIN.top);
  }

  paint() {
    const pen = this.begin();
    if (!this.bars) {
      pen.fillStyle = css("--quiet");
      pen.textAlign = "center";
      pen.fillText("Nothing was measured.", this.width / 2, this.height / 2);
      return;
    }
    const { start, step, counts } = this.bars;
    this.most = Math.max(...counts);
    const end = start + step * counts.length;
    this.axes(pen, ticks(start, end, this.width / 70), ticks(0, this.most, 3).filter(Number.isInteger), this.measure.unit, "rows");
    counts.forEach((count, i) => {
      const [left, right] = [this.x(start + i * step), this.x(start + (i + 1) * step)];
      const top = Math.min(this.y(count), this.height - MARGIN.bottom - (count ? 2 : 0)); // one row among thousands is still seen
      pen.fillStyle = css(i === this.at ? "--ink" : "--accent");
      pen.fillRect(left + 0.5, top, Math.max(1, right - left - 1), this.height - MARGIN.bottom - top);
    });
  }

  point(event) {
    if (!this.bars) return;
    const [x] = this.place(event);
    const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    this.show(share < 0 || share >= 1 ? -1 : Math.floor(share * this.bars.counts.length));
  }

  show(at) {
    if (this.at === at || !this.bars) return;
    this.at = at;
    this.paint();
    const { start, step, counts } = this.bars;
    const low = start + at * step;
    this.tell(at < 0 ? "" : `${trim(low)} to ${trim(low + step)} ${this.measure.unit}: ${counts[at].toLocaleString("en")} ${counts[at] === 1 ? "row" : "rows"}`,
      this.x(low), this.y(counts[at] || 0));
  }

  move(step) {
    if (this.bars) this.show(Math.max(0, Math.min(this.bars.counts.length - 1, this.at + step)));
  }

  choose() {
    if (!this.bars || this.at < 0 || !this.bars.counts[this.at]) return;
    const low = this.bars.start + this.at * this.bars.step;
    const { page } = this.plots;
    page.act(null, () => page.rows.showRange(this.measure.name, trim(low), trim(low + this.bars.step)));
  }
}

const trim = (value) => Number(value.toPrecision(8));

class Scatter extends Chart {
  constructor(canvas, plots) {
    super(canvas, plots);
    const { points } = plots;
    const duration = points.measures.find((m) => m.name === "duration").values;
    this.rows = [];
    duration.forEach((seconds, i) => {
      if (seconds !== null) this.rows.push({ id: points.ids[i], seconds, characters: points.characters[i], worst: points.worst[i] });
    });
    this.byDuration = [...this.rows.keys()].sort((a, b) => this.rows[a].seconds - this.rows[b].seconds);
    this.maxSec = Math.max(1, ...[0.05].concat(this.rows.length ? [this.rows[this.byDuration[this.byDuration.length - 1]].seconds] : []));
    this.maxChars = this.rows.reduce((most, row) => Math.max(most, row.characters), 10);
  }

  x(seconds) {
    return MARGIN.left + (seconds / (this.maxSec * 1.03)) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(characters) {
    const bottom = this.height - MARGIN.bottom;
    return bottom - (characters / (this.maxChars * 1.05)) * (bottom - MARGIN.top);
  }

  paint() {
    const pen = this.begin();
    this.axes(pen, ticks(0, this.maxSec, this.width / 80), ticks(0, this.maxChars, 5), "seconds", "characters");
    this.index = new Map();
    const many = this.rows.length > 2000;
    for (const kind of [0, 3, 2, 1]) { // what is worst is drawn last, on top
      pen.fillStyle = css(INKS[kind]);
      pen.globalAlpha = kind === 1 || kind === 2 ? 0.95 : many ? 0.35 : 0.6;
      this.rows.forEach((row, i) => {
        if (row.worst !== kind) return;
        const [x, y] = [this.x(row.seconds), this.y(row.characters)];
        mark(pen, kind, x, y, many ? 2 : 2.8);
        const cell = `${Math.floor(x / CELL_PX)} ${Math.floor(y / CELL_PX)}`;
        if (!this.index.has(cell)) this.index.set(cell, []);
        this.index.get(cell).push(i);
      });
    }
    pen.globalAlpha = 1;
    for (const i of [this.rows.findIndex((row) => row.id === this.plots.opened), this.at]) if (i >= 0) this.ring(pen, this.rows[i]);
  }

  ring(pen, row) {
    pen.strokeStyle = css("--ink");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(this.x(row.seconds), this.y(row.characters), 7, 0, 2 * Math.PI);
    pen.stroke();
  }

  /* The nearest point by cells around the pointer; never a walk over all of them. */
  point(event) {
    const [x, y] = this.place(event);
    let best = -1;
    let least = NEAR_PX ** 2;
    const [cx, cy] = [Math.floor(x / CELL_PX), Math.floor(y / CELL_PX)];
    for (let dx = -1; dx <= 1; dx += 1) {
      for (let dy = -1; dy <= 1; dy += 1) {
        for (const i of this.index?.get(`${cx + dx} ${cy + dy}`) || []) {
          const far = (this.x(this.rows[i].seconds) - x) ** 2 + (this.y(this.rows[i].characters) - y) ** 2;
          if (far < least) [best, least] = [i, far];
        }
      }
    }
    this.show(best);
  }

  show(at) {
    if (this.at === at) return;
    this.at = at;
    this.canvas.style.cursor = at < 0 ? "" : "pointer";
    window.cancelAnimationFrame(this.frame);
    this.frame = window.requestAnimationFrame(() => { if (this.canvas.isConnected) this.paint(); });
    const row = this.rows[at];
    this.tell(row ? `${row.id}: ${row.seconds} s, ${row.characters} characters${row.worst ? `, ${WORDS[row.worst]}` : ""}` : "",
      row ? this.x(row.seconds) : 0, row ? this.y(row.characters) : 0);
  }

  move(step) {
    if (!this.rows.length) return;
    const now = this.at < 0 ? -1 : this.byDuration.indexOf(this.at);
    this.show(this.byDuration[Math.max(0, Math.min(this.rows.length - 1, now + step))]);
  }

  choose() {
    if (this.at < 0) return;
    const { page } = this.plots;
    page.act(null, () => page.card.open(this.rows[this.at].id));
  }
}

/* A shape a kind: squares are errors, triangles warnings, dots all else. */
function mark(pen, kind, x, y, r) {
  if (kind === 1) pen.fillRect(x - r - 0.6, y - r - 0.6, 2 * r + 1.2, 2 * r + 1.2);
  else {
    pen.beginPath();
    if (kind === 2) {
      pen.moveTo(x, y - r - 1.4);
      pen.lineTo(x + r + 1.2, y + r);
      pen.lineTo(x - r - 1.2, y + r);
    } else pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fill();
  }
}
