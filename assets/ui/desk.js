/* The Data page. Home: open recordings, drafts, datasets. Desk: the verdict of one draft, its rows, plots and preparation.
   What is shown is in the address (draft, tab, row, filters): a reload loses nothing. HTML comes from the server. */

import { ask, drop, escape, getHtml, getJson, send } from "./desk_api.js";
import { Plots } from "./desk_plots.js";
import { Rows } from "./desk_rows.js";
import { Upload } from "./desk_upload.js";

const POLL_MS = 700;
const TOAST_MS = 9000;

class DeskPage {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector("[data-stage]");
    this.toasts = root.querySelector("[data-toasts]");
    this.live = root.querySelector("[data-live]");
    this.draft = "";
    this.made = "";     // what the latest preparation of this draft said
    this.hint = "";     // what the demo has to say
    this.watched = "";  // the job that is being watched
    this.upload = new Upload(this);
    this.rows = new Rows(this);
    this.plots = new Plots(this);
  }

  get params() {
    return new URLSearchParams(window.location.search);
  }

  /* Change the address without leaving the page. Empty values go out of it. */
  address(changes, { push = false } = {}) {
    const params = this.params;
    for (const [key, value] of Object.entries(changes)) {
      if (value === "" || value === null || value === undefined) params.delete(key);
      else params.set(key, value);
    }
    const query = params.toString();
    const url = window.location.pathname + (query ? `?${query}` : "");
    window.history[push ? "pushState" : "replaceState"](window.history.state, "", url);
  }

  go(query, { push = true } = {}) {
    const url = window.location.pathname + (query ? `?${query}` : "");
    window.history[push ? "pushState" : "replaceState"](window.history.state, "", url);
    return this.show();
  }

  async show() {
    const draft = this.params.get("draft");
    try {
      if (this.draft) await this.rows.keepTyped();
      if (this.params.has("demo") && !draft) await this.demo();
      else if (draft) await this.openDraft(draft);
      else await this.openHome();
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error) {
    this.stage.innerHTML = `<div class="em-card em-empty" role="alert"><h1>This did not work</h1><p>${escape(error.message)}</p>
      <div class="em-row"><a class="em-button em-primary" href="?" data-go>All data</a>
      <button type="button" data-act="reload">Try again</button></div></div>`;
  }

  /* ------------------------------------------------------------------------------------------------------------ messages */
  say(text) {
    this.live.textContent = text;
  }

  toast(text, bad = false) {
    const box = document.createElement("div");
    box.className = `em-toast${bad ? " em-bad" : ""}`;
    box.setAttribute("role", bad ? "alert" : "status");
    box.innerHTML = `<p>${escape(text)}</p><button type="button" class="em-square" aria-label="Close this message">✕</button>`;
    box.querySelector("button").addEventListener("click", () => box.remove());
    this.toasts.append(box);
    while (this.toasts.children.length > 3) this.toasts.firstChild.remove();
    window.setTimeout(() => box.remove(), TOAST_MS);
  }

  /* Run what a button asks for once, with the button off meanwhile; a refusal becomes a message. */
  async act(button, work) {
    if (button && button.getAttribute("aria-busy") === "true") return;
    if (button) button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") this.toast(error.message, true);
    } finally {
      if (button) button.removeAttribute("aria-busy");
    }
  }

  /* ---------------------------------------------------------------------------------------------------------------- home */
  async openHome() {
    this.draft = "";
    this.watched = "";
    const { html, job } = await getJson("/desk/home");
    if (this.params.get("draft")) return;
    this.stage.innerHTML = html;
    document.title = "Earmark";
    this.upload.mount(this.stage);
    if (job) this.watchForDraft(job);
  }

  async openSource(form) {
    const told = form.querySelector("[data-told]");
    const values = Object.fromEntries(new FormData(form));
    const sliced = values.slice === "on";
    const common = { backend: values.backend, name: values.name || "" };
    const cut = { min_sec: Number(values.min_sec), max_sec: Number(values.max_sec) };
    if (values.source === "upload") {
      const made = await this.upload.send({ ...common, slice: sliced, ...cut }, told);
      this.opened(made);
      return;
    }
    told.textContent = sliced ? "" : "Reading the rows …";
    try {
      this.opened(await send(sliced ? "/desk/slicing" : "/desk/drafts", { path: values.path, ...common, ...(sliced ? cut : {}) }));
    } finally {
      told.textContent = "";
    }
  }

  opened(made) {
    if (made.draft) this.go(new URLSearchParams({ draft: made.draft }));
    else if (made.job) this.watchForDraft(made.job);
  }

  /* A job that makes a draft: its bar stands in the form until the draft is there. */
  watchForDraft(job) {
    const form = this.stage.querySelector("[data-form=open]");
    if (!form) return;
    let place = form.querySelector("[data-jobplace]");
    if (!place) {
      place = document.createElement("div");
      place.dataset.jobplace = "";
      form.append(place);
    }
    this.watch(job, place, (found) => {
      if (found.result) this.go(new URLSearchParams({ draft: found.result }));
    });
  }

  async demo() {
    this.stage.innerHTML = `<div class="em-card em-empty" role="status"><h1>Making the demo voice</h1>
      <p>Five minutes of speech by a voice that the built-in model never heard. This takes a moment the first time.</p>
      <div class="em-bar em-busy"><i></i></div></div>`;
    const { draft, told } = await send("/desk/demo");
    this.hint = told;
    await this.go(new URLSearchParams({ draft }), { push: false });
    await this.startAudit(async () => {
      await this.startPrepare({ name: "demo", given: false });
    });
  }

  /* --------------------------------------------------------------------------------------------------------------- draft */
  async openDraft(draft) {
    const again = this.draft === draft;
    if (!again) {
      this.made = "";
      this.rows.forget();
    }
    this.draft = draft;
    this.rows.readAddress(this.params);
    const tab = this.params.get("tab") || "rows";
    const [around, table] = await Promise.all([getJson(this.url()), tab === "rows" ? this.rows.fetch() : ""]);
    if (this.draft !== draft) return;
    this.audited = around.audited;
    document.title = `${around.name} · Earmark`;
    const card = again ? this.rows.aside() : null; // somebody may be writing in it
    const going = card ? this.rows.beingTyped(this.rows.opened) : [];
    this.stage.innerHTML = `<div class="em-stack" data-desk-open>${around.head}<div data-jobplace></div>
      <div data-made>${this.made}</div><div data-verdict>${around.verdict}</div>
      <div data-hint>${this.hint}</div><div class="em-card em-work"><div data-tabs></div>
      <div class="em-split"><div id="desk-pane" class="em-pane" role="tabpanel" tabindex="-1"></div>
      <aside class="em-aside" data-aside aria-label="The open row"></aside></div></div></div>`;
    if (card) this.stage.querySelector("[data-aside]").replaceWith(card);
    this.rows.typeOn(going);
    this.drawTabs(tab);
    this.drawVerdict();
    await this.openTab(this.audited || tab === "rows" ? tab : "rows", table);
    if (around.job) this.watchDraftJob(around.job);
  }

  url(path = "") {
    return `/desk/drafts/${encodeURIComponent(this.draft)}${path}`;
  }

  pane() {
    return this.stage.querySelector("#desk-pane");
  }

  drawTabs(current) {
    const names = [["rows", "Rows"], ...(this.audited ? [["plots", "Plots"], ["prepare", "Prepare"]] : [])];
    this.stage.querySelector("[data-tabs]").innerHTML = `<div class="em-tabs" role="tablist" aria-label="Views of this draft">
      ${names.map(([key, name]) => `<button type="button" role="tab" id="desk-tab-${key}" data-act="tab" data-tab="${key}"
        aria-selected="${key === current}" aria-controls="desk-pane" tabindex="${key === current ? 0 : -1}">${name}</button>`).join("")}</div>`;
  }

  async openTab(tab, ready = "") {
    this.tab = tab;
    this.address({ tab: tab === "rows" ? "" : tab });
    this.drawTabs(tab);
    const pane = this.pane();
    pane.setAttribute("aria-labelledby", `desk-tab-${tab}`);
    this.stage.querySelector(".em-split").dataset.tab = tab;
    if (tab === "rows") await this.rows.draw(ready);
    else if (tab === "plots") await this.plots.draw(pane);
    else await this.drawPrepare(pane);
    if (tab !== "prepare") await this.rows.showOpened();
  }

  /* What stands around the rows, after something was decided. */
  async refreshAround() {
    const { draft } = this;
    const around = await getJson(this.url());
    if (this.draft !== draft || !this.stage.querySelector("[data-verdict]")) return;
    this.stage.querySelector("[data-verdict]").innerHTML = around.verdict;
    this.drawVerdict();
  }

  /* 1 - (1 - p)^N for the N that somebody typed; this browser keeps N. */
  drawVerdict() {
    const box = this.stage.querySelector("[data-p]");
    const field = box && box.querySelector("[data-rows-a-step]");
    if (!field) return;
    const kept = localStorage.getItem("earmark-rows-a-step");
    if (kept && field.value !== kept) field.value = kept;
    const tell = () => {
      const n = Math.max(1, Math.floor(Number(field.value) || 1));
      const share = 1 - (1 - Number(box.dataset.p)) ** n;
      box.querySelector("[data-tainted]").textContent = percent(share);
    };
    field.addEventListener("input", () => {
      localStorage.setItem("earmark-rows-a-step", field.value);
      tell();
    });
    tell();
  }

  /* ---------------------------------------------------------------------------------------------------------------- jobs */
  async watch(job, place, over) {
    this.watched = job;
    let said = "";
    while (this.watched === job && place.isConnected) {
      let found;
      try {
        found = await getJson(`/desk/jobs/${encodeURIComponent(job)}`);
      } catch (error) {
        place.innerHTML = `<p class="em-notice em-bad" role="alert">${escape(error.message)}</p>`;
        return;
      }
      if (this.watched !== job || !place.isConnected) return;
      if (found.over) {
        this.watched = "";
        place.innerHTML = found.state === "done" ? "" : found.html;
        await over(found);
        return;
      }
      if (place.dataset.job !== job || !patchBar(place, found.html)) place.innerHTML = found.html;
      place.dataset.job = job;
      const now = place.textContent.slice(0, 12);
      if (now !== said) this.say(place.querySelector("p")?.textContent || "");
      said = now;
      await new Promise((resolve) => { window.setTimeout(resolve, POLL_MS); });
    }
  }

  watchDraftJob(job, then = null) {
    const place = this.stage.querySelector("[data-jobplace]");
    if (!place) return;
    this.busy(true);
    this.watch(job, place, async (found) => {
      this.busy(false);
      if (found.state !== "done") {
        this.say(found.state === "cancelled" ? "Cancelled." : "It did not work.");
        return;
      }
      if (found.kind === "prepare") this.made = found.html;
      this.plots.forget();
      await this.show();
      if (found.kind === "prepare") {
        this.stage.querySelector("[data-made]")?.scrollIntoView({ block: "nearest" });
        this.say("The dataset is ready.");
      } else this.say("Done.");
      if (then) await then();
    });
  }

  /* One job at a time works on a draft; everything else stays usable. */
  busy(on) {
    this.stage.querySelectorAll("[data-act=audit], [data-form=prepare] button.em-primary").forEach((b) => { b.disabled = on; });
  }

  async startAudit(then = null) {
    const { job } = await send(this.url("/audit"));
    this.watchDraftJob(job, then);
  }

  async startPrepare(values) {
    const { job } = await send(this.url("/prepare"), values);
    this.watchDraftJob(job);
    this.stage.querySelector("[data-jobplace]").scrollIntoView({ block: "nearest" });
  }

  /* ------------------------------------------------------------------------------------------------------------- prepare */
  async drawPrepare(pane) {
    pane.innerHTML = await getHtml(this.url("/prepare"));
    this.busy(Boolean(this.watched));
    await this.drawPlan();
  }

  async drawPlan() {
    const form = this.stage.querySelector("[data-form=prepare]");
    if (!form) return;
    form.querySelector("[data-plan]").innerHTML = await getHtml(this.url(`/plan?keep_errors=${form.elements.keep_errors.checked}`));
  }

  async prepare(form) {
    const number = (name) => (form.elements[name].value === "" ? null : Number(form.elements[name].value));
    const wrong = [...form.elements].find((e) => e.willValidate && !e.checkValidity());
    if (wrong) {
      wrong.focus();
      throw new Error(`${form.querySelector(`label[for="${wrong.id}"]`)?.textContent || wrong.name}: ${wrong.validationMessage}`);
    }
    await this.startPrepare({
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

  /* -------------------------------------------------------------------------------------------------------------- events */
  click(event) {
    const link = event.target.closest("a[data-go]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      this.made = "";
      this.hint = "";
      this.go(link.getAttribute("href").replace(/^\?/, ""));
      return;
    }
    const button = event.target.closest("button[data-act]");
    if (!button || button.disabled) return;
    this.act(button, () => this.command(button.dataset.act, button));
  }

  async command(act, button) {
    const { dataset } = button;
    if (act === "demo") await this.go("demo=1");
    else if (act === "reload") await this.show();
    else if (act === "audit") await this.startAudit();
    else if (act === "tab") await this.openTab(dataset.tab);
    else if (act === "cancel") {
      await send(`/desk/jobs/${encodeURIComponent(dataset.job)}/cancel`);
      button.disabled = true;
      button.textContent = "Cancelling";
    } else if (act === "open-path") {
      this.hint = "";
      this.opened(await send("/desk/drafts", { path: dataset.path, backend: dataset.backend, name: "demo with faults" }));
    } else if (act === "discard") await this.discard(dataset.draft, button);
    else await this.rows.command(act, button);
  }

  /* Discarding asks once more, in the same place. */
  async discard(draft, button) {
    if (button.dataset.sure !== "true") {
      button.dataset.sure = "true";
      button.textContent = "Really discard";
      window.setTimeout(() => { button.dataset.sure = ""; button.textContent = "Discard"; }, 4000);
      return;
    }
    await drop(`/desk/drafts/${encodeURIComponent(draft)}`);
    await this.openHome();
    this.toast("Discarded. The source is as it was.");
  }

  submit(event) {
    const form = event.target.closest("form[data-form]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button.em-primary");
    if (form.dataset.form === "open") this.act(button, () => this.openSource(form));
    else if (form.dataset.form === "prepare") this.act(button, () => this.prepare(form));
  }

  change(event) {
    const { target } = event;
    const form = target.closest("form[data-form]");
    if (form && form.dataset.form === "open") {
      const source = form.elements.source.value;
      form.querySelectorAll("[data-source]").forEach((part) => { part.hidden = part.dataset.source !== source; });
      form.querySelector("[data-slicing]").hidden = !form.elements.slice.checked;
    } else if (form && target.name === "keep_errors") this.act(null, () => this.drawPlan());
  }

  key(event) {
    const tab = event.target.closest?.("[role=tab]");
    if (tab && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const tabs = [...this.stage.querySelectorAll("[role=tab]")];
      const next = tabs[(tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
      event.preventDefault();
      this.act(null, async () => {
        await this.openTab(next.dataset.tab);
        this.stage.querySelector(`#desk-tab-${next.dataset.tab}`)?.focus();
      });
      return;
    }
    if (this.draft) this.rows.key(event);
  }
}

/* The same numbers as the server says. */
export function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "under 0.1 %";
  return value >= 10 || value === 0 ? `${value.toFixed(0)} %` : `${value.toFixed(1)} %`;
}

/* A bar that moves keeps its button and its focus: only the numbers change. */
function patchBar(place, html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  const [oldBar, newBar] = [place, fresh].map((side) => side.querySelector(".em-bar"));
  if (!oldBar || !newBar || oldBar.className !== newBar.className) return false;
  oldBar.setAttribute("aria-valuenow", newBar.getAttribute("aria-valuenow"));
  oldBar.setAttribute("aria-valuemax", newBar.getAttribute("aria-valuemax"));
  oldBar.firstElementChild.style.width = newBar.firstElementChild.style.width;
  place.querySelector(".em-quiet").textContent = fresh.querySelector(".em-quiet").textContent;
  return true;
}

export async function mount(element) {
  const root = element.querySelector("[data-desk]");
  const page = new DeskPage(root);
  root.addEventListener("click", (event) => page.click(event));
  root.addEventListener("click", (event) => page.rows.click(event));
  root.addEventListener("submit", (event) => page.submit(event));
  root.addEventListener("change", (event) => { page.change(event); page.rows.change(event); });
  root.addEventListener("input", (event) => page.rows.input(event));
  root.addEventListener("keydown", (event) => page.key(event));
  document.addEventListener("keydown", (event) => { if (!root.contains(event.target) && page.draft) page.rows.key(event); });
  window.addEventListener("popstate", () => page.show());
  window.addEventListener("beforeunload", (event) => { if (page.rows.isDirty()) event.preventDefault(); });
  await page.show();
}

export { ask };
