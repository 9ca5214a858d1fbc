/* The reviewer's page: one sitting, one trial at a time, each answer saved before the next trial is asked for.
   Knows a trial's text, side labels and opaque tokens, and nothing else: no model, no duration, no waveform, no count of others.
   How a trial looks and is answered is in listen_trial.js; here is what comes after what. */

import { Level } from "./listen_level.js";
import { api, Outbox, Refusal } from "./listen_post.js";
import { breakScreen, failedScreen, finishedScreen, questionText, sittingsScreen, unsentNotice } from "./listen_screens.js";
import { Sounds } from "./listen_sounds.js";
import { TrialPage } from "./listen_trial.js";
import { words } from "./listen_words.js";
import { Player } from "./player.js";

const FIRST_VOLUME = 0.7;
const PACE_AFTER = 3;         // answers, before the time left is guessed
const LONGEST_PAUSE_MIN = 5;  // a longer one says nothing about the pace

/* How loud it plays. It outlives a reload in the history entry of this tab: it is set once a block. */
class Volume {
  constructor(player) {
    this.player = player;
    const kept = window.history.state?.volume;
    this.isSet = typeof kept === "number";
    this.set(this.isSet ? kept : FIRST_VOLUME);
  }

  set(share) {
    this.share = share;
    this.player.setVolume(share * share);   // loudness follows the slider about evenly
  }

  keep() {
    this.isSet = true;
    window.history.replaceState({ ...window.history.state, volume: this.share }, "");
  }
}

