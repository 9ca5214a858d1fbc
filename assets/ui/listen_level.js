/* Before the first trial: the volume is set with a clip for that, and who likes checks their headphones (six trials of three tones, the
   quietest is to be named; over loudspeakers the sounds of opposite phase cancel). Knows the player and two screens. */

import { levelScreen, phonesScreen } from "./listen_screens.js";

export class Level {
  constructor({ stage, player, sounds, words, volume, api, session, instructions, say }) {
    Object.assign(this, { stage, player, sounds, words, volume, api, session, instructions, say });
    this.phones = null;      // {trials, answers} while the check is on
    this.ondone = () => {};
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
    const acts = { level: () => this._level(), begin: () => this._begin(), phones: () => this._startPhones(), three: () => this._three(), skip: () => this._end() };
    await acts[name]?.();
  }

  async _level() {
    if (this.player.playing) { this.player.pause(); return; }
    await this.player.context.resume();
    if (!this.clip) {
      this.clip = await this.player.context.decodeAudioData(await this.api.level());
      this.player.onevent = () => {};
      this.player.load([this.clip]);
    }
    this.player.setLoop(true);
    this.player.play(0);
  }

  async _begin() {
    if (this.phones) return;
    this.player.stop();
    await this.player.context.resume();
    this.ondone();
  }

  /* ---------------------------------------------------------------------------------------------------------- headphones */
  async _startPhones() {
    this.player.stop();
    const trials = await this.api.headphones(this.session);
    this.phones = { trials, answers: [] };
    await this._nextThree();
  }

  async _nextThree() {
    const { tokens } = this.phones.trials[this.phones.answers.length];
    this.draw();
    const sounds = await this.sounds.all(tokens);
    if (!this.phones) return;
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
    await this.player.context.resume();
    this.player.onevent = (name, side) => {
      if (name !== "end") return;
      if (side < 2) this.player.play(side + 1);
      else this.stage.querySelectorAll("[data-quietest]").forEach((b) => { b.disabled = false; });
    };
    this.player.stop();
    this.player.load(this.player.buffers);
    this.player.play(0);
  }

  async quietest(index) {
    if (!this.phones || this.stage.querySelector("[data-quietest]").disabled) return;
    this.player.stop();
    this.phones.ready = false;
    this.phones.answers.push(index);
    if (this.phones.answers.length < this.phones.trials.length) { await this._nextThree(); return; }
    this.result = await this.api.checkHeadphones(this.session, this.phones.answers);
    this._end();
  }

  _end() {
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
    if (this.phones) {
      if (key === " " && !native) { this.act("three"); return true; }
      if (/^[1-3]$/.test(key)) { this.quietest(Number(key) - 1); return true; }
      return false;
    }
    if (key === " " && !native) { this.act("level"); return true; }
    if (key === "enter" && !native) { this.act("begin"); return true; }
    return false;
  }
}
