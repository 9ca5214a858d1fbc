/* Before the first trial: the volume is set with a clip for that, and who likes checks their headphones (six trials of three tones, the
   quietest is to be named; over loudspeakers the sounds of opposite phase cancel). Knows the player and two screens. */

import { levelScreen, phonesScreen } from "./listen_screens.js";

export class Level {
  constructor({ stage, player, sounds, words, volume, api, session, instructions, say }) {
    Object.assign(this, { stage, player, sounds, words, volume, api, session, instructions, say });
    this.phones = null;      // {trials, answers} while the check is on
    this.left = false;       // the first trial was asked for
    this.screen = 0;         // which one is on: what was asked for on an earlier one comes too late
    this.ondone = () => {};
    this.onfault = () => {};
  }

  draw() {
    if (this.phones) { this._drawPhones(); return; }
    this.stage.innerHTML = levelScreen(this.words, { volume: this.volume.share, instructions: this.instructions });
    if (this.result) this._tellResult();
  }

  paint() {
    const button = this.stage.querySelector("[data-act=level]");
    if (!button) return;
    button.setAttribute("aria-pressed", String(this.player.playing));
    button.firstChild.textContent = `${this.words.say(this.player.playing ? "level.stop" : "level.play")} `;
  }

  async act(name) {
    if (this.left) return;
    const acts = { level: () => this._level(), begin: () => this._begin(), phones: () => this._startPhones(), three: () => this._three(), skip: () => this._end() };
    await acts[name]?.();
  }

  async _level() {
    const { player, screen } = this;
    if (player.playing) { player.pause(); return; }
    await player.context.resume();
    const clip = this.clip ?? await player.context.decodeAudioData(await this.api.level());
    if (screen !== this.screen || player.playing) return;
    if (this.clip !== clip) {
      this.clip = clip;
      player.onevent = () => {};
      player.load([clip]);
    }
    player.setLoop(true);
    player.play(0);
  }

  async _begin() {
    if (this.phones) return;
    this.left = true;
    this.screen += 1;
    this.player.stop();
    await this.player.context.resume();
    this.ondone();
  }

  /* ---------------------------------------------------------------------------------------------------------- headphones */
  async _startPhones() {
    this.screen += 1;
    const { screen } = this;
    this.player.stop();
    const trials = await this.api.headphones(this.session);
    if (screen !== this.screen) return;
    this.phones = { trials, answers: [] };
    await this._nextThree();
  }

  async _nextThree() {
    this.screen += 1;
    const { screen } = this;
    const { tokens } = this.phones.trials[this.phones.answers.length];
    this.draw();
    const sounds = await this.sounds.all(tokens);
    if (screen !== this.screen) return;
    this.player.load(sounds);
    this.phones.ready = true;
    if (this.phones.wanted) this._three();
    const next = this.phones.trials[this.phones.answers.length + 1];
    this.sounds.prepare(next ? next.tokens : [], tokens);
  }

  _drawPhones() {
    this.stage.innerHTML = phonesScreen(this.words, this.phones.answers.length + 1, this.phones.trials.length);
  }

  /* One after the other; then the answer is open. */
  async _three() {
    if (!this.phones) return;
    this.phones.wanted = !this.phones.ready;  // pressed before the sounds are there: they are played when they come
    if (this.phones.wanted) return;
    const { screen } = this;
    await this.player.context.resume();
    if (screen !== this.screen) return;
    this.player.onevent = (name, side) => {
      if (name !== "end") return;
      if (side < 2) this.player.play(side + 1);
      else this._openAnswers(true);
    };
    this.player.stop();
    this.player.load(this.player.buffers);
    this.player.play(0);
  }

  _openAnswers(open) { this.stage.querySelectorAll("[data-quietest]").forEach((b) => { b.disabled = !open; }); }

  /* Say which one was the quietest. */
  name(index) { this._named(index).catch((error) => this.onfault(error)); }

  async _named(index) {
    if (!this.phones || this.stage.querySelector("[data-quietest]").disabled) return;
    this._openAnswers(false);
    this.player.stop();
    this.phones.ready = false;
    this.phones.answers.push(index);
    if (this.phones.answers.length < this.phones.trials.length) { await this._nextThree(); return; }
    const { screen } = this;
    const result = await this.api.checkHeadphones(this.session, this.phones.answers);
    if (screen !== this.screen) return;
    this.result = result;
    this._end();
  }

  _end() {
    this.screen += 1;
    this.player.stop();
    this.player.load([]);
    this.clip = null;
    this.phones = null;
    this.draw();
    this.stage.querySelector("h1")?.focus();
  }

  _tellResult() {
    const told = this.words.say(this.result.passed ? "phones.passed" : "phones.failed", this.result);
    this.stage.querySelector("[data-phones]").textContent = told;
    this.say(told);
  }

  key(key, native) {
    const run = (act) => { this.act(act).catch((error) => this.onfault(error)); return true; };
    if (this.phones) {
      if (key === " " && !native) return run("three");
      if (/^[1-3]$/.test(key)) { this.name(Number(key) - 1); return true; }
      return false;
    }
    if (key === " " && !native) return run("level");
    if (key === "enter" && !native) return run("begin");
    return false;
  }
}