class Sitting {
  constructor(root, session, language) {
    this.root = root;
    this.session = session;
    this.words = language;
    this.stage = root.querySelector("[data-stage]");
    this.live = root.querySelector("[aria-live]");
    this.player = new Player(new AudioContext({ latencyHint: "interactive" }));
    this.sounds = new Sounds(this.player.context, api.audio);
    this.volume = new Volume(this.player);
    this.outbox = new Outbox();
    this.outbox.onwaiting = () => this.tellUnsent();
    this.page = null;         // the trial or the level page that is shown
    this.turn = 0;            // of what was asked for next: an answer to an earlier asking comes too late
    this.drafts = new Map();  // trial -> what was picked and noted of it, until it is saved
    this.draw = () => {};     // draws what is shown again, in another language
    this.pace = [];           // minutes between answers
    const frame = () => { this.player.tick(); this.page?.paint(); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  }

  say(text) { this.live.textContent = text; }

  /* What is shown from now on; what the page before it still waits for no longer counts. */
  turnTo(page) {
    if (this.page) this.page.left = true;
    this.page = page;
    if (page) page.left = false;
  }

  show(markup) {
    this.turnTo(null);
    this.resting = null;
    this.draw = () => { this.stage.innerHTML = markup(); };
    this.draw();
    this.stage.querySelector("h1")?.focus();
  }

  /* ------------------------------------------------------------------------------------------------- what comes after what */
  async open() {
    const reply = await this.sendKept();
    if (reply?.saved) this.say(this.words.say("unsent.sent"));
    await this.next(reply?.refused && this.words.say("unsent.refused", { why: reply.refused }));
  }

  async sendKept() {
    if (!this.outbox.unsent) return null;
    try { return await this.outbox.sendKept(); } catch (error) { return { refused: error.message }; }
  }

  async next(notice = "") {
    this.turn += 1;
    const mine = this.turn;
    try {
      const reply = await api.trial(this.session);
      if (mine !== this.turn) return;
      if (reply.finished) this.finish(reply);
      else if (this.volume.isSet) await this.ask(reply, notice);
      else await this.level(reply);
    } catch (error) { if (mine === this.turn) this.fail(error); }
  }

  finish(reply) {
    this.previous = reply.previous ?? null;
    this.show(() => finishedScreen(this.words, reply));
    this.say(this.words.say("done.title", { total: reply.total }));
  }

  async level(trial) {
    const mine = this.turn;
    const own = (await api.sittings()).find((each) => each.session === this.session);
    if (mine !== this.turn) return;
    const { stage, player, sounds, session, volume } = this;
    const page = new Level({ stage, player, sounds, words: this.words, volume, api, session,
      instructions: own?.instructions || "", say: (text) => this.say(text) });
    page.ondone = () => { this.volume.keep(); this.ask(trial).catch((error) => this.fail(error)); };
    page.onfault = (error) => this.failOn(page, error);
    this.turnTo(page);
    this.draw = () => page.draw();
    this.draw();
    stage.querySelector("h1").focus();
    sounds.prepare(trial.slots.map((s) => s.token), []);
  }

  async ask(trial, notice = "") {
    this.previous = trial.previous ?? null;
    const { stage, player, volume } = this;
    player.stop();   // what still sounds belongs to the trial before
    const page = new TrialPage({
      trial, stage, player, words: this.words, volume, minutes: this.minutesLeft(trial), say: (text) => this.say(text), clock: () => performance.now(),
      picked: this.drafts.get(trial.trial),
    });
    this.drafts.set(trial.trial, page.picked);
    page.onanswer = (given) => this.answer(given);
    this.turnTo(page);
    this.draw = () => page.draw();
    this.draw();
    if (notice) page.tell(notice);
    stage.querySelector("h1").focus();
    window.scrollTo(0, 0);
    // Every side is here and decoded before the first one can be played: nothing about a side shows in the waiting.
    const tokens = trial.slots.map((s) => s.token);
    const buffers = await this.sounds.all(tokens);
    if (this.page !== page && this.resting !== page) return;
    player.load(buffers, trial.switching || "restart");
    page.open();
    this.asked = Date.now();
    if (!page.left) this.say(trial.question ? questionText(this.words, trial.question) : `${trial.training ? this.words.say("practice") : this.words.say("of", trial)}. ${trial.text}`);
    this.sounds.prepare(trial.upcoming || [], tokens);
  }

  async answer(given) {
    const { trial } = this.page;
    try {
      const reply = await this.outbox.send("/blind/answer", { session: this.session, ...given });
      this.drafts.delete(trial.trial);
      this.pace.push((Date.now() - this.asked) / 60_000);
      if (reply.question?.trial === trial.trial) this.followUp(reply.question);
      else await this.next();   // which brings a question about an earlier answer too
    } catch (error) { this.fail(error); }
  }

  followUp(question) {
    this.previous = null;   // the answer before this one can no longer be taken back
    this.page.follow(question);
    this.stage.querySelector("h1").focus();
    this.say(questionText(this.words, question));
  }

  async reply(choice) {
    if (this.page.locked) return;
    this.page.locked = true;
    const { trial } = this.page.trial;
    this.player.stop();
    this.stage.querySelectorAll("[data-reply]").forEach((b) => { b.disabled = true; });
    try {
      await this.outbox.send("/blind/flag", { session: this.session, trial, choice });
    } catch (error) {
      if (!(error instanceof Refusal)) { this.fail(error); return; }
    }
    await this.next();
  }

  async undo() {
    const { previous, page } = this;
    if (!previous || page?.locked) return;
    this.previous = null;               // once, however often it is pressed
    if (page) page.locked = true;       // and nothing is answered meanwhile
    this.player.stop();
    try {
      await api.withdraw(this.session, previous);
      await this.next();
      this.say(this.words.say("undo.done"));
    } catch (error) { this.fail(error); }
  }

  rest() {
    const { trial } = this.page;
    const page = this.page;
    this.player.pause();
    this.show(() => breakScreen(this.words, trial.position - 1, trial.total));
    this.resting = page;
  }

  resume() {
    const page = this.resting;
    this.resting = null;
    this.turnTo(page);
    this.draw = () => page.draw();
    this.asked = Date.now();
    page.draw();
    this.stage.querySelector("h1").focus();
  }

  /* Guessed from this reviewer's own pace; nothing until there is one. */
  minutesLeft(trial) {
    const paces = this.pace.filter((minutes) => minutes < LONGEST_PAUSE_MIN).sort((a, b) => a - b);
    if (paces.length < PACE_AFTER) return 0;
    return Math.ceil(paces[Math.floor(paces.length / 2)] * (trial.total - trial.position + 1));
  }

  tellUnsent() {
    if (this.stage.querySelector("[data-act=send]")) return;
    const place = this.stage.querySelector("[data-notice]") || this.stage;
    place.innerHTML = unsentNotice(this.words);
    window.scrollTo(0, 0);
  }

  fail(error) {
    this.show(() => failedScreen(this.words, error.message));
  }

  /* What failed on a page that was left meanwhile is nobody's concern any more. */
  failOn(page, error) {
    if (this.page === page) this.fail(error);
  }

  /* ------------------------------------------------------------------------------------------------- pointer and keyboard */
  act(name) {
    const acts = {
      again: () => this.next(), send: () => this.outbox.now(), undo: () => this.undo(), resume: () => this.resume(),
      keys: () => this.stage.querySelector("dialog").showModal(), close: () => this.stage.querySelector("dialog").close(),
      break: () => { if (this.page && !this.page.locked) this.rest(); },
    };
    if (acts[name]) { acts[name](); return; }
    const { page } = this;
    Promise.resolve(page?.act(name)).catch((error) => this.failOn(page, error));
  }

  click(event) {
    const button = event.target.closest("button");
    if (!button || button.disabled) return;
    const { side, choice, reason, act, reply, quietest } = button.dataset;
    if (act) this.act(act);
    else if (side !== undefined) this.page.play(Number(side));
    else if (choice) this.page.choose(choice);
    else if (reason) this.page.toggleReason(button);
    else if (reply) this.reply(reply);
    else if (quietest) this.page.name(Number(quietest));
  }

  input(event, done) {
    const { target } = event;
    if (target.matches("[data-volume]")) {
      this.volume.set(target.value / 100);
      target.setAttribute("aria-valuetext", this.words.say("volume.of", { value: target.value }));
      if (done) this.page.note?.("volume", "", this.volume.share);
    } else this.page?.input?.(target, done);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target.matches("textarea")) { if (event.key === "Escape") target.blur(); return; }
    if (target.matches("select") || this.stage.querySelector("dialog[open]")) return;
    if (event.shiftKey && this.shifted(event.code)) { event.preventDefault(); return; }
    const key = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : /^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : event.key.toLowerCase();
    if (this.command(key, usesKey(target, key), event.repeat)) event.preventDefault();
  }

