/* One trial on the page: its sides under the player, what was picked so far, when it can be answered.
   Knows a trial and its screen; sends nothing. What was picked lives here and not in the markup, so that the screen can be drawn anew
   in another language at any time. */

import { choiceOf, given, isRated, steps, stepped } from "./listen_kinds.js";
import { questionScreen, reasonWord, sideName, trialScreen } from "./listen_screens.js";

const SEEK_SEC = 3;
const EVENTS_LIMIT = 400;   // of a trial; who plays more than that has been heard

const toggled = (node, name, on) => { if (node.getAttribute(name) !== String(on)) node.setAttribute(name, String(on)); };
const text = (node, words) => { if (node && node.textContent !== words) node.textContent = words; };

export class TrialPage {
  constructor({ trial, stage, player, words, say, volume, minutes, clock, picked }) {
    Object.assign(this, { trial, stage, player, words, say, volume, minutes, clock });
    this.ready = false;
    this.locked = false;       // an answer is on its way, or its being taken back
    this.left = false;         // something else is on the screen
    this.told = false;
    this.sorted = false;
    this.question = trial.question ?? null;   // what is asked about an answer that is saved already
    this.events = [];
    this.picked = picked ?? { choice: null, rating: null, ratings: {}, reasons: new Set(), note: "" };
    this.onanswer = () => {};
  }

  get isMulti() { return this.trial.kind === "multi"; }

  /* Draw the screen from what is known: at first, and again after a change of language. */
  draw() {
    if (this.question) {
      this.stage.innerHTML = questionScreen(this.words, this.trial, this.question);
      if (this.ready) this._open();
      return;
    }
    this.stage.innerHTML = trialScreen(this.words, this.trial, { minutes: this.minutes, volume: this.volume.share });
    this.stage.querySelector("textarea").value = this.picked.note;
    if (this.picked.note) this.stage.querySelector("[data-note]").open = true;
    this.picked.reasons.forEach((code) => this._reasonChip(code)?.setAttribute("aria-pressed", "true"));
    if (this.ready) this._open();
  }

  /* All sides are decoded and in the player: from now on it can be played. */
  open() {
    this.ready = true;
    this.shownAt = this.clock();
    this.player.onevent = (name, side, value) => this.note(name, this.trial.slots[side]?.label ?? "", value);
    if (!this.left) this._open();
  }

  _open() {
    this.stage.querySelectorAll("[data-side],[data-act],[data-place],[data-rating],[name=rating]").forEach((n) => {
      if (!["save", "undo"].includes(n.dataset.act)) n.disabled = false;
    });
    if (this.sorted) this._sort();
    this.paint();
  }

  /* Ask something about the answer that was just saved; the sides can be heard again. */
  follow(question) {
    this.question = question;
    this.locked = false;
    this.draw();
  }

  /* Keep an event for the answer's record: seconds since the trial could be played, what, which side, a number. */
  note(name, label, value) {
    if (this.events.length >= EVENTS_LIMIT) return;
    this.events.push([Math.round(this.clock() - this.shownAt) / 1000, name, label, Math.round(1000 * value) / 1000]);
  }

  allHeard() { return this.ready && this.trial.slots.every((_, i) => this.player.heard(i)); }

  /* ------------------------------------------------------------------------------------------------------------- picture */
  paint() {
    if (!this.ready) return;
    const { player } = this;
    this.stage.querySelectorAll("[data-side]").forEach((pad) => this._paintPad(pad, Number(pad.dataset.side)));
    if (this.question) return;
    text(this.stage.querySelector("[data-toggle]"), this.words.say(player.playing ? "pause" : "play"));
    toggled(this.stage.querySelector("[data-act=loop]"), "aria-pressed", player.loop);
    this._paintTrack();
    this._paintAnswer();
  }

  _paintPad(pad, i) {
    const { player, words } = this;
    const heard = player.heard(i);
    const current = player.playing && player.side === i;
    toggled(pad, "aria-pressed", current);
    pad.querySelector("i").style.width = `${Math.round(100 * (current ? player.share(i) : player.heardShare(i)))}%`;
    text(pad.querySelector("[data-told]"), words.say(heard ? "heard" : this.isMulti ? "to.hear" : "to.the.end"));
    const label = words.say(heard ? "pad.heard" : "pad.unheard", { label: sideName(words, this.trial, i) });
    if (pad.getAttribute("aria-label") !== label) pad.setAttribute("aria-label", label);
  }

