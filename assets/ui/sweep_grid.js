/* The grid of a run with its curves: asked for by measure, tier, script and reference; drawn in place. */
import { escape, getJson } from "/look/desk_api.js";
import { put } from "/look/patch.js";
import { marks } from "/look/sweep_cells.js";
import { chips } from "/look/sweep_clip.js";
import { outline } from "/look/sweep_send.js";
import { page, $, latest, tried } from "/look/sweep_page.js";

const lastGrid = latest();

export async function grid() {
  if (!page.run) return;
  const asked = new URLSearchParams({ run: page.run, measure: page.measure, tier: page.tier, script: page.script, reference: page.reference });
  const found = await tried(lastGrid(() => getJson(`/sweeps/grid?${asked}`)));
  if (!found) return;
  page.takes = found.takes;
  page.drawn = Date.now();
  put($("[data-grid]"), found.table);
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
  outline();
  chips();
}

function show(name, html) {
  $(`[data-${name}]`).innerHTML = html || "";
  $(`[data-${name}-card]`).hidden = !html;
}

export function fill(select, options, chosen) {
  put(select, options.map(([value, label]) => `<option value="${escape(value)}">${escape(label)}</option>`).join(""));
  select.value = chosen;
}
