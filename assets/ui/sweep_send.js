/* Sending what is marked to blind listening: what a sitting would ask, and the sitting. */
import { ask, escape, isMe } from "/look/desk_api.js";
import { page, $, json, latest, tried } from "/look/sweep_page.js";

const chosen = () => ({ kind: $("#kind").value, candidates: [...page.marked], gate: $("#of-gate").value });
const lastOutline = latest();

/* What the chosen kind of test would ask of a reviewer. */
export async function outline() {
  $("[data-of-gate]").hidden = $("#kind").value !== "gate";
  if ($("[data-send]").hidden) return;
  const html = await lastOutline(async () => {
    try { return await (await ask("/sweeps/send/outline", json(chosen()))).text(); }
    catch (error) { return `<p class="em-notice">${escape(error.message)}</p>`; }
  });
  if (html !== null) $("[data-outline]").innerHTML = html;
}

export const sendActs = {
  "send-open": () => { $("[data-send]").hidden = false; outline(); $("#reviewer input").focus(); },
  send: async () => {
    const reviewer = $("#reviewer input").value;
    isMe(reviewer.trim());
    const reply = await tried(ask("/sweeps/send", json({ ...chosen(), reviewer })));
    if (reply) $("[data-sent]").innerHTML = await reply.text();
  },
};
