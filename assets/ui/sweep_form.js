/* The form of a sweep: what it would cost, rendering, leak checks, references, sweeping new checkpoints by themselves. */
import { ask, escape, getJson, send, who } from "/look/desk_api.js";
import { put } from "/look/patch.js";
import { poll } from "/look/sweep_going.js";
import { page, $, $$, json, latest, say, tried } from "/look/sweep_page.js";

const OF_A_REFERENCE = ["path", "text", "name"].map((name) => `reference-${name}`);
const lastPlan = latest(), lastLeaks = latest();

function form() {
  const data = { run: page.run, by: who(), checkpoints: [], tiers: [], references: [], controls: [], settings: {} };
  for (const field of $$("[data-form] [name]")) {
    if (field.name === "row" || OF_A_REFERENCE.includes(field.name)) continue;
    if (field.dataset.setting) { if (field.value !== "") data.settings[field.dataset.setting] = Number(field.value); }
    else if (field.type === "checkbox") { if (field.checked) data[field.name].push(field.value); }
    else data[field.name] = field.type === "number" ? Number(field.value) : field.value;
  }
  return data;
}

/* What it would cost. Half a number while somebody types is no fault: it is said in the same place. */
async function cost(selector, last, url) {
  const html = await last(async () => {
    try { return await (await ask(url, json(form()))).text(); }
    catch (error) { return `<p class="em-notice">${escape(error.message)}</p>`; }
  });
  const place = $(selector);
  if (html !== null && place) place.innerHTML = html;
}

export async function planLeaks() {
  if ($("[data-leak-cost]")?.closest("details").open) await cost("[data-leak-cost]", lastLeaks, "/sweeps/leaks/plan");
}

export async function plan() {
  planLeaks();
  if ($("[data-cost]")) await cost("[data-cost]", lastPlan, "/sweeps/plan"); // or the form is not here yet
}

export function toggleAsk(shown = $("[data-ask]").hidden) {
  $("[data-ask]").hidden = !shown;
  $("[data-act=ask]").setAttribute("aria-expanded", String(shown));
}

/* The form with what is new in it; what somebody chose or is typing in it stays. */
async function refill(told) {
  const { run } = page;
  const found = await tried(getJson(`/sweeps/page?run=${encodeURIComponent(run)}`));
  if (!found || page.run !== run) return;
  put($("[data-ask]"), found.form);
  say(told);
  plan();
}

async function addReference() {
  const fields = OF_A_REFERENCE.map((name) => $(`[name="${name}"]`));
  const sent = fields.map((field) => field.value);
  const [path, text, name] = sent.map((value) => value.trim());
  const upload = $("[data-upload]"), file = upload.files[0];
  let made;
  if (file) {
    const body = new FormData();
    body.append("file", file);
    body.append("text", text);
    body.append("name", name);
    made = await tried(ask("/sweeps/references/upload", { method: "POST", body }));
  } else made = await tried(send("/sweeps/references/path", { path, text, name }));
  if (!made) return;
  fields.forEach((field, i) => { if (field.value === sent[i]) field.value = ""; });
  if (upload.files[0] === file) upload.value = "";
  await refill("The reference is kept.");
}

async function begin(url, told) {
  if (!await tried(send(url, form()))) return;
  toggleAsk(false);
  say(told);
  page.stamp = page.stamp || "-";
  poll();
}

export const formActs = {
  ask: () => toggleAsk(),
  render: () => begin("/sweeps", "The sweep has begun."),
  leaks: () => begin("/sweeps/leaks", "The leak check has begun."),
  "add-reference": addReference,
  "row-reference": async () => {
    const made = await tried(send("/sweeps/references/row", { dataset: $("[data-row]").dataset.dataset, row: $("[data-row]").value }));
    if (made) await refill("The row is kept as a reference.");
  },
};

/* Sweep every new checkpoint of the run with what the form says, or leave them alone again. */
export async function automatic(box) {
  box.disabled = true;
  const reply = await tried(ask("/sweeps/automatic", json({ ...form(), on: box.checked })));
  if (reply) $("[data-automatic]").outerHTML = await reply.text();
  else Object.assign(box, { checked: !box.checked, disabled: false });
}
