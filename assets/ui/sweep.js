/* The Sweep page in the browser: which run is open, and who answers to what a person does. The form is in `sweep_form.js`,
   how far sweeps are in `sweep_going.js`, the grid in `sweep_grid.js` and `sweep_cells.js`, one clip in `sweep_clip.js`.
   Pieces come as HTML from /sweeps/... What somebody may want to send to a colleague is in the address: ?run=...&cell=... */
import { getJson, who } from "/look/desk_api.js";
import { beside, mark } from "/look/sweep_cells.js";
import { choose, clear, frame, nextTake, playWord, seek, takeOf, toggle } from "/look/sweep_clip.js";
import { automatic, formActs, plan, planLeaks, toggleAsk } from "/look/sweep_form.js";
import { goingActs, watch } from "/look/sweep_going.js";
import { fill, grid } from "/look/sweep_grid.js";
import { page, $, keepInAddress, latest, once, tried } from "/look/sweep_page.js";
import { checkScript, scriptActs } from "/look/sweep_script.js";
import { outline, sendActs } from "/look/sweep_send.js";

const TYPING_MS = 350;
const acts = { ...formActs, ...goingActs, ...scriptActs, ...sendActs, play: toggle };
const lastOpened = latest();
let typing = 0, wanted = "";

export function mount(element) {
  const root = element.querySelector("[data-sweep-page]");
  if (!root || root === page.root) return;
  page.root = root;
  root.addEventListener("click", onClick);
  root.addEventListener("change", onChange);
  root.addEventListener("input", onInput);
  root.addEventListener("keydown", onKey);
  root.addEventListener("toggle", (event) => { if (event.target.matches("[data-leak-form]")) planLeaks(); }, true);
  open(page.run);
  watch(async (active) => {
    page.panels.clear();
    await grid();
    if (!active) plan();
  });
  requestAnimationFrame(frame);
}

/* Until a run is here, the one before stays open with all that belongs to it. */
async function open(run) {
  wanted = run;
  const found = await tried(lastOpened(() => getJson(`/sweeps/page?run=${encodeURIComponent(run)}`)));
  if (!found && wanted === run) $("#run").value = page.run;
  if (!found) return;
  if (page.run && found.run !== page.run) leave();
  page.run = found.run;
  $("[data-nothing]").hidden = Boolean(found.run);
  $("[data-shown]").hidden = !found.run;
  $(".em-sweep-top").hidden = !found.run;
  if (!found.run) return;
  keepInAddress();
  fill($("#run"), found.runs, found.run);
  $("[data-ask]").innerHTML = found.form;
  fill($("#of-gate"), found.gates, found.gates[0]?.[0] || "");
  $("#measure").innerHTML = found.measures;
  page.measure = page.measure || found.measure;
  $("#measure").value = page.measure;
  $("#tier").value = page.tier;
  $("#reviewer input").value ||= who();
  plan();
  await grid();
  if (page.run !== found.run) return;
  if (!Object.keys(page.takes).some((key) => !key.startsWith("base:"))) toggleAsk(true); // of the base alone nothing can be chosen
  if (location.hash === "#new-checkpoints") { toggleAsk(true); $("[data-automatic]").scrollIntoView({ block: "center" }); }
  if (page.cell && !page.clip) choose(page.cell);
}

function leave() {
  Object.assign(page, { cell: "", script: "", reference: "any", takes: {} });
  page.marked.clear();
  clear();
}

/* ---- what a person does */
function onClick(event) {
  const at = (selector) => event.target.closest(selector);
  const cell = at("[data-cell]"), word = at("[data-take] [data-at]"), chip = at("[data-take-of]"), strip = at("[data-seek]"), act = at("[data-act]");
  if (cell) {
    const again = cell.dataset.cell === page.cell;
    if (event.shiftKey || again) mark(cell.dataset.cell);
    if (!again) choose(cell.dataset.cell);
  } else if (chip) takeOf(chip.dataset.takeOf);
  else if (word) playWord(word);
  else if (strip) seek((event.clientX - strip.getBoundingClientRect().left) / strip.clientWidth);
  else if (act && act.type !== "checkbox" && acts[act.dataset.act]) once(act, () => acts[act.dataset.act](act));
}

function onChange(event) {
  const field = event.target;
  if (field.id === "run") open(field.value);
  else if (field.id === "measure" || field.id === "tier") { page[field.id] = field.value; keepInAddress(); grid(); }
  else if (field.id === "kind" || field.id === "of-gate") outline();
  else if (field.id === "of-script") { page.script = field.value; grid(); }
  else if (field.id === "of-reference") { page.reference = field.value; grid(); }
  else if (field.dataset.act === "automatic") automatic(field);
  else if (field.closest("[data-form]") && field.name) plan();
}

function onInput(event) {
  clearTimeout(typing);
  if (event.target.id === "script-text") typing = setTimeout(checkScript, TYPING_MS);
  else if (event.target.closest("[data-form]")) typing = setTimeout(plan, TYPING_MS);
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function onKey(event) {
  const place = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || place.closest("input, select, textarea, dialog, [data-form]")) return;
  if (MOVES[event.key] && place.closest("[data-cell]")) {
    const next = beside(...MOVES[event.key]);
    if (next) { choose(next.dataset.cell); next.focus(); }
  } else if (event.key === " " && (place.closest("[data-cell]") || !place.closest("button"))) toggle();
  else if (event.key === "," || event.key === ".") nextTake(event.key === "." ? 1 : -1);
  else if (event.key === "m" && page.cell) mark(page.cell);
  else return;
  event.preventDefault();
}
