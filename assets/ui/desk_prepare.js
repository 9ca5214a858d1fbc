/* The form that makes a dataset of a draft, and what preparing would do before it does it. */

import { getHtml } from "./desk_api.js";
import { put } from "./patch.js";

export class Prepare {
  constructor(page) {
    this.page = page;
    this.asked = 0; // the latest request for the plan; older answers are let go
  }

  form() {
    return this.page.stage.querySelector("[data-form=prepare]");
  }

  /* Drawn anew it keeps what somebody wrote in it. */
  async draw() {
    const { draft } = this.page;
    const html = await getHtml(this.page.url("/prepare"));
    const pane = this.page.pane();
    if (this.page.tab !== "prepare" || this.page.draft !== draft || !pane) return;
    put(pane, html);
    this.page.jobs.busy(Boolean(this.page.jobs.watched));
    await this.plan();
  }

  async plan() {
    const form = this.form();
    if (!form) return;
    this.asked += 1;
    const mine = this.asked;
    const html = await getHtml(this.page.url(`/plan?keep_errors=${form.elements.keep_errors.checked}`));
    if (mine === this.asked && form.isConnected) form.querySelector("[data-plan]").innerHTML = html;
  }

  async submit(form) {
    const number = (name) => (form.elements[name].value === "" ? null : Number(form.elements[name].value));
    const wrong = [...form.elements].find((e) => e.willValidate && !e.checkValidity());
    if (wrong) {
      wrong.focus();
      throw new Error(`${form.querySelector(`label[for="${wrong.id}"]`)?.textContent || wrong.name}: ${wrong.validationMessage}`);
    }
    await this.page.jobs.prepare({
      given: true,
      name: form.elements.name.value,
      trim: form.elements.trim.checked,
      keep_errors: form.elements.keep_errors.checked,
      append_silence_sec: number("append_silence_sec") ?? 0,
      loudness_lufs: number("loudness_lufs"),
      validation_share: number("validation_share") ?? 0,
      test_share: number("test_share") ?? 0,
      seed: number("seed") ?? 42,
    });
  }
}
