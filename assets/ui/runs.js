/* The Runs page in the browser: which run and which view are shown, what came live, the acts of a person.

   Pieces of the page come as HTML from the live route and are patched in, so that a button keeps its focus and a click
   is not lost; curves come as numbers and are drawn by `run_plots.js`. The form is in `run_form.js`. State that
   somebody may want to send to a colleague is in the address: ?run=...&compare=...,...&by=epoch */
import { connect, merge, EMPTY } from "/look/live.js";
import { put as patch } from "/look/patch.js";
import { Plots } from "/look/run_plots.js";
import { bindForm, settingsAreComing } from "/look/run_form.js";

const MOST_RUNS = 6;
const LONGEST_REST_MS = 500; // between two drawings
const ours = () => location.pathname.replace(/\/$/, "").endsWith("/runs");
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const asked = new URLSearchParams(location.search);
const page = {
  run: asked.get("run") || "",
  compare: (asked.get("compare") || "").split(",").filter(Boolean).slice(0, MOST_RUNS - 1),
  by: asked.get("by") === "epoch" ? "epoch" : "step",
  view: "",
  known: new Map(), // run id -> everything that was told of it
  live: null,
  plots: null,
};

/* ---- which run, which view */
function keepInAddress() {
  const address = new URL(location.href);
  const set = (name, value) => (value ? address.searchParams.set(name, value) : address.searchParams.delete(name));
  set("run", page.run);
  set("compare", page.compare.join(","));
  set("by", page.by === "epoch" ? "epoch" : "");
  if (page.view === "run") address.searchParams.delete("dataset");
  history.replaceState(history.state, "", address);
}

function show(view) {
  page.view = view === "run" && page.run ? "run" : "form";
  document.documentElement.dataset.runs = page.view;
  $$("[data-go=run]").forEach((b) => (b.hidden = page.view === "run" || !page.run));
  const title = $("[data-title]");
  if (title) title.textContent = page.view === "run" ? "Runs" : "New run";
  if (page.view === "run") draw();
}

function open(run) {
  if (run !== page.run) clearPieces();
  page.run = run;
  page.compare = page.compare.filter((other) => other !== run);
  follow();
  markBoard();
  show("run");
  keepInAddress();
}

function clearPieces() {
  $$("[data-run-view] [data-piece]").forEach((place) => (place.innerHTML = ""));
  trouble("");
  settle();
}

/* ---- live */
function follow() {
  page.known = new Map([...page.known].filter(([run]) => run === page.run || page.compare.includes(run)));
  if (page.live) page.live.leave();
  if (document.hidden || !page.run) return;
  page.live = page.live || connect(hear);
  page.live.watch(page.run, true);
  page.compare.forEach((run) => page.live.watch(run, false));
}

function hear({ run, news, trouble: fault }) {
  if (run !== page.run && !page.compare.includes(run)) return;
  if (fault) {
    if (run === page.run) trouble(fault);
    return;
  }
  page.known.set(run, merge(page.known.get(run) || EMPTY, news));
  if (run === page.run) {
    trouble("");
    const pieces = page.known.get(run).pieces;
    for (const place of $$("[data-piece]")) {
      const name = place.dataset.piece;
      if (name in news.pieces || (news.reset && name in pieces)) put(place, pieces[name]);
    }
    if (news.pieces.board) markBoard();
    settle();
  }
  draw();
}

function trouble(text) {
  const place = $("[data-trouble]");
  if (!place) return;
  place.hidden = !text;
  place.textContent = text ? `No answer: ${text} The page asks again by itself; a training goes on without it.` : "";
}

function put(place, html) {
  const follows = place.tagName === "PRE" && place.scrollTop + place.clientHeight >= place.scrollHeight - 24;
  patch(place, html);
  if (follows) place.scrollTop = place.scrollHeight;
}

/* Cards that hold nothing take no room. */
function settle() {
  for (const card of $$("[data-has]")) card.hidden = !$("[data-piece]", card).textContent.trim();
}

function markBoard() {
  $$("[data-open]").forEach((b) => b.setAttribute("aria-current", String(b.dataset.open === page.run)));
  $$("[data-compare]").forEach((box) => {
    const own = box.dataset.compare === page.run;
    box.checked = page.compare.includes(box.dataset.compare);
    box.disabled = own || (!box.checked && page.compare.length >= MOST_RUNS - 1);
    box.closest(".em-compare").classList.toggle("em-off", own);
  });
}