  _paintTrack() {
    this.stage.querySelector("[data-region]").hidden = !this.player.loop;
    const bounds = { at: this.player.share(this.player.side), from: 0, to: 1, ...this.player.regionShare() };
    this.stage.querySelectorAll("[data-place]").forEach((slider) => {
      const share = bounds[slider.dataset.place];
      if (this.dragged !== slider) slider.value = Math.round(1000 * share);
      const said = this.words.say("percent", { value: Math.round(slider.value / 10) });
      if (slider.getAttribute("aria-valuetext") !== said) slider.setAttribute("aria-valuetext", said);
    });
  }

  _paintAnswer() {
    const open = this.allHeard() && !this.locked;
    const { stage, trial, picked } = this;
    stage.querySelectorAll("[data-choice]").forEach((b) => { if (b.disabled === open) b.disabled = !open; });
    stage.querySelector("textarea").readOnly = this.locked;   // what would be noted now would not be sent any more
    const save = stage.querySelector("[data-act=save]");
    if (save) save.disabled = !open || !given(trial, picked);
    if (isRated(trial.kind)) this._paintRating();
    if (this.isMulti) this._paintRatings();
    if (open && !this.told) { this.told = true; this.say(this.words.say("answer.now")); }
  }

  _paintRating() {
    const { rating } = this.picked;
    this.stage.querySelectorAll("[name=rating]").forEach((radio) => { radio.checked = Number(radio.value) === rating; });
    const all = steps(this.trial, this.words);
    const step = all.find(({ value }) => value === rating);
    const ends = `${all[0].word} … ${all[all.length - 1].word}`;
    text(this.stage.querySelector("[data-chosen]"), step ? `${step.number} · ${step.word}` : ends);
  }

  _paintRatings() {
    const { ratings } = this.picked;
    this.stage.querySelectorAll("[data-rating]").forEach((slider) => {
      const rating = ratings[slider.dataset.rating];
      const said = rating === undefined ? this.words.say("multi.unset") : String(rating);
      toggled(slider, "data-set", rating !== undefined);
      if (slider.getAttribute("aria-valuetext") !== said) slider.setAttribute("aria-valuetext", said);
      if (rating !== undefined && Number(slider.value) !== rating) slider.value = rating;
      text(slider.closest("[data-row]").querySelector("output"), rating === undefined ? "–" : String(rating));
    });
    this.stage.querySelector("[data-todo]").hidden = given(this.trial, this.picked) !== null;
  }

  /* ---------------------------------------------------------------------------------------------------------------- acts */
  async play(side) {
    if (!this.ready || side >= this.trial.slots.length) return;
    const { player } = this;
    if (player.context.state !== "running") {
      await player.context.resume();
      if (this.left) return;
    }
    if (player.playing && player.side === side) { player.pause(); return; }
    player.play(side);
    this.say(this.words.say("playing", { label: sideName(this.words, this.trial, side) }));
    if (this.isMulti) this._slider(side)?.focus({ preventScroll: true });
  }

  act(name) {
    if (!this.ready || this.locked) return;
    const { player } = this;
    const acts = {
      toggle: () => this.play(player.side),
      restart: () => player.restart(),
      loop: () => { player.setLoop(!player.loop); this.say(this.words.say(player.loop ? "loop.on" : "loop.off")); },
      from: () => this._region("from"), to: () => this._region("to"), whole: () => player.setRegion(null),
      back: () => player.seek(-SEEK_SEC), on: () => player.seek(SEEK_SEC),
      sort: () => this._toggleSort(),
      save: () => this.answer(),
    };
    acts[name]?.();
    this.paint();
  }

  _region(bound) {
    this.player.setRegion(bound);
    if (!this.player.loop) this.player.setLoop(true);
  }

  _toggleSort() {
    this.sorted = !this.sorted;
    this.stage.querySelector("[data-act=sort]").setAttribute("aria-pressed", String(this.sorted));
    this._sort();
  }

  /* Rows by rating, the best on top and those without one below; or by letter. Focus stays where it was. */
  _sort() {
    const list = this.stage.querySelector(".em-ratings");
    const focused = document.activeElement;
    const worth = (row) => (this.sorted ? -(this.picked.ratings[row.dataset.row] ?? -1) : 0);
    const rows = [...list.children].sort((a, b) => worth(a) - worth(b) || (a.dataset.row < b.dataset.row ? -1 : 1));
    if (rows.some((row, i) => row !== list.children[i])) list.append(...rows);
    if (list.contains(focused)) focused.focus({ preventScroll: true });
  }

