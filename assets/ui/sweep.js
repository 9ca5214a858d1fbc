/* The Sweep page in the browser: the form with its cost, how far sweeps are, the grid, one clip in place, the script
   editor, sending to blind listening. Pieces come as HTML from /sweeps/..., sound is `sweep_player.js`.
   What somebody may want to send to a colleague is in the address: ?run=...&cell=...&measure=... */
import { ask, getHtml, getJson, send, who, isMe, escape } from "/look/desk_api.js";
import { Player, bars } from "/look/sweep_player.js";

const SOON_MS = 1000, LATER_MS = 8000, TYPING_MS = 350, REDRAW_MS = 4000;
const asked = new URLSearchParams(location.search);
const page = {
  root: null, run: asked.get("run") || "", measure: asked.get("measure") || "", tier: asked.get("tier") || "",
  script: "", reference: "any", cell: asked.get("cell") || "", line: "", seed: null, after: "", drawn_with: "",
  takes: {}, marked: new Set(), panels: new Map(), stamp: "", drawn: 0, timer: 0, planTimer: 0, planTurn: 0, gridTurn: 0, outlineTurn: 0,
};
const $ = (selector) => page.root.querySelector(selector);
const $$ = (selector) => [...page.root.querySelectorAll(selector)];
const player = new Player(() => paint());

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
  poll();
  requestAnimationFrame(frame);
}

/* ---- what is open */
async function open(run) {
  const found = await tried(getJson(`/sweeps/page?run=${encodeURIComponent(run)}`));
  if (!found) return;
  page.run = found.run;
  $("[data-nothing]").hidden = Boolean(found.run);
  $("[data-shown]").hidden = !found.run;
  $(".em-sweep-top").hidden = !found.run;
  if (!found.run) return;
  fill($("#run"), found.runs, found.run);
  $("[data-ask]").innerHTML = found.form;
  $("#measure").innerHTML = found.measures;
  page.measure = page.measure || found.measure;
  $("#measure").value = page.measure;
  $("#tier").value = page.tier;
  fill($("#of-gate"), found.gates, found.gates[0]?.[0] || "");
  $("#reviewer input").value = who();
  plan();
  await grid();
  if (!Object.keys(page.takes).some((key) => !key.startsWith("base:"))) toggleAsk(true); // of the base alone nothing can be chosen
  if (page.cell) choose(page.cell);
}

function fill(select, options, chosen) {
  select.innerHTML = options.map(([value, label]) => `<option value="${escape(value)}">${escape(label)}</option>`).join("");
  select.value = chosen;
}

function keepInAddress() {
  const address = new URL(location.href);
  for (const name of ["run", "cell", "measure", "tier"]) page[name] ? address.searchParams.set(name, page[name]) : address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}

/* ---- the form */
function form() {
  const data = { run: page.run, by: who(), checkpoints: [], tiers: [], references: [], controls: [], settings: {} };
  for (const field of $$("[data-form] [name]")) {
    if (field.name in { row: 1, "reference-path": 1, "reference-text": 1, "reference-name": 1 }) continue;
    if (field.dataset.setting) { if (field.value !== "") data.settings[field.dataset.setting] = Number(field.value); }
    else if (field.type === "checkbox") { if (field.checked) data[field.name].push(field.value); }
    else data[field.name] = field.type === "number" ? Number(field.value) : field.value;
  }
  return data;
}

async function planLeaks() {
  const place = $("[data-leak-cost]");
  if (!place || !place.closest("details").open) return;
  try { place.innerHTML = await (await ask("/sweeps/leaks/plan", json(form()))).text(); }
  catch (error) { place.innerHTML = `<p class="em-notice">${escape(error.message)}</p>`; }
}

async function plan() {
  planLeaks();
  if (!$("[data-cost]")) return; // the form is not here yet
  const mine = ++page.planTurn;
  try {
    const html = await (await ask("/sweeps/plan", json(form()))).text();
    if (mine === page.planTurn) $("[data-cost]").innerHTML = html;
  } catch (error) { // half a number while somebody types is no fault: it is said here
    if (mine === page.planTurn) $("[data-cost]").innerHTML = `<p class="em-notice">${escape(error.message)}</p>`;
  }
}

const json = (data) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });

function toggleAsk(shown = $("[data-ask]").hidden) {
  $("[data-ask]").hidden = !shown;
  $("[data-act=ask]").setAttribute("aria-expanded", String(shown));
}