/* Where drawing takes long (many windows, a busy machine) it is done less often, so that it never queues up. */
let drawing = false, restUntil = 0;
function draw() {
  if (drawing) return;
  drawing = true;
  const rest = restUntil - performance.now();
  if (rest > 0) setTimeout(() => requestAnimationFrame(paint), rest);
  else requestAnimationFrame(paint);
}

function paint() {
  const begin = performance.now();
  requestAnimationFrame(() => (restUntil = performance.now() + Math.min(LONGEST_REST_MS, 2 * (performance.now() - begin))));
  drawing = false;
  const frame = $("[data-run-view]");
  if (!frame || page.view !== "run") return;
  if (!page.plots || page.plots.frame !== frame) page.plots = new Plots(frame, { by: page.by });
  const runs = [page.run, ...page.compare].map((run) => [run, page.known.get(run)]).filter(([, known]) => known);
  page.plots.show(runs, page.by);
}

/* ---- acts */
function ask(act) {
  const { act: name, run, position, mended, confirm } = act.dataset;
  if (confirm) return confirmed(confirm, act.textContent, () => send({ name, run, position }));
  if (name === "copy") {
    show("form");
    return say("edit", { run, mended: Boolean(mended), turn: settingsAreComing() });
  }
  send({ name, run, position });
}

const send = ({ name, run, position }) => say("click", { act: name, run, position: position || 0 });

function say(event, data) {
  $("[data-run-view]").dispatchEvent(new CustomEvent("earmark", { bubbles: true, detail: { event, data } }));
}

function confirmed(question, word, then) {
  const dialog = document.createElement("dialog");
  dialog.innerHTML = '<p></p><div class="em-row em-dialog-acts"><button value="">Leave it running</button><button value="yes" class="em-danger"></button></div>';
  $("p", dialog).textContent = question;
  $(".em-danger", dialog).textContent = word;
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    dialog.close();
    if (button.value) then();
  });
  dialog.addEventListener("close", () => dialog.remove());
  $(".em-runs-view .em").append(dialog);
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  if (!ours()) return;
  const on = (selector) => event.target.closest(selector);
  const act = on("[data-act]"), go = on("[data-go]"), entry = on("[data-open]"), by = on("[data-by]"), drop = on("[data-drop]"), copy = on("[data-copy]");
  if (act) ask(act);
  else if (go && go.dataset.go === "list") $(".em-runs-side").scrollIntoView();
  else if (go) show(go.dataset.go);
  else if (entry) open(entry.dataset.open);
  else if (drop) compare(drop.dataset.drop, false);
  else if (copy) copyText(copy);
  else if (by) {
    page.by = by.dataset.by;
    $$("[data-by]").forEach((b) => b.setAttribute("aria-pressed", String(b === by)));
    keepInAddress();
    draw();
  }
});

document.addEventListener("change", (event) => {
  const box = event.target.closest("[data-compare]");
  if (box) compare(box.dataset.compare, box.checked);
});

function compare(run, wanted) {
  page.compare = page.compare.filter((other) => other !== run);
  if (wanted && page.compare.length < MOST_RUNS - 1) page.compare.push(run);
  markBoard();
  keepInAddress();
  follow();
  draw();
}

async function copyText(button) {
  const text = $("pre", button.closest(".em-copyable")).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // without https a page may not write to the clipboard itself
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const word = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = word), 1500);
}

/* ---- beginning */
document.addEventListener("visibilitychange", () => ours() && follow());
window.addEventListener("pagehide", () => page.live && page.live.leave());
window.addEventListener("pageshow", (event) => event.persisted && follow());

let told = "";
function notice() {
  if (!ours() || !$("[data-run-view]")) return;
  if (page.run && !page.view && !asked.has("dataset")) {
    settle();
    open(page.run); // the address says it: no need to wait for the form
  }
  const place = $("[data-open-run]");
  if (!place || !$("[data-form]")) return;
  bindForm();
  const now = place.dataset.stamp;
  if (now === told) return;
  const first = !told;
  told = now;
  $$("[data-by]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.by === page.by)));
  settle();
  const wanted = (first && page.run) || place.dataset.openRun;
  if (first && page.view) return;
  if (wanted) open(wanted);
  show(place.dataset.view);
}
new MutationObserver(notice).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-stamp"] });
notice();
