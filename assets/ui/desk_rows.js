/* The rows of a draft: filters, pages, selecting and deciding many; one row opened beside them, heard, typed and decided.
   A page of rows is a piece of HTML from the server; this file remembers what is filtered, selected and open. */

import { getHtml, isMe, send, who } from "./desk_api.js";

const FILTERS = ["everything", "check", "severity", "state", "search", "measure", "low", "high", "order", "page"];
const DEFAULTS = { order: "worst", page: "1", everything: "" };
const SEARCH_MS = 220;

export class Rows {
  constructor(page) {
    this.page = page;
    this.asked = 0; // the latest request for a page of rows; older answers are let go
    this.showing = 0; // the latest request for one row
    this.forget();
  }

  forget() {
    this.filters = {};
    this.selected = new Set();
    this.all = false;
    this.opened = "";
    this.typed = null; // the text as the server knows it
  }

  readAddress(params) {
    this.filters = {};
    for (const name of FILTERS) if (params.get(name)) this.filters[name] = params.get(name);
    this.opened = params.get("row") || "";
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

  fetch() {
    return getHtml(this.page.url(`/rows?${new URLSearchParams({ ...this.query(), row: this.opened })}`));
  }

  /* --------------------------------------------------------------------------------------------------------------- table */
  async draw(ready = "") {
    this.asked += 1;
    const mine = this.asked;
    const html = ready || await this.fetch();
    if (mine !== this.asked || this.page.tab !== "rows") return;
    const pane = this.page.pane();
    const focus = document.activeElement;
    const kept = pane.contains(focus) ? handleOf(focus) : null;
    const search = focus?.dataset?.filter === "search" ? [focus.value, focus.selectionStart] : null;
    pane.innerHTML = html;
    if (search) {
      const field = pane.querySelector("[data-filter=search]");
      [field.value] = search;
      field.focus();
      field.setSelectionRange(search[1], search[1]);
    } else if (kept) pane.querySelector(kept)?.focus();
    this.drawSelection();
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

  async bulk(act) {
    const field = this.page.pane().querySelector("[data-bulk] [data-name]");
    isMe(field?.value.trim());
    const chosen = this.all ? { filters: this.json() } : { rows: [...this.selected], check: this.filters.check || "" };
    const asked = { act, ...chosen, by: field?.value.trim() || who() };
    if (act === "transcribe") {
      const { job } = await send(this.page.url("/transcribe"), asked);
      this.page.watchDraftJob(job);
      return;
    }
    const { told } = await send(this.page.url("/decide"), asked);
    this.selected.clear();
    this.all = false;
    await this.afterDeciding(told);
  }

  async afterDeciding(told) {
    await this.keepTyped();
    this.page.toast(told);
    await Promise.all([
      this.page.tab === "rows" ? this.draw() : null,
      this.page.refreshAround(),
      this.opened ? this.showOpened() : null,
    ]);
  }

  /* ----------------------------------------------------------------------------------------------------------------- a row */
  aside() {
    return this.page.stage.querySelector("[data-aside]");
  }

  card() {
    return this.aside()?.querySelector("[data-card]");
  }

  textField() {
    return this.aside()?.querySelector("[data-text]");
  }

  isDirty() {
    const field = this.textField();
    return Boolean(field) && this.typed !== null && field.value !== this.typed;
  }

  /* Draw the row that the address names, as after a reload. */
  async showOpened() {
    await this.keepTyped();
    if (this.opened) await this.show(this.opened);
    else this.hideAside();
  }

  /* Draw a row beside the table. True when it stands there: a row asked for later goes before it. */
  async show(row) {
    const aside = this.aside();
    if (!aside) return false;
    this.showing += 1;
    const mine = this.showing;
    this.point(row);
    const query = new URLSearchParams({ ...this.query({ paged: false }), row });
    const html = await getHtml(this.page.url(`/row?${query}`)).catch((error) => {
      if (mine === this.showing) this.point(this.card()?.dataset.card || "");
      throw error;
    });
    if (this.card()?.dataset.card !== row) await this.keepTyped(); // what was typed while this row was on its way
    if (mine !== this.showing || !aside.isConnected) return false;
    const hadFocus = aside.contains(document.activeElement) ? handleOf(document.activeElement) : null;
    const going = this.beingTyped(row);
    aside.innerHTML = html;
    aside.dataset.open = "true";
    document.documentElement.dataset.rowOpen = "true";
    this.typed = this.textField()?.value ?? null;
    if (hadFocus) aside.querySelector(hadFocus)?.focus();
    this.typeOn(going);
    this.fetchAhead(this.card().dataset.next);
    return true;
  }

  /* The row that is open, in the address, the table and the plots. */
  point(row) {
    this.opened = row;
    this.page.address({ row });
    this.markOpened();
    this.page.plots.mark(row);
  }

  /* The next row's sound, so that it plays at once when its turn comes. */
  fetchAhead(row) {
    if (!row) return;
    const which = new URLSearchParams({ row });
    for (const kind of ["wave.png", "spectrum.png"]) new Image().src = this.page.url(`/${kind}?${which}`);
    const sound = new Audio();
    sound.preload = "auto";
    sound.src = this.page.url(`/audio?${which}`);
  }

  markOpened() {
    this.page.stage.querySelectorAll("tr[data-row]").forEach((row) => {
      if (row.dataset.row === this.opened) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  }

  async open(row, { play = false, type = false } = {}) {
    await this.keepTyped();
    if (!await this.show(row)) return;
    const aside = this.aside();
    if (type) {
      const field = this.textField();
      field?.focus();
      field?.setSelectionRange(field.value.length, field.value.length);
    } else if (!aside.contains(document.activeElement) && isNarrow()) aside.querySelector(".em-play, [data-act=close-row]")?.focus();
    aside.scrollTop = 0;
    if (play) aside.querySelector(".em-play")?.click();
  }

  hideAside() {
    this.showing += 1;
    const aside = this.aside();
    if (aside) {
      aside.innerHTML = "";
      delete aside.dataset.open;
    }
    delete document.documentElement.dataset.rowOpen;
  }

  async close() {
    await this.keepTyped();
    const row = this.opened;
    this.typed = null;
    this.hideAside();
    this.point("");
    this.page.stage.querySelector(`[data-open-row="${CSS.escape(row)}"]`)?.focus();
  }

  async step(way, { play = false } = {}) {
    const to = this.card()?.dataset[way];
    if (!to) return;
    const typing = document.activeElement === this.textField();
    await this.open(to, { play, type: typing });
  }

  /* --------------------------------------------------------------------------------------------------------------- texts */
  /* What was typed is never lost by going to another row, or by a piece of the page that is drawn anew. */
  async keepTyped() {
    while (this.isDirty()) await this.saveText({ quiet: true });
  }

  /* What somebody is writing on a row's card just now, to be written on when the card is drawn anew. */
  beingTyped(row) {
    const card = this.card();
    if (card?.dataset.card !== row) return [];
    return [...card.querySelectorAll(WRITTEN.join())].map((field) => ({
      where: WRITTEN.find((selector) => field.matches(selector)),
      value: field.value,
      dirty: field.matches("[data-text]") ? this.isDirty() : field.value !== field.defaultValue,
      open: Boolean(field.closest("details")?.open),
      at: field === document.activeElement ? [field.selectionStart, field.selectionEnd, field.selectionDirection] : null,
    }));
  }

  typeOn(going) {
    for (const { where, value, dirty, open, at } of going) {
      const field = this.card()?.querySelector(where);
      if (!field) continue;
      if (dirty) field.value = value;
      if (open) field.closest("details").open = true;
      if (!at) continue;
      field.focus();
      field.setSelectionRange(...at);
    }
  }

  async saveText({ quiet = false } = {}) {
    const field = this.textField();
    if (!field) return;
    const { card } = this.card().dataset;
    const text = field.value;
    const { told } = await send(this.page.url("/text"), { row: card, text, by: who() });
    this.typed = text;
    this.page.say(told);
    if (!quiet) await this.afterDeciding(told);
    else this.refreshSoon();
  }

  /* While somebody types one text after the other the table follows, but never holds them up. */
  refreshSoon() {
    window.clearTimeout(this.soon);
    this.soon = window.setTimeout(() => {
      this.page.act(null, async () => {
        await Promise.all([this.page.tab === "rows" ? this.draw() : null, this.page.refreshAround()]);
      });
    }, 400);
  }

  async saveAndGoOn() {
    const next = this.card()?.dataset.next;
    await this.keepTyped();
    if (next) await this.open(next, { play: true, type: true });
    else {
      this.page.toast("That was the last row of this filter.");
      await this.showOpened();
    }
  }

  async pasteTexts(button) {
    const lines = button.closest(".em-paste").querySelector("[data-lines]").value.split(/\r?\n/);
    if (!lines.some((line) => line.trim())) throw new Error("Paste some lines first, one a row.");
    const { told } = await send(this.page.url("/texts"), { row: this.card().dataset.card, lines, by: who() });
    for (const field of this.card().querySelectorAll("[data-lines]")) field.value = "";
    this.typed = null; // the line goes before what stood in the row's own field
    await this.afterDeciding(told);
  }

  /* -------------------------------------------------------------------------------------------------------------- events */
  async command(act, button) {
    if (act === "select-all") { this.all = true; this.drawSelection(); }
    else if (act === "select-none") { this.all = false; this.selected.clear(); this.drawSelection(); }
    else if (act === "clear-filters") await this.setFilters(Object.fromEntries(FILTERS.map((name) => [name, ""])));
    else if (act === "prev-row") await this.step("prev");
    else if (act === "next-row") await this.step("next");
    else if (act === "close-row") await this.close();
    else if (act === "save-text") await this.saveText();
    else if (act === "save-next") await this.saveAndGoOn();
    else if (act === "paste-texts") await this.pasteTexts(button);
    else if (act === "repair-one") await this.decideOne("repair", button.dataset.check);
  }

  async decideOne(act, check = "") {
    await this.keepTyped();
    const field = this.aside().querySelector("[data-name]");
    isMe(field?.value.trim());
    const asked = { act, rows: [this.card().dataset.card], check, by: field?.value.trim() || who() };
    const { told } = await send(this.page.url("/decide"), asked);
    await this.afterDeciding(told);
  }

  click(event) {
    const at = (selector) => event.target.closest(selector);
    const filter = at("button[data-filter]");
    if (filter) {
      const { filter: name, value } = filter.dataset;
      const on = filter.getAttribute("aria-pressed") === "true";
      const changes = name === "measure" ? { measure: "", low: "", high: "" } : { [name]: on ? "" : value };
      this.page.act(null, () => this.setFilters(changes));
      return;
    }
    const turn = at("button[data-page]");
    if (turn) { this.page.act(turn, () => this.turn(turn.dataset.page)); return; }
    const bulk = at("button[data-bulk-act]");
    if (bulk) { this.page.act(bulk, () => this.bulk(bulk.dataset.bulkAct)); return; }
    const act = at("button[data-card-act]");
    if (act) { this.page.act(act, () => this.decideOne(act.dataset.cardAct)); return; }
    const open = at("[data-open-row]");
    if (open) { this.page.act(null, () => this.open(open.dataset.openRow)); return; }
    const row = at("tr[data-row]");
    if (row && !at("label,button,a,input") && !String(window.getSelection())) {
      this.page.act(null, () => this.open(row.dataset.row));
    }
  }

  async turn(page) {
    await this.setFilters({ page: String(page) });
    this.page.stage.querySelector(".em-work").scrollIntoView({ block: "start" });
  }

  change(event) {
    const { target } = event;
    if (target.matches("select[data-filter]")) this.page.act(null, () => this.setFilters({ [target.dataset.filter]: target.value }));
    else if (target.matches("[data-page-number]")) this.page.act(null, () => this.turn(Math.max(1, Math.floor(Number(target.value) || 1))));
    else if (target.matches("[data-select]")) this.select(target.dataset.select, target.checked);
    else if (target.matches("[data-select-page]")) {
      this.page.pane().querySelectorAll("[data-select]").forEach((box) => {
        if (target.checked) this.selected.add(box.dataset.select);
        else this.selected.delete(box.dataset.select);
      });
      this.all = false;
      this.drawSelection();
    }
  }

  input(event) {
    if (!event.target.matches("[data-filter=search]")) return;
    window.clearTimeout(this.searching);
    const { target } = event;
    this.searching = window.setTimeout(() => this.page.act(null, () => this.setFilters({ search: target.value })), SEARCH_MS);
  }

  key(event) {
    if (!this.card()) return;
    const run = (work) => { event.preventDefault(); this.page.act(null, work); };
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(() => this.saveAndGoOn());
    else if (event.altKey && event.key === "ArrowDown") run(() => this.step("next"));
    else if (event.altKey && event.key === "ArrowUp") run(() => this.step("prev"));
    else if (event.altKey && event.code === "KeyP") run(async () => this.aside().querySelector(".em-play")?.click());
    else if (event.key === "Escape" && !event.target.closest?.("select,[data-bulk]")) run(() => this.close());
  }
}

const WRITTEN = ["[data-text]", "[data-lines]", "[data-name]"]; // the fields of a row's card that somebody writes in
const isNarrow = () => window.matchMedia("(max-width: 900px)").matches;

/* How to find an element again after the piece of the page that holds it was drawn anew. */
function handleOf(element) {
  for (const name of ["data-select", "data-open-row", "data-act", "data-page", "data-bulk-act", "data-card-act"]) {
    const value = element.getAttribute(name);
    if (value !== null) return `[${name}="${CSS.escape(value)}"]`;
  }
  if (element.dataset.filter) {
    const { filter, value } = element.dataset;
    return `[data-filter="${CSS.escape(filter)}"]${value === undefined ? "" : `[data-value="${CSS.escape(value)}"]`}`;
  }
  if (element.matches(".em-play")) return ".em-play";
  if (element.matches("[data-text]")) return "[data-text]";
  return null;
}
