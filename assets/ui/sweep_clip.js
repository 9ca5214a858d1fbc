/* One clip in place: the takes of the open cell, the panel of one of them with its wave, and its sound. What is pressed in a
   panel means the clip that the panel shows, and nothing while another one is on its way. */
import { escape, getHtml } from "/look/desk_api.js";
import { beside, marks } from "/look/sweep_cells.js";
import { page, $, keepInAddress, tried, trouble } from "/look/sweep_page.js";
import { Player, bars } from "/look/sweep_player.js";

const player = new Player(() => paint());
const told = (error) => trouble(error.message);

/* Open a cell with the take that is most like the one before. */
export function choose(key) {
  const takes = page.takes[key];
  if (!takes) return;
  page.cell = key;
  const alike = takes.filter(([, line, , seed, after]) => line === page.line && seed === page.seed && after === page.after);
  const same = alike.find(([, , , , , drawn]) => drawn === page.drawn_with) || alike[0] || takes.find(([, line]) => line === page.line) || takes[0];
  take(same);
  marks();
  keepInAddress();
}

/* Another take of the open cell. */
export function takeOf(clip) {
  const found = (page.takes[page.cell] || []).find(([id]) => id === clip);
  if (found) take(found);
}

export function nextTake(step) {
  const takes = page.takes[page.cell] || [];
  const next = takes[takes.findIndex(([clip]) => clip === page.clip) + step];
  if (!next) return;
  player.place = 0;
  take(next);
}

async function take([clip, line, , seed, after, drawn_with]) {
  Object.assign(page, { line, seed, after, drawn_with, clip });
  chips();
  player.show(clip).then((buffer) => { if (buffer) wave(clip, buffer); }).catch((error) => { if (page.clip === clip) told(error); });
  const html = page.panels.get(clip) || (await tried(getHtml(`/sweeps/clips/${encodeURIComponent(clip)}`)));
  if (!html || page.clip !== clip) return;
  page.panels.set(clip, html);
  $("[data-panel]").innerHTML = html;
  player.load(clip).then((buffer) => wave(clip, buffer)).catch(() => {});
  paint();
  neighbours();
}

export function chips() {
  const takes = page.takes[page.cell] || [];
  const several = new Set(takes.map(([, , , seed]) => seed)).size > 1;
  $("[data-takes]").innerHTML = takes.map(([clip, line, tier, seed, , drawn]) =>
    `<button type="button" class="em-chip" data-take-of="${escape(clip)}" aria-pressed="${clip === page.clip}" title="${escape(line)}"><b>${escape(tier)}</b> <small>${escape(line.replace(/^(zh-)?(short|medium|long)-/, ""))}${several ? `, ${seed}` : ""}${drawn ? `, ${escape(drawn)}` : ""}</small></button>`).join("");
}

function wave(clip, buffer) {
  const place = $(`[data-take="${CSS.escape(clip)}"] .em-wave-svg`);
  if (!place || place.dataset.of === clip) return;
  place.dataset.of = clip;
  const shape = bars(buffer);
  place.setAttribute("viewBox", "0 0 640 100");
  place.innerHTML = `<defs><clipPath id="em-done"><rect x="0" y="0" width="0" height="100"/></clipPath></defs><path class="em-wave-rest" d="${shape}"/><path class="em-wave-done" clip-path="url(#em-done)" d="${shape}"/>`;
}

/* The same line of the cells around: the next switch should have no gap. */
function neighbours() {
  const around = [-1, 1].flatMap((step) => [beside(step, 0), beside(0, step)]).filter(Boolean);
  for (const cell of around) {
    const same = (page.takes[cell.dataset.cell] || []).find(([, line, , seed]) => line === page.line && seed === page.seed);
    if (same) player.load(same[0]).catch(() => {});
  }
}

/* ---- sound */
export const toggle = () => player.toggle().catch(told);
export const playWord = (word) => { const card = shown(); if (card) player.play(Number(word.dataset.at) / Number(card.dataset.seconds)).catch(told); };
export const seek = (share) => { if (shown()) player.seek(share).catch(told); };

/* Nothing is open any more, as of another run. */
export function clear() {
  page.clip = "";
  page.panels.clear();
  player.stop(0);
  player.clip = "";
  $("[data-panel]").innerHTML = $("[data-takes]").innerHTML = "";
}

/* The panel of the open clip; null while it still shows another one. */
const shown = () => $(`[data-take="${CSS.escape(page.clip)}"]`);

export function frame() {
  if (page.root && !page.root.isConnected) return;
  if (player.playing) paint();
  requestAnimationFrame(frame);
}

function paint() {
  if (!page.root) return;
  if (page.playing !== player.playing) { page.playing = player.playing; marks(); }
  const card = shown();
  if (!card) return;
  const share = player.share(), at = share * Number(card.dataset.seconds);
  card.querySelector(".em-playhead").style.left = `${100 * share}%`;
  card.querySelector("#em-done rect")?.setAttribute("width", String(640 * share));
  const button = card.querySelector(".em-play");
  button.textContent = player.playing ? "❚❚" : "▶";
  button.setAttribute("aria-pressed", String(player.playing));
  let now = null;
  if (player.playing) for (const word of card.querySelectorAll("[data-at]")) { if (Number(word.dataset.at) <= at) now = word; }
  card.querySelectorAll(".em-now").forEach((word) => word !== now && word.classList.remove("em-now"));
  now?.classList.add("em-now");
}
