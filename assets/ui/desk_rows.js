/* The rows of a draft as a table: filters, pages, selecting and deciding many.
   A page of rows is a piece of HTML from the server; this file remembers what is filtered and selected. */

import { getHtml, isMe, send, who } from "./desk_api.js";
import { put } from "./patch.js";

const FILTERS = ["everything", "check", "severity", "state", "search", "measure", "low", "high", "order", "page"];
const DEFAULTS = { order: "worst", page: "1", everything: "" };
const SEARCH_MS = 220;
const SOON_MS = 400;

export class Rows {
  constructor(page) {
    this.page = page;
    this.asked = 0; // the latest request for a page of rows; older answers are let go
    this.forget();
  }

  /* Another draft, or none. */
  forget() {
    window.clearTimeout(this.searching);
    window.clearTimeout(this.soon);
    this.asked += 1;
    this.filters = {};
    this.selected = new Set();
    this.all = false;
  }

  /* What an address filters. */
  filtersOf(params) {
    return Object.fromEntries(FILTERS.filter((name) => params.get(name)).map((name) => [name, params.get(name)]));
  }

  /* The filters as the server wants them; without a page where the whole set is meant. */
  query({ paged = true } = {}) {
    const query = { ...this.filters };
    if (!paged) delete query.page;
    return query;
  }

  /* The same as JSON, for acts on all that the filters leave. */
  json() {
    const query = this.query({ paged: false });
    if (query.everything) query.everything = true;
    for (const end of ["low", "high"]) if (query[end] !== undefined) query[end] = Number(query[end]);
    return query;
  }

  /* --------------------------------------------------------------------------------------------------------------- table */
  async draw(ready = "") {
    if (!this.page.draft) return;
    this.asked += 1;
    const mine = this.asked;
    const html = ready || await getHtml(this.page.url(`/rows?${new URLSearchParams({ ...this.query(), row: this.page.card.opened })}`));
    const pane = this.page.pane();
    if (mine !== this.asked || this.page.tab !== "rows" || !pane) return;
    put(pane, html);
    for (const field of pane.querySelectorAll("select[data-filter], [data-filter=search]")) this.tell(field);
    this.drawSelection();
    this.page.card.mark();
  }

  /* A field says what is filtered by, unless somebody writes in it. */
  tell(field) {
    if (field === document.activeElement && field.matches("input")) return;
    const { filter } = field.dataset;
    field.value = this.filters[filter] ?? DEFAULTS[filter] ?? "";
  }

  total() {
    return Number(this.page.pane()?.querySelector("[data-rowlist]")?.dataset.total || 0);
  }

  setFilters(changes) {
    const next = { ...this.filters, ...changes };
    if (!("page" in changes)) {
      delete next.page;
      this.selected.clear();
      this.all = false;
    }
    for (const [name, value] of Object.entries(next)) {
      if (value === "" || value === undefined || value === DEFAULTS[name]) delete next[name];
    }
    this.filters = next;
    this.page.address(Object.fromEntries(FILTERS.map((name) => [name, next[name] ?? ""])));
    return this.draw();
  }

  /* A bar of a histogram: the rows of that range, in the table. */
  async showRange(measure, low, high) {
    this.filters = {};
    await this.setFilters({ measure, low: String(low), high: String(high) });
    await this.page.openTab("rows");
  }

  async turn(page) {
    await this.setFilters({ page: String(page) });
    const field = this.page.pane()?.querySelector("[data-page-number]");
    if (field) field.value = field.defaultValue;
    this.page.stage.querySelector(".em-work")?.scrollIntoView({ block: "start" });
  }

  /* While somebody types one text after the other the table follows, but never holds them up. */
  refreshSoon() {
    window.clearTimeout(this.soon);
    this.soon = window.setTimeout(() => {
      this.page.act(null, async () => {
        await Promise.all([this.page.tab === "rows" ? this.draw() : null, this.page.refreshAround()]);
      });
    }, SOON_MS);
  }

