/* The Data page: what is shown follows the address (draft, tab, row, filters), so that a reload loses nothing. The first page
   is in `desk_home.js`; of a draft the rows are in `desk_rows.js`, the open one in `desk_card.js`, plots, preparation and jobs
   in files of their own. HTML comes from the server. Until something else is here, what is shown stays what acts go to. */

import { escape, getHtml, getJson, send } from "./desk_api.js";
import { Card } from "./desk_card.js";
import { Home } from "./desk_home.js";
import { DeskJobs } from "./desk_jobs.js";
import { Plots } from "./desk_plots.js";
import { Prepare } from "./desk_prepare.js";
import { Rows } from "./desk_rows.js";
import { stepsTyped, tellSteps } from "./desk_verdict.js";
import { put } from "./patch.js";

const TOAST_MS = 9000;
const FRAME = `<div class="em-stack" data-desk-open><div data-head></div><div data-jobplace></div><div data-made></div>
  <div data-verdict></div><div data-hint></div><div class="em-card em-work"><div data-tabs></div>
  <div class="em-split"><div id="desk-pane" class="em-pane" role="tabpanel" tabindex="-1"></div>
  <aside class="em-aside" data-aside aria-label="The open row"></aside></div></div></div>`;

class DeskPage {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector("[data-stage]");
    this.toasts = root.querySelector("[data-toasts]");
    this.live = root.querySelector("[data-live]");
    this.draft = "";   // the one that is shown; none on the first page
    this.shown = "";   // the address of what is shown
    this.turn = 0;     // of what was asked to be shown: an answer to an earlier asking comes too late
    this.made = "";    // what the latest preparation of this draft said
    this.hint = "";    // what the demo has to say
    this.jobs = new DeskJobs(this);
    this.home = new Home(this);
    this.rows = new Rows(this);
    this.card = new Card(this);
    this.plots = new Plots(this);
    this.prepare = new Prepare(this);
  }

  get params() {
    return new URLSearchParams(window.location.search);
  }

  /* Change the address without leaving the page. Empty values go out of it. */
  address(changes) {
    const params = this.params;
    for (const [key, value] of Object.entries(changes)) {
      if (value === "" || value === null || value === undefined) params.delete(key);
      else params.set(key, value);
    }
    this.write(params.toString());
    this.shown = window.location.search;
  }

  write(query, { push = false } = {}) {
    const url = window.location.pathname + (query ? `?${String(query).replace(/^\?/, "")}` : "");
    window.history[push ? "pushState" : "replaceState"](window.history.state, "", url);
  }

  go(query, { push = true } = {}) {
    this.write(query, { push });
    return this.show();
  }

  /* Show what the address says. What is typed is kept before anything goes; where it cannot be kept, nothing goes. */
  async show() {
    this.turn += 1;
    const mine = this.turn;
    const isCurrent = () => mine === this.turn;
    try {
      await this.card.keepTyped();
    } catch (error) {
      this.toast(error.message, true);
      if (isCurrent()) this.write(this.shown);
      return;
    }
    if (!isCurrent()) return;
    const draft = this.params.get("draft");
    try {
      if (draft) await this.openDraft(draft, isCurrent);
      else if (this.params.has("demo")) await this.home.demo();
      else await this.openHome(isCurrent);
    } catch (error) {
      if (isCurrent()) this.failed(error, draft);
    }
  }

  failed(error, draft) {
    if (draft && draft === this.draft && this.stage.querySelector("[data-desk-open]")) { // it is there, and somebody may write in it
      this.toast(error.message, true);
      return;
    }
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
  async openHome(isCurrent) {
    const found = await this.home.fetch();
    await this.card.keepTyped(); // what was typed meanwhile
    if (!isCurrent()) return;
    if (this.draft) this.jobs.watched = "";
    this.draft = "";
    this.shown = window.location.search;
    this.card.opened = "";
    this.card.hide();
    this.rows.forget();
    this.home.draw(found);
  }

  /* --------------------------------------------------------------------------------------------------------------- draft */
  async openDraft(draft, isCurrent) {
    const { params, rows, card } = this;
    const [tab, row, filters] = [params.get("tab") || "rows", params.get("row") || "", rows.filtersOf(params)];
    const at = `/desk/drafts/${encodeURIComponent(draft)}`;
    const table = tab === "rows" ? getHtml(`${at}/rows?${new URLSearchParams({ ...filters, row })}`) : "";
    const [around, ready] = await Promise.all([getJson(at), table]);
    await card.keepTyped(); // what was typed meanwhile
    if (!isCurrent()) return;
    const again = this.draft === draft && this.stage.querySelector("[data-desk-open]");
    const asAsked = !again || String(this.params) === String(params); // or somebody filters by something else by now
    if (!again) {
      if (this.draft !== draft) this.made = "";
      this.write(params.toString());
      this.stage.innerHTML = FRAME;
      this.jobs.watched = "";
      rows.forget();
    }
    this.draft = draft;
    if (asAsked) {
      rows.filters = filters;
      card.opened = row;
    }
    this.shown = window.location.search;
    this.drawAround(around);
    await this.openTab(this.audited || tab === "rows" ? (asAsked ? tab : this.tab) : "rows", asAsked ? ready : "");
    if (around.job && this.jobs.watched !== around.job) this.jobs.watchOfDraft(around.job);
  }

  url(path = "") {
    return `/desk/drafts/${encodeURIComponent(this.draft)}${path}`;
  }

  pane() {
    return this.stage.querySelector("#desk-pane");
  }

  drawAround(around) {
    const place = (name) => this.stage.querySelector(`[data-${name}]`);
    this.audited = around.audited;
    document.title = `${around.name} · Earmark`;
    put(place("head"), around.head);
    put(place("made"), this.made);
    put(place("verdict"), around.verdict);
    put(place("hint"), this.hint);
    if (this.jobs.watched) this.jobs.busy(true);
    tellSteps(this.stage);
  }

  /* What stands around the rows, after something was decided. */
  async refreshAround() {
    const { draft } = this;
    if (!draft) return;
    const around = await getJson(this.url());
    if (this.draft === draft && this.stage.querySelector("[data-desk-open]")) this.drawAround(around);
  }

  drawTabs(current) {
    const names = [["rows", "Rows"], ...(this.audited ? [["plots", "Plots"], ["prepare", "Prepare"]] : [])];
    put(this.stage.querySelector("[data-tabs]"), `<div class="em-tabs" role="tablist" aria-label="Views of this draft">
      ${names.map(([key, name]) => `<button type="button" role="tab" id="desk-tab-${key}" data-act="tab" data-tab="${key}"
        aria-selected="${key === current}" aria-controls="desk-pane" tabindex="${key === current ? 0 : -1}">${name}</button>`).join("")}</div>`);
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
    else await this.prepare.draw();
    if (tab !== "prepare") await this.card.showOpened();
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
    else if (act === "audit") await this.jobs.audit();
    else if (act === "tab") await this.openTab(dataset.tab);
    else if (act === "cancel") await this.jobs.cancel(dataset.job);
    else if (act === "open-path") {
      this.hint = "";
      this.home.opened(await send("/desk/drafts", { path: dataset.path, backend: dataset.backend, name: "demo with faults" }), button);
    } else if (act === "discard") await this.home.discard(dataset.draft, button);
    else await Promise.all([this.rows.command(act), this.card.command(act, button)]);
  }

  submit(event) {
    const form = event.target.closest("form[data-form]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button.em-primary");
    if (form.dataset.form === "open") this.act(button, () => this.home.open(form));
    else if (form.dataset.form === "prepare") this.act(button, () => this.prepare.submit(form));
  }

  change(event) {
    const form = event.target.closest("form[data-form]");
    if (form && form.dataset.form === "open") this.home.change(form);
    else if (form && event.target.name === "keep_errors") this.act(null, () => this.prepare.plan());
    else this.rows.change(event);
  }

  input(event) {
    this.rows.input(event);
    stepsTyped(this.stage, event.target);
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
    if (this.draft) this.card.key(event);
  }
}

export async function mount(element) {
  const root = element.querySelector("[data-desk]");
  const page = new DeskPage(root);
  root.addEventListener("click", (event) => page.click(event));
  root.addEventListener("click", (event) => page.rows.click(event));
  root.addEventListener("submit", (event) => page.submit(event));
  root.addEventListener("change", (event) => page.change(event));
  root.addEventListener("input", (event) => page.input(event));
  root.addEventListener("keydown", (event) => page.key(event));
  document.addEventListener("keydown", (event) => { if (!root.contains(event.target) && page.draft) page.card.key(event); });
  window.addEventListener("popstate", () => page.show());
  window.addEventListener("beforeunload", (event) => { if (page.card.isDirty()) event.preventDefault(); });
  await page.show();
}
