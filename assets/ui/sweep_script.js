/* The script editor: a copy of a script as text, checked while somebody types. */
import { escape, getHtml, send } from "/look/desk_api.js";
import { plan } from "/look/sweep_form.js";
import { fill } from "/look/sweep_grid.js";
import { page, $, latest, say, tried } from "/look/sweep_page.js";

const lastCheck = latest();

export async function checkScript() {
  const found = await lastCheck(() => send("/sweeps/scripts/check", { text: $("#script-text").value })).catch(() => null);
  if (!found) return;
  $("[data-faults]").innerHTML = found.html;
  $("[data-act=save-script]").disabled = !found.usable;
}

export const scriptActs = {
  "edit-script": async () => {
    const html = await tried(getHtml(`/sweeps/scripts/${encodeURIComponent($("#script").value)}?run=${encodeURIComponent(page.run)}`));
    if (!html) return;
    $("[data-editor]").innerHTML = html;
    $("[data-editor]").showModal();
    checkScript();
  },
  "close-script": () => $("[data-editor]").close(),
  "save-script": async () => {
    const text = $("#script-text").value;
    try {
      const made = await send("/sweeps/scripts", { name: $("#script-name").value, text, language: $("#script-language").value });
      fill($("#script"), made.scripts.map((name) => [name, name]), made.name);
      if ($("#script-text").value === text) $("[data-editor]").close(); // or somebody typed on meanwhile
      say(`The script ${made.name} is kept.`);
      plan();
    } catch (error) { $("[data-faults]").innerHTML = `<p class="em-notice em-bad">${escape(error.message)}</p>`; }
  },
};
