/* How far sweeps are: asked for again and again, often while one goes on; pausing, resuming and cancelling them. */
import { getJson, send } from "/look/desk_api.js";
import { put } from "/look/patch.js";
import { page, $, say, tried } from "/look/sweep_page.js";

const SOON_MS = 1000, LATER_MS = 8000, REDRAW_MS = 4000;
let timer = 0, turn = 0;
let onNews = async () => {}; // (is anything going on): clips were rendered or judged

export function watch(heard) {
  onNews = heard;
  return poll();
}

/* Ask now and from then on. There is one such asking at a time: a later one ends the one before. */
export async function poll() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  let found = null;
  if (!document.hidden) found = await getJson("/sweeps/going").catch(() => null); // it is asked again soon
  if (mine !== turn) return;
  if (found) await take(found);
  if (mine === turn) timer = setTimeout(poll, found && found.active ? SOON_MS : LATER_MS);
}

async function take(found) {
  const isNew = found.stamp !== page.stamp, first = page.stamp === "";
  page.stamp = found.stamp;
  if (isNew || found.active) put($("[data-going]"), found.html);
  if (isNew && !first && (!found.active || Date.now() - page.drawn > REDRAW_MS)) await onNews(found.active);
}

const steer = (act) => async (button) => {
  await tried(send(`/sweeps/sweep/${encodeURIComponent(button.dataset.sweep)}/${act}`));
  poll();
};

export const goingActs = {
  pause: steer("pause"),
  resume: steer("resume"),
  cancel: steer("cancel"),
  "cancel-leaks": async () => { await tried(send("/sweeps/leaks/cancel", {})); say("The leak check ends."); poll(); },
};