  shifted(code) {
    const place = [..."1234567890"].findIndex((digit) => code === `Digit${digit}`);
    const index = code === "Minus" ? 10 : place;
    const chip = index < 0 ? null : this.stage.querySelectorAll("[data-reason]")[index];
    if (chip) this.page.toggleReason(chip);
    return Boolean(chip);
  }

  command(key, native, repeated) {
    if (this.resting) {
      if (key === "enter" && !native) this.resume();
      return key === "enter" && !native;
    }
    if (repeated && !["j", "k", "arrowleft", "arrowright"].includes(key)) return false;
    if (key === "?") { if (this.stage.querySelector("dialog")) this.act("keys"); return true; }
    if (key === "u" && this.previous) { this.undo(); return true; }
    if (key === "b" && this.page instanceof TrialPage && this.stage.querySelector("[data-act=break]")) { this.act("break"); return true; }
    return this.page?.key(key, native) ?? false;
  }

  /* Say everything in the other language; the address remembers it. */
  speak(language) {
    this.words.use(language);
    const at = new URL(window.location.href);
    at.searchParams.set("lang", this.words.language);
    window.history.replaceState(window.history.state, "", at);
    this.draw();
    this.page?.paint();
  }
}

/* Whether the focused control does something of its own with a key. */
function usesKey(target, key) {
  if (target.matches("input[type=range]")) return /^(arrow|page|home|end)/.test(key);
  if (target.matches("input[type=radio]")) return key === " " || key.startsWith("arrow");
  return target.matches("button,summary,a") && target.matches(":focus-visible") && (key === " " || key === "enter");
}

function nameFrame(language) {
  const button = document.querySelector("[data-language]");
  if (button) {
    button.textContent = language.say("language");
    button.lang = language.other === "zh" ? "zh-CN" : "en";
    button.hidden = false;
  }
  document.querySelectorAll("[data-frame]").forEach((node) => {
    const said = language.frame(node.dataset.frame);
    if (node.hasAttribute("aria-label")) { node.setAttribute("aria-label", said); node.title = said; } else node.textContent = said;
  });
}

export async function mount(element) {
  const root = element.querySelector("[data-listen]");
  const session = new URLSearchParams(window.location.search).get("session");
  const language = await words();
  const sitting = new Sitting(root, session, language);
  nameFrame(language);
  root.addEventListener("click", (event) => sitting.click(event));
  root.addEventListener("input", (event) => sitting.input(event, false));
  root.addEventListener("change", (event) => sitting.input(event, true));
  document.addEventListener("keydown", (event) => sitting.key(event));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-language]")) return;
    sitting.speak(language.other);
    nameFrame(language);
  });
  // The device is opened at the first touch of the page, so that the first press of a clip does not wait for it.
  document.addEventListener("pointerdown", () => sitting.player.context.resume());
  document.addEventListener("keydown", () => sitting.player.context.resume());
  if (session) { await sitting.open(); return; }
  try {
    const sittings = await api.sittings();
    sitting.show(() => sittingsScreen(language, sittings));
  } catch (error) { sitting.fail(error); }
}