async function addReference() {
  const field = (name) => $(`[name="reference-${name}"]`).value.trim();
  const file = $("[data-upload]").files[0];
  let made;
  if (file) {
    const body = new FormData();
    body.append("file", file);
    body.append("text", field("text"));
    body.append("name", field("name"));
    made = await tried(ask("/sweeps/references/upload", { method: "POST", body }));
  } else made = await tried(send("/sweeps/references/path", { path: field("path"), text: field("text"), name: field("name") }));
  if (made) await refill("The reference is kept.");
}

/* The form again, with what was chosen. */
async function refill(told) {
  const before = form();
  const found = await tried(getJson(`/sweeps/page?run=${encodeURIComponent(page.run)}`));
  if (!found) return;
  $("[data-ask]").innerHTML = found.form;
  for (const field of $$("[data-form] [name]")) {
    if (field.dataset.setting) field.value = before.settings[field.dataset.setting] ?? "";
    else if (field.type === "checkbox" && Array.isArray(before[field.name])) {
      field.checked = before[field.name].includes(field.value) || (field.name === "checkpoints" && !before.checkpoints.length);
    } else if (field.name in before) field.value = before[field.name];
  }
  say(told);
  plan();
}

/* ---- how far sweeps are */
async function poll() {
  clearTimeout(page.timer);
  let found = null;
  if (!document.hidden) {
    try { found = await getJson("/sweeps/going"); } catch { /* asked again soon */ }
  }
  if (found && found.stamp !== page.stamp) {
    const first = page.stamp === "";
    page.stamp = found.stamp;
    put($("[data-going]"), found.html);
    if (!first && page.run && (!found.active || Date.now() - page.drawn > REDRAW_MS)) { page.panels.clear(); await grid(); }
    if (!found.active) plan();
  } else if (found && found.active) put($("[data-going]"), found.html);
  page.timer = setTimeout(poll, found && found.active ? SOON_MS : LATER_MS);
}

/* A button that is pressed keeps its focus. */
function put(place, html) {
  const focus = document.activeElement && place.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  const opened = [...place.querySelectorAll("details[open]")].map((fold) => fold.dataset.fold);
  place.innerHTML = html;
  for (const fold of place.querySelectorAll("details")) fold.open = opened.includes(fold.dataset.fold);
  if (focus && focus.act) place.querySelector(`[data-act="${focus.act}"][data-sweep="${focus.sweep || ""}"]`)?.focus();
}

/* ---- the grid */
async function grid() {
  if (!page.run) return;
  const mine = ++page.gridTurn;
  const asked = new URLSearchParams({ run: page.run, measure: page.measure, tier: page.tier, script: page.script, reference: page.reference });
  const found = await tried(getJson(`/sweeps/grid?${asked}`));
  if (!found || mine !== page.gridTurn) return;
  const focused = document.activeElement?.dataset?.cell;
  page.takes = found.takes;
  page.drawn = Date.now();
  $("[data-grid]").innerHTML = found.table;
  $("[data-told]").textContent = found.told;
  $("[data-about]").textContent = found.about || "";
  $("[data-short]").innerHTML = found.short || "";
  show("curves", found.curves);
  show("trend", found.trend);
  show("leaks", found.leaks);
  fill($("#of-script"), [["", "all scripts"], ...found.scripts], page.script);
  fill($("#of-reference"), [["any", "all references"], ...found.references], page.reference);
  $("#of-script").hidden = found.scripts.length < 2 && !page.script;
  $("#of-reference").hidden = found.references.length < 2 && page.reference === "any";
  marks();
  if (focused) cellOf(focused)?.focus();
}

function show(name, html) {
  $(`[data-${name}]`).innerHTML = html || "";
  $(`[data-${name}-card]`).hidden = !html;
}

const cellOf = (key) => $(`[data-cell="${CSS.escape(key)}"]`);

function marks() {
  for (const cell of $$("[data-cell]")) {
    cell.setAttribute("aria-current", String(cell.dataset.cell === page.cell));
    cell.setAttribute("aria-pressed", String(page.marked.has(cell.dataset.cell)));
    cell.classList.toggle("em-sounding", cell.dataset.cell === page.cell && player.playing);
    cell.tabIndex = cell.dataset.cell === page.cell ? 0 : -1;
  }
  const first = $("[data-cell]");
  if (first && !$("[data-cell][tabindex='0']")) first.tabIndex = 0;
  const count = page.marked.size, button = $("[data-act=send-open]");
  button.disabled = !count;
  button.textContent = count ? `Send ${count} to a blind test` : "Send to a blind test";
  $("[data-marked]").innerHTML = `<b>${count === 1 ? "1 candidate" : `${count} candidates`}</b><small>${escape([...page.marked].map(nameOf).join("; "))}</small>`;
  if (!count) $("[data-send]").hidden = true;
  else outline();
}