  _slider(side) { return this.stage.querySelector(`[data-rating="${this.trial.slots[side].label}"]`); }
  _reasonChip(code) { return [...this.stage.querySelectorAll("[data-reason]")].find((chip) => chip.dataset.reason === code); }

  toggleReason(chip) {
    if (!chip || this.locked) return;
    const { reasons } = this.picked;
    const code = chip.dataset.reason;
    if (!reasons.delete(code)) reasons.add(code);
    chip.setAttribute("aria-pressed", String(reasons.has(code)));
    if (code === "other" && reasons.has(code)) this.openNote();
    else this.say(`${reasonWord(this.words, code)} ${reasons.has(code) ? "✓" : ""}`);
  }

  openNote() {
    const details = this.stage.querySelector("[data-note]");
    details.open = true;
    details.querySelector("textarea").focus();
  }

  choose(choice) {
    this.picked.choice = choice;
    this.answer();
  }

  rate(rating) {
    if (!this.ready || this.locked) return;
    this.picked.rating = rating;
    const step = steps(this.trial, this.words).find(({ value }) => value === rating);
    this.say(`${step.number} ${step.word}`);
    this.paint();
  }

  /* Hand over the answer, or say what is missing. */
  answer() {
    if (this.locked) return;
    const picked = given(this.trial, this.picked);
    const missing = !this.allHeard() ? "listen.first" : !picked ? (this.isMulti ? "multi.todo" : "pick.first") : "";
    if (missing) { this.say(this.words.say(missing)); return; }
    if (this.picked.reasons.has("other") && !this.picked.note.trim()) {
      this.tell(this.words.say("other.needs"));
      this.openNote();
      return;
    }
    this.locked = true;
    this.player.stop();
    this.paint();
    this.onanswer({
      trial: this.trial.trial,
      ...picked,
      reasons: [...this.picked.reasons],
      note: this.picked.note,
      plays: Object.fromEntries(this.trial.slots.map(({ label }, i) => [label, this.player.plays[i]])),
      events: this.events,
      volume: this.volume.share,
    });
  }

  /* A sentence above the text, for all to see and hear. */
  tell(sentence) {
    const place = this.stage.querySelector("[data-notice]");
    place.innerHTML = '<p class="em-notice em-bad" role="alert"></p>';
    place.firstChild.textContent = sentence;
  }

  /* ------------------------------------------------------------------------------------------------- pointer and keyboard */
  input(target, done) {
    if (target.matches("textarea")) this.picked.note = target.value;
    if (this.locked) return;
    if (target.dataset.rating) this._rated(target, done);
    if (target.name === "rating") this.rate(Number(target.value));
    if (target.dataset.place) this._placed(target, done);
    this.paint();
  }

  _rated(slider, done) {
    this.picked.ratings = { ...this.picked.ratings, [slider.dataset.rating]: Number(slider.value) };
    if (!done) return;
    this.note("rate", slider.dataset.rating, Number(slider.value));
    if (this.sorted) this._sort();
  }

  /* While a slider is dragged it only shows; the player follows when it is let go. */
  _placed(slider, done) {
    this.dragged = done ? null : slider;
    if (!done) return;
    const share = slider.value / 1000;
    if (slider.dataset.place === "at") this.player.seekTo(share);
    else this.player.setRegion(slider.dataset.place, share);
  }

  /* True when the key meant something. `native` is set when the focused control has a use of its own for some keys. */
  key(key, native) {
    if (/^[1-8]$/.test(key) && Number(key) <= this.trial.slots.length) { this.play(Number(key) - 1); return true; }
    if (this.question) {
      if (key === " " && !native) this.play(this.player.side);
      return key === " " && !native;
    }
    return this._answerKey(key, native) || this._actKey(key, native);
  }

  _answerKey(key, native) {
    const choice = choiceOf(this.trial.kind, key);
    if (choice && !native) { if (this.ready) this.choose(choice); return true; }
    if (isRated(this.trial.kind) && !native && (key === "arrowleft" || key === "arrowright")) {
      this.rate(stepped(this.trial, this.picked.rating, key === "arrowleft" ? -1 : 1));
      return true;
    }
    return false;
  }

  _actKey(key, native) {
    if (key === "n") { this.openNote(); return true; }
    const act = { " ": "toggle", r: "restart", l: "loop", s: "from", e: "to", c: "whole", j: "back", k: "on", o: "sort", enter: "save" }[key];
    if (!act || (native && (key === " " || key === "enter"))) return false;
    if ((act === "sort" && !this.isMulti) || (act === "save" && !this.stage.querySelector("[data-act=save]"))) return false;
    this.act(act);
    return true;
  }
}
