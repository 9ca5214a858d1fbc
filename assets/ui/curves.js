/* Drawing curves as SVG in the page's colours: lines, dots, marks, axes, a cursor. Pure: numbers in, markup out. */

const PAD = { left: 48, right: 12, top: 14, bottom: 26 };
export const SHAPES = ["disc", "square", "triangle", "diamond", "ring", "cross"];

const esc = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const isNumber = (v) => v !== null && v !== undefined && Number.isFinite(v);

/* A shape around (x, y): verdicts and runs differ in shape as well as in colour. */
export function shape(name, x, y, r = 4.5) {
  const at = (dx, dy) => `${(x + dx * r).toFixed(1)},${(y + dy * r).toFixed(1)}`;
  const poly = (...points) => `<polygon points="${points.join(" ")}"/>`;
  switch (name) {
    case "square": case "fail": return poly(at(-0.9, -0.9), at(0.9, -0.9), at(0.9, 0.9), at(-0.9, 0.9));
    case "triangle": case "wait": return poly(at(0, -1.15), at(1.1, 0.85), at(-1.1, 0.85));
    case "diamond": return poly(at(0, -1.25), at(1.25, 0), at(0, 1.25), at(-1.25, 0));
    case "ring": case "none": return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${r * 0.85}" class="em-hollow"/>`;
    case "cross": case "gone": return `<path d="M${at(-1, -1)}L${at(1, 1)}M${at(-1, 1)}L${at(1, -1)}" class="em-stroke"/>`;
    default: return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${r}"/>`;
  }
}

/* Ticks at round numbers. */
export function ticks(low, high, count, whole = false) {
  const raw = (high - low) / Math.max(1, count);
  const base = 10 ** Math.floor(Math.log10(raw || 1));
  const steps = [1, 2, 2.5, 5, 10].map((m) => m * base).filter((s) => !whole || Number.isInteger(s));
  const step = steps.find((s) => s >= raw) || steps[0] || 1;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(10)));
  return found.length < 2 && count < 40 && !whole ? ticks(low, high, count * 2) : found;
}

export function range(lists, share = 0) {
  const all = lists.flat().filter(isNumber).sort((a, b) => a - b);
  if (!all.length) return [0, 1];
  const cut = Math.floor(all.length * share);
  let [low, high] = [all[cut], all[all.length - 1 - cut]];
  if (low === high) [low, high] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  return [low, high];
}

