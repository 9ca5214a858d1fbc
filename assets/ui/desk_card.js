/* One row beside the table: shown, heard, typed and decided, and the way to the rows before and after it.
   What is on the card says of which row it is: an act goes to the row whose button was pressed, a text to the one under which it
   was typed, however late an answer comes. A card is a piece of HTML from the server. */

import { getHtml, isMe, send, who } from "./desk_api.js";
import { put } from "./patch.js";

export class Card {
  constructor(page) {
    this.page = page;
    this.opened = "";  // the row that is open, or asked for
    this.showing = 0;  // the latest request for one row
    this.saving = Promise.resolve(); // texts are sent one after the other: the last one typed is the last one kept
  }

  aside() {
    return this.page.stage.querySelector("[data-aside]");
  }

  card() {
    return this.aside()?.querySelector("[data-card]");
  }

  row() {
    return this.card()?.dataset.card || "";
  }

  textField() {
    return this.aside()?.querySelector("[data-text]");
  }

  /* Whether something was typed that the server does not have. */
  isDirty() {
    const field = this.textField();
    return Boolean(field) && field.value !== field.defaultValue;
  }

  /* -------------------------------------------------------------------------------------------------------------- showing */
  /* Draw the row that the address names, as after a reload. */
  async showOpened() {
    await this.keepTyped();
    if (this.opened) await this.show(this.opened);
    else this.hide();
  }

  /* Draw a row beside the table. True when it stands there: a row asked for later goes before it. */
  async show(row) {
    const aside = this.aside();
    if (!aside) return false;
    this.showing += 1;
    const mine = this.showing;
    this.point(row);
    try {
      const query = new URLSearchParams({ ...this.page.rows.query({ paged: false }), row });
      const html = await getHtml(this.page.url(`/row?${query}`));
      if (this.row() !== row) await this.keepTyped(); // what was typed while this row was on its way
      if (mine !== this.showing || !aside.isConnected) return false;
      this.draw(aside, html);
      return true;
    } catch (error) {
      if (mine === this.showing) this.point(this.row());
      throw error;
    }
  }

  /* The same row drawn anew goes on where it was: what is being typed, the caret, what is folded out, the sound. */
  draw(aside, html) {
    const [before, isDirty] = [this.textField(), this.isDirty()];
    put(aside, html);
    aside.dataset.open = "true";
    document.documentElement.dataset.rowOpen = "true";
    const field = this.textField();
    if (field && field === before && !isDirty) field.value = field.defaultValue;
    this.fetchAhead(this.card().dataset.next);
  }

  /* The row that is open, in the address, the table and the plots. */
  point(row) {
    this.opened = row;
    this.page.address({ row });
    this.mark();
    this.page.plots.mark(row);
  }

  mark() {
    this.page.stage.querySelectorAll("tr[data-row]").forEach((row) => {
      if (row.dataset.row === this.opened) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
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

  hide() {
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
    this.hide();
    this.point("");
    this.page.stage.querySelector(`[data-open-row="${CSS.escape(row)}"]`)?.focus();
  }

  async step(way) {
    const to = this.card()?.dataset[way];
    if (to) await this.open(to, { type: document.activeElement === this.textField() });
  }

  /* --------------------------------------------------------------------------------------------------------------- texts */
  /* What was typed is never lost by going to another row, or by a piece of the page that is drawn anew. */
  keepTyped() {
    return this.inTurn(async () => { while (this.isDirty()) await this.save(); });
  }

  inTurn(work) {
    this.saving = this.saving.catch(() => {}).then(work); // who waited for the one before was told why it failed
    return this.saving;
  }

  async save() {
    const field = this.textField();
    const text = field.value;
    const { told } = await send(this.page.url("/text"), { row: this.row(), text, by: who() });
    field.defaultValue = text;
    this.page.say(told);
    this.page.rows.refreshSoon();
    return told;
  }

  async saveText() {
    const told = await this.inTurn(() => (this.textField() ? this.save() : ""));
    if (told) await this.page.rows.afterDeciding(told);
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
    const card = button.closest("[data-card]");
    const [pasted, own] = [card.querySelector("[data-lines]"), card.querySelector("[data-text]")];
    const [text, typed] = [pasted.value, own?.value];
    const lines = text.split(/\r?\n/);
    if (!lines.some((line) => line.trim())) throw new Error("Paste some lines first, one a row.");
    const { told } = await send(this.page.url("/texts"), { row: card.dataset.card, lines, by: who() });
    if (pasted.value === text) pasted.value = "";
    if (own && own.value === typed) own.defaultValue = typed; // the line goes before what stood in the row's own field
    await this.page.rows.afterDeciding(told);
  }

  /* ------------------------------------------------------------------------------------------------------------ decisions */
  async decide(act, button) {
    const card = button.closest("[data-card]");
    const name = card.querySelector("[data-name]")?.value.trim();
    const url = this.page.url("/decide");
    isMe(name);
    await this.keepTyped();
    const { told } = await send(url, { act, rows: [card.dataset.card], check: button.dataset.check || "", by: name || who() });
    await this.page.rows.afterDeciding(told);
  }

  async command(act, button) {
    if (act === "prev-row") await this.step("prev");
    else if (act === "next-row") await this.step("next");
    else if (act === "close-row") await this.close();
    else if (act === "save-text") await this.saveText();
    else if (act === "save-next") await this.saveAndGoOn();
    else if (act === "paste-texts") await this.pasteTexts(button);
    else if (act === "repair-one") await this.decide("repair", button);
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

const isNarrow = () => window.matchMedia("(max-width: 900px)").matches;