/* What the chosen kind of test would ask of a reviewer. */
async function outline() {
  const place = $("[data-outline]");
  $("[data-of-gate]").hidden = $("#kind").value !== "gate";
  if ($("[data-send]").hidden) return;
  const mine = ++page.outlineTurn;
  const asked = { kind: $("#kind").value, candidates: [...page.marked], gate: $("#of-gate").value };
  let html;
  try { html = await (await ask("/sweeps/send/outline", json(asked))).text(); }
  catch (error) { html = `<p class="em-notice">${escape(error.message)}</p>`; }
  if (mine === page.outlineTurn) place.innerHTML = html;
}

const nameOf = (key) => (cellOf(key)?.getAttribute("aria-label") || key).split(":")[0];

function mark(key) {
  if (page.marked.has(key)) page.marked.delete(key);
  else page.marked.add(key);
  marks();
  say(page.marked.has(key) ? `${nameOf(key)} is marked for listening.` : `${nameOf(key)} is no longer marked.`);
}

/* ---- one clip */
function choose(key) {
  const takes = page.takes[key];
  if (!takes) return;
  page.cell = key;
  const alike = takes.filter(([, line, , seed, after]) => line === page.line && seed === page.seed && after === page.after);
  const same = alike.find(([, , , , , drawn]) => drawn === page.drawn_with) || alike[0] || takes.find(([, line]) => line === page.line) || takes[0];
  take(same);
  marks();
  keepInAddress();
}

async function take([clip, line, , seed, after, drawn_with]) {
  Object.assign(page, { line, seed, after, drawn_with, clip });
  chips();
  player.show(clip).then((buffer) => { if (buffer) wave(clip, buffer); }).catch((error) => trouble(error.message));
  const html = page.panels.get(clip) || (await tried(getHtml(`/sweeps/clips/${encodeURIComponent(clip)}`)));
  if (!html || page.clip !== clip) return;
  page.panels.set(clip, html);
  $("[data-panel]").innerHTML = html;
  player.load(clip).then((buffer) => wave(clip, buffer)).catch(() => {});
  paint();
  neighbours();
}

