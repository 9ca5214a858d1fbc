/* The first page of the desk: open recordings, drafts and datasets, the demo voice. */

import { drop, getJson, send } from "./desk_api.js";
import { Upload } from "./desk_upload.js";

const SURE_MS = 4000;

export class Home {
  constructor(page) {
    this.page = page;
    this.upload = new Upload(page);
  }

  form() {
    return this.page.stage.querySelector("form[data-form=open]");
  }

  /* The markup and the job that makes a draft, if one does. */
  fetch() {
    return getJson("/desk/home");
  }

  /* Draw it. What somebody chose and wrote in the form to open something stays. */
  draw({ html, job }) {
    const before = this.form();
    const focus = before?.contains(document.activeElement) ? document.activeElement : null;
    this.page.stage.innerHTML = html;
    document.title = "Earmark";
    const form = this.form();
    if (before && form) {
      form.replaceWith(before);
      focus?.focus({ preventScroll: true });
    } else this.upload.mount(this.page.stage);
    if (job && this.page.jobs.watched !== job) this.watch(job);
  }

  async open(form) {
    const told = form.querySelector("[data-told]");
    const values = Object.fromEntries(new FormData(form));
    const sliced = values.slice === "on";
    const common = { backend: values.backend, name: values.name || "" };
    const cut = { min_sec: Number(values.min_sec), max_sec: Number(values.max_sec) };
    if (values.source === "upload") {
      this.opened(await this.upload.send({ ...common, slice: sliced, ...cut }, told), form);
      return;
    }
    told.textContent = sliced ? "" : "Reading the rows …";
    try {
      this.opened(await send(sliced ? "/desk/slicing" : "/desk/drafts", { path: values.path, ...common, ...(sliced ? cut : {}) }), form);
    } finally {
      told.textContent = "";
    }
  }

  /* Go to a draft that was made, unless whoever asked for it has gone on to something else. */
  opened(made, from) {
    if (!from.isConnected) this.page.toast("What you opened is ready; it is among all data.");
    else if (made.draft) this.page.go(new URLSearchParams({ draft: made.draft }));
    else if (made.job) this.watch(made.job);
  }

  /* A job that makes a draft: its bar stands in the form until the draft is there. */
  watch(job) {
    const form = this.form();
    if (!form) return;
    let place = form.querySelector("[data-jobplace]");
    if (!place) {
      place = document.createElement("div");
      place.dataset.jobplace = "";
      form.append(place);
    }
    this.page.jobs.watch(job, place, (found) => {
      if (found.result) this.page.go(new URLSearchParams({ draft: found.result }));
    });
  }

  change(form) {
    const source = form.elements.source.value;
    form.querySelectorAll("[data-source]").forEach((part) => { part.hidden = part.dataset.source !== source; });
    form.querySelector("[data-slicing]").hidden = !form.elements.slice.checked;
  }

  /* Discarding asks once more, in the same place. */
  async discard(draft, button) {
    if (button.dataset.sure !== "true") {
      button.dataset.sure = "true";
      button.textContent = "Really discard";
      window.setTimeout(() => { button.dataset.sure = ""; button.textContent = "Discard"; }, SURE_MS);
      return;
    }
    await drop(`/desk/drafts/${encodeURIComponent(draft)}`);
    await this.page.show();
    this.page.toast("Discarded. The source is as it was.");
  }

  async demo() {
    this.page.stage.innerHTML = `<div class="em-card em-empty" role="status"><h1>Making the demo voice</h1>
      <p>Five minutes of speech by a voice that the built-in model never heard. This takes a moment the first time.</p>
      <div class="em-bar em-busy"><i></i></div></div>`;
    const { draft, told } = await send("/desk/demo");
    if (!this.page.params.has("demo")) return; // whoever asked for it has gone on to something else
    this.page.hint = told;
    await this.page.go(new URLSearchParams({ draft }), { push: false });
    await this.page.act(null, () => this.page.jobs.audit(() => this.page.jobs.prepare({ name: "demo", given: false })));
  }
}
