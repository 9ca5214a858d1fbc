/* Long work on the desk, watched by its bar: one job at a time works on a draft, everything else stays usable. */

import { escape, getJson, send } from "./desk_api.js";
import { put } from "./patch.js";

const POLL_MS = 700;
const PATIENCE = 20; // times without an answer, before the bar is given up

export class DeskJobs {
  constructor(page) {
    this.page = page;
    this.watched = "";   // the job that is being watched
    this.cancelled = ""; // the one that somebody cancelled
  }

  async cancel(job) {
    await send(`/desk/jobs/${encodeURIComponent(job)}/cancel`);
    this.cancelled = job;
    this.tellCancelled(this.page.stage);
  }

  tellCancelled(place) {
    const button = place.querySelector(`[data-act=cancel][data-job="${CSS.escape(this.cancelled)}"]`);
    if (button) Object.assign(button, { disabled: true, textContent: "Cancelling" });
  }

  /* Show how far a job is in a place, as long as the place is there, and hand over what came of it. */
  async watch(job, place, over) {
    this.watched = job;
    let said = "";
    for (let faults = 0; this.isOn(job, place);) {
      let found;
      try {
        found = await getJson(`/desk/jobs/${encodeURIComponent(job)}`);
        faults = 0;
      } catch (error) {
        if (!this.isOn(job, place)) return;
        put(place, `<p class="em-notice em-bad" role="alert">${escape(error.message)}</p>`);
        faults += 1;
        if (faults === PATIENCE) {
          this.watched = "";
          this.busy(false);
          return;
        }
      }
      if (!this.isOn(job, place)) return;
      if (found?.over) {
        this.watched = "";
        put(place, found.state === "done" ? "" : found.html);
        await over(found);
        return;
      }
      if (found) {
        put(place, found.html);
        this.tellCancelled(place);
        const now = place.textContent.slice(0, 12);
        if (now !== said) this.page.say(place.querySelector("p")?.textContent || "");
        said = now;
      }
      await new Promise((resolve) => { window.setTimeout(resolve, POLL_MS); });
    }
  }

  isOn(job, place) {
    return this.watched === job && place.isConnected;
  }

  watchOfDraft(job, then = null) {
    const place = this.page.stage.querySelector("[data-desk-open] > [data-jobplace]");
    if (!place) return;
    this.busy(true);
    this.watch(job, place, async (found) => {
      this.busy(false);
      if (found.state !== "done") {
        this.page.say(found.state === "cancelled" ? "Cancelled." : "It did not work.");
        return;
      }
      if (found.kind === "prepare") this.page.made = found.html;
      this.page.plots.forget();
      await this.page.show();
      if (found.kind === "prepare") {
        this.page.stage.querySelector("[data-made]")?.scrollIntoView({ block: "nearest" });
        this.page.say("The dataset is ready.");
      } else this.page.say("Done.");
      if (then) await then();
    });
  }

  busy(on) {
    this.page.stage.querySelectorAll("[data-act=audit], [data-form=prepare] button.em-primary").forEach((b) => { b.disabled = on; });
  }

  async audit(then = null) {
    const { job } = await send(this.page.url("/audit"));
    this.watchOfDraft(job, then);
  }

  async prepare(values) {
    const { job } = await send(this.page.url("/prepare"), values);
    this.watchOfDraft(job);
    this.page.stage.querySelector("[data-jobplace]").scrollIntoView({ block: "nearest" });
  }
}