  /* ----------------------------------------------------------------------------------------------------------- selection */
  drawSelection() {
    const pane = this.page.pane();
    const bar = pane?.querySelector("[data-bulk]");
    if (!bar) return;
    const boxes = [...pane.querySelectorAll("[data-select]")];
    boxes.forEach((box) => {
      box.checked = this.all || this.selected.has(box.dataset.select);
      box.closest("tr").dataset.selected = String(box.checked);
    });
    const onPage = boxes.filter((box) => box.checked).length;
    const head = pane.querySelector("[data-select-page]");
    if (head) {
      head.checked = boxes.length > 0 && onPage === boxes.length;
      head.indeterminate = onPage > 0 && onPage < boxes.length;
    }
    const total = this.total();
    const n = this.all ? total : this.selected.size;
    bar.hidden = n === 0;
    if (!n) return;
    bar.querySelector("[data-selected]").textContent = `${n.toLocaleString("en")} ${n === 1 ? "row" : "rows"} selected`;
    const more = bar.querySelector("[data-act=select-all]");
    more.hidden = this.all || n >= total;
    more.textContent = `Select all ${total.toLocaleString("en")} of this filter`;
  }

  select(row, on) {
    if (this.all) {
      this.all = false;
      this.page.pane().querySelectorAll("[data-select]").forEach((box) => this.selected.add(box.dataset.select));
    }
    if (on) this.selected.add(row);
    else this.selected.delete(row);
    this.drawSelection();
  }

  selectPage(on) {
    this.page.pane().querySelectorAll("[data-select]").forEach((box) => {
      if (on) this.selected.add(box.dataset.select);
      else this.selected.delete(box.dataset.select);
    });
    this.all = false;
    this.drawSelection();
  }

  async bulk(act) {
    const name = this.page.pane().querySelector("[data-bulk] [data-name]")?.value.trim();
    isMe(name);
    const rows = [...this.selected];
    const chosen = this.all ? { filters: this.json() } : { rows, check: this.filters.check || "" };
    const asked = { act, ...chosen, by: name || who() };
    if (act === "transcribe") {
      const { job } = await send(this.page.url("/transcribe"), asked);
      this.page.jobs.watchOfDraft(job);
      return;
    }
    const { told } = await send(this.page.url("/decide"), asked);
    rows.forEach((row) => this.selected.delete(row)); // what was selected meanwhile stays so
    this.all = false;
    this.drawSelection(); // a box that is off already can be ticked while the table is on its way
    await this.afterDeciding(told);
  }

  async afterDeciding(told) {
    const { card } = this.page;
    await card.keepTyped();
    this.page.toast(told);
    await Promise.all([
      this.page.tab === "rows" ? this.draw() : null,
      this.page.refreshAround(),
      card.opened ? card.showOpened() : null,
    ]);
  }

  /* -------------------------------------------------------------------------------------------------------------- events */
  async command(act) {
    if (act === "select-all") { this.all = true; this.drawSelection(); }
    else if (act === "select-none") { this.all = false; this.selected.clear(); this.drawSelection(); }
    else if (act === "clear-filters") await this.setFilters(Object.fromEntries(FILTERS.map((name) => [name, ""])));
  }

  click(event) {
    const at = (selector) => event.target.closest(selector);
    const { page } = this;
    const [filter, turn, bulk, act, open] = ["button[data-filter]", "button[data-page]", "button[data-bulk-act]", "button[data-card-act]", "[data-open-row]"].map(at);
    if (filter) page.act(null, () => this.filterBy(filter));
    else if (turn) page.act(turn, () => this.turn(turn.dataset.page));
    else if (bulk) page.act(bulk, () => this.bulk(bulk.dataset.bulkAct));
    else if (act) page.act(act, () => page.card.decide(act.dataset.cardAct, act));
    else if (open) page.act(null, () => page.card.open(open.dataset.openRow));
    else {
      const row = at("tr[data-row]");
      if (row && !at("label,button,a,input") && !String(window.getSelection())) page.act(null, () => page.card.open(row.dataset.row));
    }
  }

  filterBy(button) {
    const { filter, value } = button.dataset;
    const on = button.getAttribute("aria-pressed") === "true";
    return this.setFilters(filter === "measure" ? { measure: "", low: "", high: "" } : { [filter]: on ? "" : value });
  }

  change(event) {
    const { target } = event;
    if (target.matches("select[data-filter]")) this.page.act(null, () => this.setFilters({ [target.dataset.filter]: target.value }));
    else if (target.matches("[data-page-number]")) this.page.act(null, () => this.turn(Math.max(1, Math.floor(Number(target.value) || 1))));
    else if (target.matches("[data-select]")) this.select(target.dataset.select, target.checked);
    else if (target.matches("[data-select-page]")) this.selectPage(target.checked);
  }

  input(event) {
    if (!event.target.matches("[data-filter=search]")) return;
    window.clearTimeout(this.searching);
    const { target } = event;
    this.searching = window.setTimeout(() => this.page.act(null, () => this.setFilters({ search: target.value })), SEARCH_MS);
  }
}