/* Mean of what came before, the newest counting least; without the pull of an arbitrary start. */
export function smooth(values, weight) {
  let sum = 0, mass = 0;
  return values.map((v) => {
    if (!isNumber(v)) return null;
    sum = weight * sum + (1 - weight) * v;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

/* At most two points for two pixels: the lowest and the highest, so that no spike is lost. */
function thin(xs, ys, pixels) {
  if (xs.length <= pixels * 2) return [xs, ys];
  const size = xs.length / pixels, keep = [];
  for (let p = 0; p < pixels; p += 1) {
    const from = Math.floor(p * size), to = Math.min(xs.length, Math.floor((p + 1) * size));
    let low = from, high = from;
    for (let i = from; i < to; i += 1) {
      if (isNumber(ys[i]) && !(ys[i] >= ys[low])) low = i;
      if (isNumber(ys[i]) && !(ys[i] <= ys[high])) high = i;
    }
    keep.push(Math.min(low, high));
    if (low !== high) keep.push(Math.max(low, high));
  }
  return [keep.map((i) => xs[i]), keep.map((i) => ys[i])];
}

/* The plot's scales: `box` is {width, height, xs: [low, high], ys: [low, high]}. */
export function scales({ width, height, xs, ys }) {
  const [w, h] = [width - PAD.left - PAD.right, height - PAD.top - PAD.bottom];
  return {
    x: (v) => PAD.left + ((v - xs[0]) / (xs[1] - xs[0] || 1)) * w,
    y: (v) => PAD.top + (1 - (v - ys[0]) / (ys[1] - ys[0] || 1)) * h,
    value: (px) => xs[0] + ((px - PAD.left) / (w || 1)) * (xs[1] - xs[0]),
    left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom, width: w,
  };
}

function path(line, to) {
  const [xs, ys] = thin(line.x, line.y, Math.max(60, Math.round(to.width / 2)));
  let drawn = "", pen = false;
  for (let i = 0; i < xs.length; i += 1) {
    if (!isNumber(ys[i])) { pen = false; continue; }
    drawn += `${pen ? "L" : "M"}${to.x(xs[i]).toFixed(1)} ${to.y(ys[i]).toFixed(1)}`;
    pen = true;
  }
  const last = xs.length === 1 && isNumber(ys[0]) ? shape("disc", to.x(xs[0]), to.y(ys[0]), 2) : "";
  return `<g class="${line.look}"><path d="${drawn}" class="em-line-path"/>${last}</g>`;
}

function dots(line, to) {
  if (!line.shape) return "";
  return `<g class="${line.look}">${line.x.map((x, i) => (isNumber(line.y[i]) ? shape(line.shape, to.x(x), to.y(line.y[i]), 3.6) : "")).join("")}</g>`;
}

/* A checkpoint sits on the curve, an alert hangs from the top, a resume is a dashed line. */
function mark(one, to) {
  const x = to.x(one.x);
  if (one.kind === "resume")
    return `<g class="em-resume"><line x1="${x}" x2="${x}" y1="${to.top}" y2="${to.bottom}"/><title>${esc(one.text)}</title><rect x="${x - 6}" y="${to.top}" width="12" height="${to.bottom - to.top}" class="em-hit"/></g>`;
  const y = one.kind === "alert" ? to.top + 2 : one.y === null ? to.bottom : to.y(one.y);
  const inside = one.kind === "alert"
    ? `<line x1="${x}" x2="${x}" y1="${to.top + 8}" y2="${to.bottom}"/>${shape("triangle", x, y + 4, 7)}<text x="${x}" y="${y + 9}" text-anchor="middle">!</text>`
    : shape(one.shape, x, y, 6);
  const hit = `<rect x="${x - 12}" y="${y - 12}" width="24" height="24" class="em-hit"/>`;
  const look = one.kind === "alert" ? `em-alert-mark${one.stops ? " em-stops" : ""}` : `em-checkpoint-mark em-mark-${one.shape}`;
  const told = `step ${one.step}: ${one.text}`;
  return `<a class="${look}" ${one.href ? `href="${esc(one.href)}"` : 'role="button"'} tabindex="0" data-told="${esc(told)}" data-step="${one.step}" aria-label="${esc(told)}">${hit}${inside}<title>${esc(told)}</title></a>`;
}

/* A whole plot. `spec`: {lines, marks, xs, ys, xLabel, yText(v), xText(v)}. */
export function draw(svg, spec) {
  const [width, height] = [svg.clientWidth || 300, svg.clientHeight || 120];
  const to = scales({ width, height, xs: spec.xs, ys: spec.ys });
  if (to.width < 20) return to; // not laid out yet
  const count = Math.max(2, Math.round((to.bottom - to.top) / 48));
  const rows = ticks(spec.ys[0], spec.ys[1], count).map((v) => `<line x1="${to.left}" x2="${to.right}" y1="${to.y(v)}" y2="${to.y(v)}" class="em-grid-line"/><text x="${to.left - 7}" y="${to.y(v) + 4}" text-anchor="end">${esc(spec.yText(v))}</text>`);
  const columns = ticks(spec.xs[0], spec.xs[1], Math.max(2, Math.round(to.width / 90)), true).map((v) => `<text x="${to.x(v)}" y="${to.bottom + 17}" text-anchor="middle">${esc(spec.xText(v))}</text>`);
  const clip = `clip-${svg.parentElement.dataset.plot}`;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.innerHTML =
    `<clipPath id="${clip}"><rect x="${to.left - 6}" y="${to.top - 6}" width="${to.width + 12}" height="${to.bottom - to.top + 12}"/></clipPath>` +
    `<g aria-hidden="true">${rows.join("")}${columns.join("")}</g><g clip-path="url(#${clip})" aria-hidden="true">${spec.lines.map((l) => path(l, to)).join("")}${spec.lines.map((l) => dots(l, to)).join("")}</g>` +
    `<line class="em-cursor" data-cursor y1="${to.top}" y2="${to.bottom}" x1="-9" x2="-9" display="none"/>${(spec.marks || []).map((m) => mark(m, to)).join("")}`;
  return to;
}