function chips() {
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

function beside(right, down) {
  const rows = $$(".em-heat tbody tr").map((row) => [...row.querySelectorAll("td")].map((td) => td.querySelector("[data-cell]")));
  const row = rows.findIndex((cells) => cells.some((cell) => cell && cell.dataset.cell === page.cell));
  if (row < 0) return $("[data-cell]");
  let column = rows[row].findIndex((cell) => cell && cell.dataset.cell === page.cell);
  for (let r = row + down, c = column + right; rows[r] && c >= 0 && c < rows[r].length; r += down, c += right) {
    if (rows[r][c]) return rows[r][c];
    if (!right) { // from the base, which has one column of its own, to the first scale and back
      const near = rows[r].filter(Boolean)[0];
      if (near) return near;
    }
  }
  return null;
}

function frame() {
  if (page.root && !page.root.isConnected) return;
  if (player.playing) paint();
  requestAnimationFrame(frame);
}

let sounded = null;
function paint() {
  if (!page.root) return;
  const card = $("[data-take]");
  if (sounded !== player.playing) { sounded = player.playing; marks(); }
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

/* ---- what a person does */
function onClick(event) {
  const cell = event.target.closest("[data-cell]"), word = event.target.closest("[data-take] [data-at]");
  const chip = event.target.closest("[data-take-of]"), seek = event.target.closest("[data-seek]");
  const act = event.target.closest("[data-act]");
  if (cell) {
    const again = cell.dataset.cell === page.cell;
    if (event.shiftKey || again) mark(cell.dataset.cell);
    if (!again) choose(cell.dataset.cell);
  } else if (chip) take(page.takes[page.cell].find(([clip]) => clip === chip.dataset.takeOf));
  else if (word) player.play(Number(word.dataset.at) / Number($("[data-take]").dataset.seconds));
  else if (seek) player.seek((event.clientX - seek.getBoundingClientRect().left) / seek.clientWidth);
  else if (act && act.type !== "checkbox") acts[act.dataset.act]?.(act);
}

const acts = {
  ask: () => toggleAsk(),
  play: () => player.toggle(),
  render: async (button) => {
    button.disabled = true;
    const made = await tried(send("/sweeps", form()));
    button.disabled = false;
    if (made) { toggleAsk(false); say("The sweep has begun."); page.stamp = page.stamp || "-"; poll(); }
  },
  leaks: async (button) => {
    button.disabled = true;
    const made = await tried(send("/sweeps/leaks", form()));
    button.disabled = false;
    if (made) { toggleAsk(false); say("The leak check has begun."); page.stamp = page.stamp || "-"; poll(); }
  },
  "cancel-leaks": async () => { await tried(send("/sweeps/leaks/cancel", {})); say("The leak check ends."); poll(); },
  pause: (button) => steer(button, "pause"),
  resume: (button) => steer(button, "resume"),
  cancel: (button) => steer(button, "cancel"),
  "send-open": () => { $("[data-send]").hidden = false; outline(); $("#reviewer input").focus(); },
  send: async () => {
    const reviewer = $("#reviewer input").value;
    isMe(reviewer.trim());
    const reply = await tried(ask("/sweeps/send", json({ kind: $("#kind").value, candidates: [...page.marked], gate: $("#of-gate").value, reviewer })));
    if (reply) $("[data-sent]").innerHTML = await reply.text();
  },
  "row-reference": async () => {
    const made = await tried(send("/sweeps/references/row", { dataset: $("[data-row]").dataset.dataset, row: $("[data-row]").value }));
    if (made) await refill("The row is kept as a reference.");
  },
  "add-reference": addReference,
  "edit-script": async () => {
    const html = await tried(getHtml(`/sweeps/scripts/${encodeURIComponent($("#script").value)}?run=${encodeURIComponent(page.run)}`));
    if (!html) return;
    $("[data-editor]").innerHTML = html;
    $("[data-editor]").showModal();
    checkScript();
  },
  "close-script": () => $("[data-editor]").close(),
  "save-script": async () => {
    try {
      const made = await send("/sweeps/scripts", { name: $("#script-name").value, text: $("#script-text").value, language: $("#script-language").value });
      fill($("#script"), made.scripts.map((name) => [name, name]), made.name);
      $("[data-editor]").close();
      say(`The script ${made.name} is kept.`);
      plan();
    } catch (error) { $("[data-faults]").innerHTML = `<p class="em-notice em-bad">${escape(error.message)}</p>`; }
  },
};

async function steer(button, act) {
  await tried(send(`/sweeps/sweep/${encodeURIComponent(button.dataset.sweep)}/${act}`));
  poll();
}

async function checkScript() {
  const found = await send("/sweeps/scripts/check", { text: $("#script-text").value }).catch(() => null);
  if (!found) return;
  $("[data-faults]").innerHTML = found.html;
  $("[data-act=save-script]").disabled = !found.usable;
}

async function onChange(event) {
  const field = event.target;
  if (field.id === "run") {
    Object.assign(page, { run: field.value, cell: "", script: "", reference: "any", takes: {}, clip: "" });
    page.marked.clear(); page.panels.clear(); player.stop(0);
    $("[data-panel]").innerHTML = $("[data-takes]").innerHTML = "";
    keepInAddress();
    open(page.run);
  } else if (field.id === "measure" || field.id === "tier") { page[field.id] = field.value; keepInAddress(); grid(); }
  else if (field.id === "kind" || field.id === "of-gate") outline();
  else if (field.id === "of-script") { page.script = field.value; grid(); }
  else if (field.id === "of-reference") { page.reference = field.value; grid(); }
  else if (field.dataset.act === "automatic") {
    const reply = await tried(ask("/sweeps/automatic", json({ ...form(), on: field.checked })));
    if (reply) $("[data-automatic]").outerHTML = await reply.text();
    else field.checked = !field.checked;
  } else if (field.closest("[data-form]") && field.name) plan();
}

function onInput(event) {
  clearTimeout(page.planTimer);
  if (event.target.id === "script-text") page.planTimer = setTimeout(checkScript, TYPING_MS);
  else if (event.target.closest("[data-form]")) page.planTimer = setTimeout(plan, TYPING_MS);
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function onKey(event) {
  const place = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || place.closest("input, select, textarea, dialog, [data-form]")) return;
  if (MOVES[event.key] && place.closest("[data-cell]")) {
    const next = beside(...MOVES[event.key]);
    if (next) { choose(next.dataset.cell); next.focus(); }
  } else if (event.key === " " && (place.closest("[data-cell]") || !place.closest("button"))) player.toggle();
  else if (event.key === "," || event.key === ".") {
    const takes = page.takes[page.cell] || [];
    const at = takes.findIndex(([clip]) => clip === page.clip) + (event.key === "." ? 1 : -1);
    if (takes[at]) { player.place = 0; take(takes[at]); }
  } else if (event.key === "m" && page.cell) mark(page.cell);
  else return;
  event.preventDefault();
}

/* ---- saying things */
async function tried(promise) {
  try {
    const found = await promise;
    trouble("");
    return found;
  } catch (error) {
    trouble(error.message);
    return null;
  }
}

function trouble(text) {
  $("[data-trouble]").hidden = !text;
  $("[data-trouble]").textContent = text;
}

function say(text) { $("[data-live]").textContent = text; }
